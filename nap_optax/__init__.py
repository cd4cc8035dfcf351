"""Normalize-and-Project and effective-learning-rate re-warming for optax."""
