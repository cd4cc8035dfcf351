"""Rainbow as DQN Zoo structures it, with our network, optimizer and losses.

A queue of three turns steps into returns, and each return is stored as an object. For
each transition that is drawn or changed, Python walks through a tree. The host computes
the weights. Each update is waited for, because the priorities of its batch follow. It
is written afresh, like the others in `peers`.
"""

import collections
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.atari.peers import NUM_ATOMS, Transition, Transitions
from benchmarks.atari.setting import Setting
from experiments.atari import losses

V_MAX = 10.0
PRIORITY_EXPONENT, IMPORTANCE_EXPONENT, UNIFORM_SHARE = 0.5, 0.4, 1e-3


class Tree:
    """Sums of weights, walked through from Python item by item."""

    def __init__(self, num_items: int) -> None:
        self.first = 1 << (num_items - 1).bit_length()
        self.sums = np.zeros(2 * self.first)

    def set(self, items: np.ndarray, weights: np.ndarray) -> None:
        """Sets some weights."""
        self.sums[items + self.first] = weights
        for item in items:
            node = (int(item) + self.first) // 2
            while node:
                self.sums[node] = self.sums[2 * node] + self.sums[2 * node + 1]
                node //= 2

    def find(self, target: float) -> int:
        """The item at which the sum of weights passes a target."""
        node = 1
        while node < self.first:
            node *= 2
            if target >= self.sums[node]:
                target -= self.sums[node]
                node += 1
        return node - self.first


class PrioritizedTransitions(Transitions):
    """See the module."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.support = losses.atoms(NUM_ATOMS, V_MAX)
        self.tree = Tree(setting.replay_steps)
        self.max_priority = 1.0
        self.num_stored = 0
        self.window: collections.deque[Transition] = collections.deque()
        self.learning = jax.jit(self._learning, compiler_options=setting.peers_options)

    def _select(
        self, key: jax.Array, params: Any, observation: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        key, noise_key = jax.random.split(key)
        logits = self.network.values(params, observation[None], noise_key)
        return key, jnp.argmax(losses.expected_values(logits, self.support)[0])

    def _learning(
        self,
        key: jax.Array,
        params: Any,
        target_params: Any,
        opt_state: Any,
        batch: Any,
    ) -> tuple[jax.Array, Any, Any, jax.Array]:
        observations, actions, rewards, discounts, following, weights = batch
        key, *keys = jax.random.split(key, 4)
        apply = self.network.values

        def loss(params: Any) -> tuple[jax.Array, jax.Array]:
            logits = apply(params, observations, keys[0])
            choosing = apply(jax.lax.stop_gradient(params), following, keys[1])
            next_logits = apply(target_params, following, keys[2])
            values = losses.expected_values(choosing, self.support)
            next_actions = losses.greedy_actions(values)
            distributions = losses.project_distributions(
                self.support,
                jax.nn.softmax(losses.of_actions(next_logits, next_actions)),
                rewards,
                discounts,
            )
            own = losses.cross_entropies(
                losses.of_actions(logits, actions), distributions
            )
            return jnp.mean(weights * own), own

        grads, own = jax.grad(loss, has_aux=True)(params)
        updates, opt_state = self.tx.update(grads, opt_state, params)
        return key, optax.apply_updates(params, updates), opt_state, own

    def learn(self) -> None:
        """One update, and the priorities of its batch."""
        size = len(self.storage)
        oldest = self.num_stored - size
        total = self.tree.sums[1]
        drawn = [
            self.tree.find(target)
            for target in self.generator.random(self.setting.batch_size) * total
        ]
        by_chance = self.generator.random(len(drawn)) < UNIFORM_SHARE
        rows = np.where(
            by_chance, self.generator.integers(size, size=len(drawn)), drawn
        )
        relative = self.tree.sums[rows + self.tree.first] / total
        probabilities = UNIFORM_SHARE / size + (1 - UNIFORM_SHARE) * relative
        weights = (1 / size / probabilities) ** IMPORTANCE_EXPONENT
        numbers = oldest + (rows - oldest) % self.setting.replay_steps
        batch = [self.storage[int(number)] for number in numbers]
        self.key, self.params, self.opt_state, own = self.learning(
            self.key,
            self.params,
            self.target_params,
            self.opt_state,
            (
                *(np.stack(column) for column in zip(*batch, strict=True)),
                (weights / weights.max()).astype(np.float32),
            ),
        )
        priorities = jax.device_get(jnp.clip(jnp.abs(own), 0, 100))
        self.max_priority = max(self.max_priority, float(priorities.max()))
        self.tree.set(rows, priorities**PRIORITY_EXPONENT)

    def store(
        self, action: int, reward: float, terminated: bool, following: np.ndarray
    ) -> None:
        """Stores the returns that this step completes."""
        discount = np.float32(0.0 if terminated else self.setting.discount)
        own = Transition(
            self.observation, action, np.float32(reward), discount, following
        )
        self.window.append(own)
        if terminated:
            while self.window:
                self._keep()
        elif len(self.window) == self.setting.switches.n_step:
            self._keep()

    def _keep(self) -> None:
        first, last = self.window[0], self.window[-1]
        returned, discount = np.float32(0.0), np.float32(1.0)
        for step in self.window:
            returned += discount * step.r_t
            discount *= step.discount_t
        self.window.popleft()
        number, capacity = self.num_stored, self.setting.replay_steps
        self.storage.pop(number - capacity, None)
        self.storage[number] = Transition(
            first.s_tm1, first.a_tm1, returned, discount, last.s_t
        )
        weight = self.max_priority**PRIORITY_EXPONENT
        self.tree.set(np.array([number % capacity]), np.array([weight]))
        self.num_stored += 1
