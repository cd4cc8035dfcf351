"""What the figures of agents on games, with learning rates that cycle, share."""
