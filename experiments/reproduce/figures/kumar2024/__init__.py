"""Figures of Kumar et al. (2024), arXiv 2310.06110."""
