"""For tests of what only a checkout has, the models and the experiments."""
