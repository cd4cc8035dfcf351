"""A perceptron that adds modulo p, on the mean squared error."""
