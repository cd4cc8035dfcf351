"""Data sets of images that several families read."""
