"""A tanh network that learns what another one says of normal inputs."""
