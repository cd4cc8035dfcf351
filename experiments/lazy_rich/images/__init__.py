"""A perceptron from large weights that classifies images, on the squared error."""
