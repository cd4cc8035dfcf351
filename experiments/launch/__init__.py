"""Figures on many machines: runs as jobs of an engine that exists, by submitit."""
