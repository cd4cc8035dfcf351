"""One member: its games, its replay and what it learns, round by round."""

from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.atari import scores
from experiments.atari.config import Config
from experiments.atari.diagnostics import NUM_DIAGNOSED
from experiments.atari.emulated import sizes
from experiments.atari.emulated.programs import Learning, Moment, Programs, Seen
from experiments.atari.emulated.sizes import STACK
from experiments.atari.environments.ale import FRAME_SHAPE
from experiments.atari.environments.games_at_once import GamesAtOnce, GamesState
from experiments.atari.replay.host import Replay, ReplayState
from experiments.atari.replay.priorities import Prioritization
from experiments.atari.replay.rows import Step
from experiments.atari.scores import Scores
from experiments.harness.members import hyperparameters

_GAMES, _BATCHES, _DIAGNOSED, _EVALUATED = range(4)
"""Kinds of draws by NumPy, so that nothing is drawn twice."""


class State(NamedTuple):
    """The state of a round, without the frames of the replay."""

    learning: Learning
    scores: Scores
    games: GamesState
    replay: ReplayState
    round: np.ndarray  # () int64: rounds that were played


class Member:
    """One seed and one choice of numbers.

    Args:
      programs: of its config, and of others that differ in numbers only.
      config: with its seed.
    """

    def __init__(self, programs: Programs, config: Config) -> None:
        self.programs = programs
        self.config = config
        self._hyper = hyperparameters(config)
        self._params_key, self._key = jax.random.split(jax.random.key(config.seed))
        self._games = programs.games(self._game_seeds(config.num_envs, _GAMES))
        self.replay = Replay(
            sizes.layout(config),
            FRAME_SHAPE,
            Prioritization(config.priority_exponent)
            if config.switches.prioritized
            else None,
            frames=np.broadcast_to(np.uint8(0), sizes.frames_shape(config)),
        )
        # Of the last batch; the device may still compute its priorities.
        self._drawn: tuple[np.ndarray, jax.Array] | None = None
        self._num_updates = 0  # known without waiting for the device

    def init(self) -> State:
        """The state before the first round."""
        self._games.reset()
        return State(
            learning=self.programs.init(self._params_key, self._hyper),
            scores=scores.init(self.config.num_envs),
            games=self._games.state(),
            replay=self.replay.state(),
            round=np.asarray(0),
        )

    def keep_frames_in(self, frames: np.ndarray, state: State) -> bool:
        """Takes an array of `sizes.frames_shape` for the frames of the replay.

        Returns:
          Whether it holds those of a state.
        """
        self.replay.rows = self.replay.rows._replace(frames=frames)
        self.replay.restore(state.replay)
        is_whole = self.replay.frames_are_whole()
        if is_whole and self.config.replay_on_device:
            self.replay.copy_to_device()
        return is_whole

    def run(self, state: State, num_rounds: int) -> tuple[State, dict[str, Any]]:
        """Some rounds, and what is logged after them.

        Args:
          state: before them; the buffers of `learning` are donated.
          num_rounds: how many.
        """
        state = self.advance(state, num_rounds)
        last = int(state.round)
        learning, metrics = self.programs.measure(
            state.learning, state.scores, self._some_seen(last), last
        )
        if self.config.evaluation.episodes:
            metrics["mean_return_evaluation"] = self._evaluate(
                learning.learner.params, last
            )
        return state._replace(learning=learning), metrics

    def advance(self, state: State, num_rounds: int) -> State:
        """Some rounds, as of `run`."""
        self._games.restore(state.games)
        self.replay.restore(state.replay)
        learning, played, before = state.learning, state.scores, int(state.round)
        self._num_updates = int(learning.learner.num_updates)
        last = before + num_rounds
        for round_ in range(before + 1, last + 1):
            learning, played = self._round(learning, played, round_, round_ == last)
        return State(
            learning=learning,
            scores=played,
            games=self._games.state(),
            replay=self.replay.state(),
            round=np.asarray(last),
        )

    def _round(
        self, learning: Learning, played: Scores, round_: int, is_last: bool
    ) -> tuple[Learning, Scores]:
        for step in range(self.config.game_steps):
            actions = self._act(learning, Moment(self._key, round_, step))
            if step == 0:
                learning = self._learn(learning, round_, is_last)
            played = self._play(np.asarray(actions), played)
        self._set_priorities()
        return learning, played

    def _act(self, learning: Learning, moment: Moment) -> jax.Array:
        """Dispatches the choice of actions."""
        explores_only = moment.round <= self.config.learning_starts_round
        if explores_only and not self.config.switches.noisy:
            return self.programs.act_at_random(moment)
        return self.programs.act(learning.learner.params, seen_of(self._games), moment)

    def _learn(self, learning: Learning, round_: int, is_last: bool) -> Learning:
        """Dispatches the updates of a round, without waiting for the last one.

        Only the last update before a line of metrics is measured.
        """
        if round_ <= self.config.learning_starts_round or not len(self.replay):
            return learning
        for index in range(self.config.round_updates):
            self._set_priorities()
            batch = self.replay.sample(
                self._generator(_BATCHES, round_, index), self.config.batch_size
            )
            learning, priorities = self.programs.update(
                learning,
                self._hyper,
                batch,
                len(self.replay),
                Moment(self._key, round_, self.config.game_steps + index),
                measures=is_last and index == self.config.round_updates - 1,
            )
            self._drawn = batch.rows, priorities
            self._num_updates += 1
            if self._num_updates % self.programs.target_updates == 0:
                learning = self.programs.renew_target(learning)
        return learning

    def _set_priorities(self) -> None:
        """Sets the priorities of the last batch; waits for them only if they matter."""
        if self._drawn is not None and self.config.switches.prioritized:
            rows, priorities = self._drawn
            self.replay.set_priorities(rows, np.asarray(priorities))
        self._drawn = None

    def _play(self, actions: np.ndarray, played: Scores) -> Scores:
        """One step of each game."""
        games = self._games
        frames, is_first = games.frames[:, -1].copy(), games.is_first.copy()
        shown = games.step(actions)
        rewards = shown.rewards
        self.replay.append(
            Step(
                frames=frames,
                actions=actions,
                rewards=rewards.clip(-1, 1) if self.config.clip_rewards else rewards,
                is_terminal=shown.is_terminal,
                is_last=shown.is_over & ~shown.is_terminal,
                is_first=is_first,
            )
        )
        return self.programs.score(played, rewards, shown.is_over)

    def _some_seen(self, round_: int) -> Seen:
        """Observations of the replay, or black ones if there are none."""
        if not len(self.replay):
            shape = (NUM_DIAGNOSED, STACK, *FRAME_SHAPE)
            return Seen(np.zeros(shape, np.uint8), np.zeros(NUM_DIAGNOSED, np.uint8))
        generator = self._generator(_DIAGNOSED, round_)
        batch = self.replay.sample(generator, NUM_DIAGNOSED)
        return Seen(batch.frames[:, :STACK], batch.ages[:, 0])

    def _evaluate(self, params: Any, round_: int) -> np.ndarray:
        """Mean raw return of some episodes that are played separately, shape ()."""
        games = self.programs.games(self._game_seeds(1, _EVALUATED, round_))
        games.reset()
        # Behind what is drawn for the round itself.
        first = self.config.game_steps + self.config.round_updates
        total, num_over, step = 0.0, 0, 0
        while num_over < self.config.evaluation.episodes:
            moment = Moment(self._key, round_, first + step)
            actions = self.programs.act_in_evaluation(params, seen_of(games), moment)
            shown = games.step(np.asarray(actions))
            total += float(shown.rewards[0])
            num_over += int(shown.is_over[0])
            step += 1
        return np.asarray(total / num_over, np.float32)

    def _game_seeds(self, num: int, *numbers: int) -> np.ndarray:
        return self._generator(*numbers).integers(2**31, size=num)

    def _generator(self, *numbers: int) -> np.random.Generator:
        return np.random.default_rng((self.config.seed, *numbers))


def seen_of(games: GamesAtOnce) -> Seen:
    """The agent's view of games."""
    return Seen(games.frames, games.ages)
