"""Games so small that the values of their actions are known.

They isolate what an agent has to do: to fit a reward, to carry it back over a step, to
tell observations apart, to choose, and to credit an action whose reward comes later.
"""

import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.atari.environments.minatar import Played

DISCOUNT = 0.9
KINDS = {
    "one_step": 0,  # one step, reward 1
    "two_steps": 1,  # reward 1 at the second step
    "observation": 2,  # one step, the reward is ±1 as the observation says
    "choice": 3,  # one step, reward 1 if the action is that of the observation, or -1
    "delayed": 4,  # reward 1 at the third step if the first action was the right one
}
LENGTHS = np.array([1, 2, 1, 1, 3])


class ProbeState(NamedTuple):
    kind: jax.Array  # () int32
    bit: jax.Array  # () int32: drawn for each episode, and seen
    time: jax.Array  # () int32
    was_right: jax.Array  # () int32: whether the first action was the bit


class ProbeGame:
    """All kinds in one program; its state says which is played."""

    observation_shape = (3, 3, 4)
    num_actions = 2

    def reset(self, key):
        return self._begin(key, jnp.zeros([], jnp.int32))

    def step(self, key, state, action):
        is_right = (action == state.bit).astype(jnp.int32)
        was_right = jnp.where(state.time == 0, is_right, state.was_right)
        is_over = state.time + 1 == jnp.asarray(LENGTHS)[state.kind]
        rewards = jnp.stack(
            [1, 1, 2 * state.bit - 1, 2 * is_right - 1, was_right]
        ).astype(jnp.float32)
        after = state._replace(time=state.time + 1, was_right=was_right)
        begun = self._begin(key, state.kind)
        observation, new = jax.tree.map(
            lambda a, b: jnp.where(is_over, a, b), begun, (observe(after), after)
        )
        reward = jnp.where(is_over, rewards[state.kind], 0.0)
        return Played(observation, new, reward, is_over, is_over)

    def _begin(self, key, kind):
        bit = jax.random.bernoulli(key).astype(jnp.int32)
        zero = jnp.zeros([], jnp.int32)
        state = ProbeState(kind, bit, zero, zero)
        return observe(state), state


def observe(state):
    """Each channel is one number: a constant, the bit, the time, the first action."""
    channels = jnp.stack(
        [jnp.ones([], jnp.int32), state.bit, state.time, state.was_right]
    )
    return jnp.broadcast_to(channels, (3, 3, 4)).astype(jnp.uint8)


def expected_values(kind):
    """Observations that an agent can meet, and the best policy's values of actions.

    The third result says which of them the best policy meets for sure.
    """
    states, values, on_path = [], [], []
    length = int(LENGTHS[kind])
    for bit, time, was_right in itertools.product((0, 1), range(length), (0, 1)):
        if time == 0 and was_right:
            continue
        left = DISCOUNT ** (length - 1 - time)
        is_right = np.arange(2) == bit
        credited = is_right if time == 0 else np.full(2, bool(was_right))
        values.append(
            left
            * [
                np.ones(2),
                np.ones(2),
                np.full(2, 2 * bit - 1),
                2 * is_right - 1,
                credited.astype(float),
            ][kind]
        )
        on_path.append(time == 0 or (kind == KINDS["delayed"] and was_right))
        states.append(ProbeState(*map(jnp.int32, (kind, bit, time, was_right))))
    observations = jnp.stack([observe(state) for state in states])
    return observations, np.stack(values), np.array(on_path, bool)
