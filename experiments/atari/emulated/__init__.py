"""Runs on Atari with emulators, which cannot be traced: rounds are a loop on the host.

In a round the agent chooses its first actions. Then the updates start, and the games
carry out those actions and the following ones. So emulators run while a device computes
an update, and the result does not depend on this.

Random numbers follow from the seed and the number of the round. The state is a value.
The frames lie in a file and are written only ahead of the state. Together they decide
everything that follows, so a run that is killed continues like an uninterrupted run.
"""
