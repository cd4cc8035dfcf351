"""The games: Atari's on an emulator, and MinAtar's on a device."""
