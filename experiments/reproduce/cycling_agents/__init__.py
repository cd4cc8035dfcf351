"""What the figures of agents with cycling learning rates share."""
