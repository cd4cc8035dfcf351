"""A replay as a plain list of steps, to compare the ring with."""

import numpy as np

from experiments.atari.replay.rows import Step


class NaiveReplay:
    """Keeps every step of every stream for ever."""

    def __init__(self, layout):
        self.layout = layout
        self.steps = []

    def append(self, step):
        self.steps.append(step)

    def valid_starts(self):
        """(position, stream) of each transition that the ring may still draw."""
        layout = self.layout
        oldest = len(self.steps) - (layout.length - layout.slack)
        return [
            (position, stream)
            for position in range(len(self.steps) - layout.num_steps)
            # Its oldest frame is there, and not the next to be overwritten.
            if position - (layout.stack - 1) >= oldest
            for stream in range(layout.num_streams)
        ]

    def observation(self, position, stream):
        """Frames as channels, black before the episode."""
        frames, is_before = [], False
        for back in range(self.layout.stack):
            step = self.steps[position - back] if position >= back else None
            black = is_before or step is None
            newest = self.steps[position].frames[stream]
            frames.append(np.zeros_like(newest) if black else step.frames[stream])
            is_before = black or bool(step.is_first[stream])
        frames = frames[::-1]
        return np.stack(frames, -1) if newest.ndim == 2 else np.concatenate(frames, -1)

    def transition(self, position, stream):
        """Observation, action, return, factor of the next value, and its observation.

        The observation is None where the factor is 0; the whole is None if no
        transition begins there.
        """
        action = self.steps[position].actions[stream]
        if self.steps[position].is_last[stream]:
            return None
        returned, factor = 0.0, 1.0
        for k in range(self.layout.num_steps):
            step = self.steps[position + k]
            if step.is_last[stream]:
                end = position + k
                break
            returned += factor * step.rewards[stream]
            factor *= self.layout.discount
            if step.is_terminal[stream]:
                return self.observation(position, stream), action, returned, 0.0, None
            end = position + k + 1
        return (
            self.observation(position, stream),
            action,
            returned,
            factor,
            self.observation(end, stream),
        )


def random_steps(generator, num, num_streams, frame_shape, *, end=0.15, cut=0.1):
    """Steps of short episodes; frames and actions tell each from every other."""
    first = np.ones(num_streams, bool)
    for position in range(num):
        terminal = generator.random(num_streams) < end
        last = ~terminal & (generator.random(num_streams) < cut)
        yield Step(
            frames=generator.integers(1, 256, (num_streams, *frame_shape), np.uint8),
            actions=position * num_streams + np.arange(num_streams, dtype=np.int32),
            rewards=generator.normal(size=num_streams).astype(np.float32),
            is_terminal=terminal,
            is_last=last,
            is_first=first,
        )
        # A lost life is terminal, and the episode goes on.
        first = last | (terminal & (generator.random(num_streams) < 0.7))
