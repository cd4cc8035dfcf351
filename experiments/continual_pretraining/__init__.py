"""Continual pretraining: a small language model of bytes whose corpus changes."""
