"""A tanh network that learns the outputs of another on normal inputs."""
