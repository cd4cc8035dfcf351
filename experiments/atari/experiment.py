"""A run on a game that can be traced, as pure functions: see `harness.members`."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from experiments.atari import diagnostics, exploration, scores
from experiments.atari.agent import Agent
from experiments.atari.config import Config
from experiments.atari.diagnostics import NUM_DIAGNOSED, Sums
from experiments.atari.environments.minatar import Game, MinAtarGame
from experiments.atari.learner import Learner, LearnerState
from experiments.atari.replay.device import DeviceReplay, RingState
from experiments.atari.replay.priorities import Prioritization
from experiments.atari.replay.rows import Layout, Step
from experiments.atari.scores import Scores
from experiments.harness.members import Hyperparameters


class Playing(NamedTuple):
    """The games played at once."""

    states: Any  # of each game
    observations: jax.Array  # (games, height, width, channels) uint8
    is_first: jax.Array  # (games,) bool: the observation is its episode's first
    actions: jax.Array  # (games,) int32: the last ones, which may stick
    scores: Scores


class TrainState(NamedTuple):
    """What changes from round to round."""

    learner: LearnerState
    ring: RingState
    playing: Playing
    sums: Sums
    round: jax.Array  # () int32
    key: jax.Array


class Experiment:
    """Rounds of playing and learning, all of them compiled.

    Args:
      config: of the run.
      game: replaces the config's, for tests.
    """

    # A convolution here is a product of matrices, which is fast in loops.
    has_convolutions = False
    compiler_options: Mapping[str, Any] = {}

    def __init__(self, config: Config, game: Game | None = None) -> None:
        self.config = config
        self.game = game or MinAtarGame(config.game)
        switches = config.switches
        self.replay = DeviceReplay(
            Layout(
                length=config.replay_positions,
                num_streams=config.num_envs,
                stack=1,
                num_steps=switches.n_step,
                discount=config.discount,
            ),
            self.game.observation_shape,
            Prioritization(config.priority_exponent) if switches.prioritized else None,
        )
        self.agent = Agent(
            config, self.game.observation_shape, self.game.num_actions, stack=1
        )
        self.learner = Learner(config, self.agent)

    def init(
        self, seed: jax.Array, hyper: Hyperparameters
    ) -> tuple[TrainState, tuple[()]]:
        """The state before the first round; nothing is fixed."""
        key, params_key, game_key = jax.random.split(jax.random.key(seed), 3)
        num_games = self.config.num_envs
        observations, states = jax.vmap(self.game.reset)(
            jax.random.split(game_key, num_games)
        )
        playing = Playing(
            states=states,
            observations=observations,
            is_first=jnp.ones(num_games, bool),
            actions=jnp.zeros(num_games, jnp.int32),
            scores=scores.init(num_games),
        )
        state = TrainState(
            learner=self.learner.init(params_key, hyper),
            ring=self.replay.init(),
            playing=playing,
            sums=diagnostics.no_sums(),
            round=jnp.zeros([], jnp.int32),
            key=key,
        )
        return state, ()

    def step(
        self, state: TrainState, hyper: Hyperparameters, fixed: tuple[()]
    ) -> TrainState:
        """One round: steps of all games, then updates once learning has started."""
        key, *keys = jax.random.split(state.key, 1 + self.config.game_steps)
        state = state._replace(key=key, round=state.round + 1)
        for play_key in keys:
            state = self._play(state, play_key)
        starts, ends = self.config.learning_starts_round, self.config.num_steps
        # Only what updates change passes the condition, which would copy a ring.
        changing = state.learner, state.ring.tree, state.ring.max_priority, state.sums
        learner, tree, max_priority, sums = jax.lax.cond(
            # Behind the last steps, what an update learns would play no more.
            (state.round >= starts) & (state.round < ends),
            lambda changing: self._learn(state, changing, hyper),
            lambda changing: changing,
            changing,
        )
        ring = state.ring._replace(tree=tree, max_priority=max_priority)
        return state._replace(learner=learner, ring=ring, sums=sums)

    def evaluate(
        self, state: TrainState, hyper: Hyperparameters, fixed: tuple[()]
    ) -> tuple[TrainState, dict[str, jax.Array]]:
        """Scores, and metrics that show whether the network has collapsed."""
        learner, playing = state.learner, state.playing
        batch = self.replay.sample(
            state.ring, jax.random.fold_in(state.key, 0), NUM_DIAGNOSED
        )
        features = self.agent.features(learner.params, batch.frames[:, 0])
        results = diagnostics.of_run(
            self.config,
            state.round,
            learner,
            playing.scores,
            state.sums,
            features=features,
        )
        return state._replace(sums=diagnostics.no_sums()), results

    def _play(self, state: TrainState, key: jax.Array) -> TrainState:
        """One step of each game."""
        config, playing = self.config, state.playing
        act_key, sticky_key, game_key = jax.random.split(key, 3)
        actions = self.agent.act(
            state.learner.params,
            playing.observations,
            act_key,
            exploration.epsilon(config, state.round),
        )
        carried_out = actions
        if config.sticky_actions:
            sticks = jax.random.uniform(sticky_key, actions.shape)
            sticks = (sticks < config.sticky_actions) & ~playing.is_first
            carried_out = jnp.where(sticks, playing.actions, actions)
        played = jax.vmap(self.game.step)(
            jax.random.split(game_key, config.num_envs), playing.states, carried_out
        )
        rewards = played.reward
        step = Step(
            frames=playing.observations,
            actions=actions,
            rewards=jnp.clip(rewards, -1, 1) if config.clip_rewards else rewards,
            is_terminal=played.is_terminal,
            is_last=played.is_over & ~played.is_terminal,
            is_first=playing.is_first,
        )
        playing = Playing(
            states=played.state,
            observations=played.observation,
            is_first=played.is_over,
            actions=carried_out,
            scores=scores.add(playing.scores, rewards, played.is_over),
        )
        return state._replace(
            ring=self.replay.append(state.ring, step), playing=playing
        )

    def _learn(
        self,
        state: TrainState,
        changing: tuple[LearnerState, jax.Array, jax.Array, Sums],
        hyper: Hyperparameters,
    ) -> tuple[LearnerState, jax.Array, jax.Array, Sums]:
        """The updates of a round."""
        learner, tree, max_priority, sums = changing
        ring = state.ring._replace(tree=tree, max_priority=max_priority)
        for index in range(self.config.round_updates):
            key = jax.random.fold_in(state.key, 1 + index)
            draw_key, update_key = jax.random.split(key)
            batch = self.replay.sample(ring, draw_key, self.config.batch_size)
            learner, learned = self.learner.update(
                learner, hyper, batch, self.replay.size(ring), update_key
            )
            ring = self.replay.set_priorities(
                ring, batch.rows, self.agent.priorities(learned)
            )
            sums = diagnostics.added(sums, learned)
        return learner, ring.tree, ring.max_priority, sums
