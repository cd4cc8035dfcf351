"""Agents as they are structured elsewhere, with our networks, optimizer and losses.

They differ in how steps are stored, drawn and handed to the device:

- `StackedArrays`, after CleanRL's `dqn_atari_jax` and the buffer of Stable-Baselines3:
  an array of stacked observations, each gathered twice for a batch. The values come to
  the host, which chooses the action. A call copies the target network.
- `Transitions`, after DQN Zoo: an object for each transition, with its stacked
  observations (shared by the next one; DQN Zoo compresses them with snappy, which takes
  less memory and more time), put together to a batch one by one. The key goes
  through each call.

`rainbow_peer.PrioritizedTransitions` is the latter for Rainbow. All play gymnasium's
`AtariPreprocessing` with its stack of frames. They are written afresh, because none of
the originals runs on today's jax. They leave out logging.
"""

import abc
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.atari.setting import STACK, Setting
from experiments.atari import losses
from models import AtariQNetwork

NUM_ATOMS, NOISE_SCALE = 51, 0.1
"""Of Rainbow."""


def gymnasium_game(game: str) -> Any:
    """One game as others play it; observations are (4, 84, 84)."""
    import ale_py
    import gymnasium
    from gymnasium.wrappers import AtariPreprocessing, FrameStackObservation

    gymnasium.register_envs(ale_py)
    env = gymnasium.make(
        f"ALE/{game}-v5",
        frameskip=1,
        repeat_action_probability=0.0,
        full_action_space=False,
    )
    return FrameStackObservation(AtariPreprocessing(env, noop_max=30), STACK)


class Network(NamedTuple):
    """Pure functions of our network, on observations of (n, 4, 84, 84)."""

    init: Any
    values: Any  # (params, observations, noise_key=None), or logits


def network(num_actions: int, setting: Setting) -> Network:
    from flax import nnx

    switches = setting.switches

    def new(rngs: nnx.Rngs) -> AtariQNetwork:
        return AtariQNetwork(
            (84, 84, STACK),
            num_actions,
            num_atoms=NUM_ATOMS if switches.categorical else None,
            dueling=switches.dueling,
            noise_scale=NOISE_SCALE if switches.noisy else None,
            rngs=rngs,
        )

    graphdef = nnx.graphdef(nnx.eval_shape(lambda: new(nnx.Rngs(0))))

    def values(
        params: Any, observations: jax.Array, noise_key: jax.Array | None = None
    ) -> jax.Array:
        inputs = jnp.moveaxis(observations, 1, -1).astype(jnp.float32) / 255.0
        result: jax.Array = nnx.merge(graphdef, params)(inputs, noise_key)
        return result

    return Network(lambda key: nnx.state(new(nnx.Rngs(key)), nnx.Param), values)


class Peer(abc.ABC):
    """The common part: a game, a network and a learning step."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.env = gymnasium_game(setting.game)
        self.num_actions = int(self.env.action_space.n)
        self.network = network(self.num_actions, setting)
        self.params = self.network.init(jax.random.key(0))
        self.target_params = jax.tree.map(jnp.copy, self.params)
        self.tx = optax.chain(
            optax.clip_by_global_norm(setting.switches.max_grad_norm)
            if setting.switches.max_grad_norm < float("inf")
            else optax.identity(),
            optax.adam(setting.learning_rate, eps=setting.switches.adam_eps),
        )
        self.opt_state = self.tx.init(self.params)
        self.generator = np.random.default_rng(0)
        self.observation = np.asarray(self.env.reset(seed=0)[0])
        self.num_steps = 0
        self.update = jax.jit(self._update, compiler_options=setting.peers_options)

    def _update(
        self, params: Any, target_params: Any, opt_state: Any, batch: Any
    ) -> tuple[Any, Any]:
        observations, actions, rewards, discounts, following = batch

        def loss(params: Any) -> jax.Array:
            values = losses.of_actions(
                self.network.values(params, observations), actions
            )
            best = jnp.max(self.network.values(target_params, following), axis=1)
            targets = rewards + discounts * best
            return jnp.mean(losses.huber_losses(targets - values))

        grads = jax.grad(loss)(params)
        updates, opt_state = self.tx.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), opt_state

    def fill(self, num: int) -> None:
        """Takes random steps without learning, or stores copies of one."""
        for _ in range(num):
            if self.setting.fills_by_playing:
                self.play(int(self.generator.integers(self.num_actions)))
            else:
                following = self.observation.copy()
                self.store(0, 0.0, False, following)
                self.observation = following
                self.num_steps += 1

    def run(self, num: int) -> None:
        """Runs steps with updates between them; returns when all is done."""
        for _ in range(num):
            self.play(self.act())
            if self.num_steps % self.setting.steps_per_update == 0:
                self.learn()
            if self.num_steps % self.setting.target_period_steps == 0:
                self.target_params = jax.tree.map(jnp.copy, self.params)
        jax.block_until_ready(self.params)

    def play(self, action: int) -> None:
        """One step of the game, which is stored."""
        following, reward, terminated, truncated, _ = self.env.step(action)
        following = np.asarray(following)
        self.store(action, float(np.clip(reward, -1, 1)), terminated, following)
        self.observation = following
        if terminated or truncated:
            self.observation = np.asarray(self.env.reset()[0])
        self.num_steps += 1

    def learn(self) -> None:
        """One update."""
        self.params, self.opt_state = self.update(
            self.params, self.target_params, self.opt_state, self.sample()
        )

    @abc.abstractmethod
    def act(self) -> int:
        """The next action."""

    @abc.abstractmethod
    def sample(self) -> tuple[np.ndarray, ...]:
        """A batch."""

    @abc.abstractmethod
    def store(
        self, action: int, reward: float, terminated: bool, following: np.ndarray
    ) -> None:
        """Keeps a step."""


class StackedArrays(Peer):
    """See the module."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        size = setting.replay_steps
        self.observations = np.zeros((size, *self.observation.shape), np.uint8)
        self.actions = np.zeros(size, np.int32)
        self.rewards = np.zeros(size, np.float32)
        self.ends = np.zeros(size, np.float32)
        self.at = self.stored = 0
        self.values = jax.jit(self.network.values)

    def act(self) -> int:
        """The next action."""
        if self.generator.random() < self.setting.epsilon:
            return int(self.generator.integers(self.num_actions))
        values = self.values(self.params, self.observation[None])
        return int(jax.device_get(jnp.argmax(values, axis=1))[0])

    def store(
        self, action: int, reward: float, terminated: bool, following: np.ndarray
    ) -> None:
        """Keeps a step."""
        self.observations[self.at] = self.observation
        self.observations[(self.at + 1) % len(self.actions)] = following
        self.actions[self.at] = action
        self.rewards[self.at] = reward
        self.ends[self.at] = terminated
        self.at = (self.at + 1) % len(self.actions)
        self.stored = min(self.stored + 1, len(self.actions))

    def sample(self) -> tuple[np.ndarray, ...]:
        """A batch."""
        drawn = self.generator.integers(1, self.stored, self.setting.batch_size)
        rows = (drawn + self.at) % self.stored
        return (
            self.observations[rows],
            self.actions[rows],
            self.rewards[rows],
            self.setting.discount * (1 - self.ends[rows]),
            self.observations[(rows + 1) % len(self.actions)],
        )


class Transition(NamedTuple):
    """An object for each."""

    s_tm1: np.ndarray
    a_tm1: int
    r_t: np.float32
    discount_t: np.float32
    s_t: np.ndarray


class Transitions(Peer):
    """See the module."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.storage: dict[int, Transition] = {}
        self.key = jax.random.key(1)
        self.select = jax.jit(self._select)

    def _select(
        self, key: jax.Array, params: Any, observation: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        key, chance_key, action_key = jax.random.split(key, 3)
        values = self.network.values(params, observation[None])[0]
        random = jax.random.randint(action_key, (), 0, self.num_actions)
        explores = jax.random.uniform(chance_key) < self.setting.epsilon
        return key, jnp.where(explores, random, jnp.argmax(values))

    def act(self) -> int:
        """The next action."""
        self.key, action = self.select(self.key, self.params, self.observation)
        return int(jax.device_get(action))

    def store(
        self, action: int, reward: float, terminated: bool, following: np.ndarray
    ) -> None:
        """Keeps a step."""
        number = self.num_steps
        self.storage.pop(number - self.setting.replay_steps, None)
        self.storage[number] = Transition(
            self.observation,
            action,
            np.float32(reward),
            np.float32(0.0 if terminated else self.setting.discount),
            following,
        )

    def sample(self) -> tuple[np.ndarray, ...]:
        """A batch."""
        newest = self.num_steps
        drawn = self.generator.integers(
            newest - len(self.storage), newest, self.setting.batch_size
        )
        batch = [self.storage[int(number)] for number in drawn]
        return tuple(np.stack(column) for column in zip(*batch, strict=True))
