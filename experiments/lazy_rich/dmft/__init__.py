"""Dynamical mean-field theory of the polynomial task: many dimensions and examples."""
