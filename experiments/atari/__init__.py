"""DQN and Rainbow with cycling effective learning rates, on Atari and MinAtar."""
