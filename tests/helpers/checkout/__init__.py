"""Helpers for tests of the models and experiments, which only a checkout has."""
