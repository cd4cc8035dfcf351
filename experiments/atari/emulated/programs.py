"""The compiled functions of a config, for all numbers and seeds of its members."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from experiments.atari import diagnostics, exploration, scores
from experiments.atari.agent import Agent
from experiments.atari.config import Config
from experiments.atari.diagnostics import Sums
from experiments.atari.emulated.sizes import STACK
from experiments.atari.environments.ale import FRAME_SHAPE, Protocol
from experiments.atari.environments.games_at_once import GamesAtOnce
from experiments.atari.learner import Learner, LearnerState
from experiments.atari.replay import rows as ring
from experiments.atari.replay.rows import Array, Batch
from experiments.atari.scores import Scores
from experiments.harness import backend
from experiments.harness.members import Hyperparameters


class Learning(NamedTuple):
    """What an update changes."""

    learner: LearnerState
    sums: Sums


class Seen(NamedTuple):
    """The agent's view of some games."""

    frames: Array  # (n, STACK, *FRAME_SHAPE) uint8
    ages: Array  # (n,) uint8


class Moment(NamedTuple):
    """The time of a draw, on which it depends."""

    key: jax.Array  # of the member
    round: Array  # (), from 1
    index: Array  # () in the round


class Programs:
    """An agent's compiled functions, and games for it.

    Raises:
      UserError: the emulator is not installed, or has no ROM of this game.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self._protocol = Protocol(
            sticky_actions=config.sticky_actions,
            max_noops=config.max_noops,
            life_loss_is_terminal=config.life_loss_is_terminal is not False,
            full_action_set=config.full_action_set,
            max_episode_frames=config.max_episode_frames,
        )
        self._agent = Agent(
            config,
            (*FRAME_SHAPE, STACK),
            self.games([0]).num_actions,
            stack=STACK,
        )
        # A choice within each update would read and write all of it: on a CPU 10 ms of
        # the 44 that Rainbow's optimizer and the choice take by themselves.
        self._learner = Learner(config, self._agent, renews_target=False)
        self.target_updates = self._learner.target_updates
        self.init = jax.jit(self._init)
        self.act = jax.jit(self._act)
        self.act_at_random = jax.jit(self._act_at_random)
        self.act_in_evaluation = jax.jit(self._act_in_evaluation)
        self.update = jax.jit(
            self._update, donate_argnums=0, compiler_options=backend.update_options()
        )
        self._copy = jax.jit(lambda params: jax.tree.map(jnp.copy, params))
        self.measure = jax.jit(self._measure)
        self.score = jax.jit(scores.add)

    def games(self, seeds: Any, *, in_color: bool = False) -> GamesAtOnce:
        """Games by the protocol, one for each seed."""
        return GamesAtOnce(
            self.config.game, seeds, self._protocol, STACK, in_color=in_color
        )

    def renew_target(self, learning: Learning) -> Learning:
        """Makes the target network a copy, with buffers of its own."""
        learner = learning.learner
        target_params = self._copy(learner.params)
        return learning._replace(learner=learner._replace(target_params=target_params))

    def _init(self, key: jax.Array, hyper: Hyperparameters) -> Learning:
        return Learning(self._learner.init(key, hyper), diagnostics.no_sums())

    def _act(self, params: Any, seen: Seen, moment: Moment) -> jax.Array:
        """Actions, shape (n,), in one of the steps of a round."""
        epsilon = exploration.epsilon(self.config, moment.round)
        return self._agent.act(params, ring.stacked(*seen), _own_key(moment), epsilon)

    def _act_at_random(self, moment: Moment) -> jax.Array:
        """Actions of `act` if all are random, which needs no network."""
        return self._agent.random_actions(_own_key(moment), self.config.num_envs)

    def _act_in_evaluation(self, params: Any, seen: Seen, moment: Moment) -> jax.Array:
        """Actions, shape (n,), in a step that is not learned from."""
        epsilon = jnp.asarray(self.config.evaluation.epsilon)
        return self._agent.act(
            params, ring.stacked(*seen), _own_key(moment), epsilon, evaluates=True
        )

    def _update(
        self,
        learning: Learning,
        hyper: Hyperparameters,
        batch: Batch,
        num_transitions: Array,
        moment: Moment,
        *,
        measures: Array,
    ) -> tuple[Learning, jax.Array]:
        """An update, and the priorities of its batch; measures it if that is logged."""
        learner, learned = self._learner.update(
            learning.learner,
            hyper,
            batch,
            num_transitions,
            _own_key(moment),
            measures=measures,
        )
        sums = diagnostics.added(learning.sums, learned)
        return Learning(learner, sums), self._agent.priorities(learned)

    def _measure(
        self, learning: Learning, played: Scores, seen: Seen, round_: Array
    ) -> tuple[Learning, dict[str, jax.Array]]:
        """The metrics, with features on these observations; the sums restart."""
        features = self._agent.features(learning.learner.params, ring.stacked(*seen))
        results = diagnostics.of_run(
            self.config,
            round_,
            learning.learner,
            played,
            learning.sums,
            features=features,
        )
        return learning._replace(sums=diagnostics.no_sums()), results


def _own_key(moment: Moment) -> jax.Array:
    return jax.random.fold_in(
        jax.random.fold_in(moment.key, moment.round), moment.index
    )
