"""The models of images: a training step, its parts, and what the metrics cost."""
