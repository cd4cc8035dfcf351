"""Figures on many machines: runs as jobs of Slurm or of this machine, by submitit."""
