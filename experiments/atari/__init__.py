"""DQN and Rainbow whose effective learning rate cycles, on Atari and MinAtar."""
