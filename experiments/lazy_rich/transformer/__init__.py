"""The one-layer transformer that adds modulo p, on the cross-entropy."""
