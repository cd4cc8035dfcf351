"""An agent's past steps, to learn from: a ring of single frames.

Each environment is a *stream*, and each of its steps a *row*: the newest frame of the
observation, the action taken there, and its result. Observations are stacks of frames.
They, and returns of several steps, are put together when rows are drawn. `rows` defines
this for host and device.
"""
