"""Runs on Atari, whose emulators cannot be traced: rounds as a loop on the host.

In a round the agent chooses its first actions, then come the updates, and then the
games carry those actions out and what follows. So emulators can run while a device
still computes an update, and what is computed does not depend on whether they do.

What is random follows from the seed and the number of the round. The state is a value:
with the frames, which lie in a file and are written only ahead of it, it decides all
that comes after it. So a run that is killed goes on as one that was not.
"""
