"""The models of images: a training step, its parts, and the cost of metrics."""
