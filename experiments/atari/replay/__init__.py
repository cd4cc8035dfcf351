"""What an agent has lived through, to learn from: a ring of single frames.

Each environment is a *stream*, and each of its steps a *row*: the newest frame of the
observation, the action that was taken there, and what came of it. Observations, which
are stacks of frames, and returns of several steps are put together when rows are drawn.
`rows` has what that means, on the host and on a device alike.
"""
