"""Figures of Lyle et al. (2025), arXiv 2507.20057."""
