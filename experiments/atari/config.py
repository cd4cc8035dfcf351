"""Settings of a run on Atari or MinAtar."""

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

from experiments.atari.agents import (
    PRESETS,
    RATES,
    SHORT_SIZES,
    SIZES,
    Sizes,
    Switches,
)
from experiments.atari.environments.games import ATARI_GAMES, MINATAR_GAMES
from experiments.harness.checks import Ranges, check, check_ranges, check_unread
from experiments.harness.config import RunConfig, per_member

Suite = Literal["minatar", "ale"]
Agent = Literal["dqn", "rainbow"]
Schedule = Literal["constant", "cyclic", "one_cycle", "cusum"]
Reset = Literal["none", "full", "last_layers"]
Budget = Literal["paper", "short"]
Defaults = TypeVar("Defaults", Switches, Sizes)


class Evaluation(NamedTuple):
    """Episodes that are played separately and not learned from."""

    episodes: int
    """Number of episodes."""
    epsilon: float
    """Share of random actions."""


_RANGES: Ranges = (
    (
        {"at_least": 1},
        (
            *("num_frames", "cycle_frames", "num_envs", "batch_size", "n_step"),
            *("replay_steps", "target_period_frames", "exploration_frames"),
            *("reset_frames", "max_episode_frames"),
        ),
    ),
    ({"at_least": 0}, ("learning_starts_frames", "stop_cycling_frames")),
    ({"at_least": 0, "at_most": 10_000}, ("evaluation_episodes", "max_noops")),
    ({"at_least": 0, "at_most": 1}, ("evaluation_epsilon",)),
    ({"at_least": 0}, ("weight_decay",)),
    ({"above": 0}, ("learning_rate", "low_learning_rate")),
    ({"at_least": 1e-3, "at_most": 1e3}, ("agent_steps_per_update",)),
    ({"above": 0}, ("adam_eps", "v_max", "max_grad_norm")),
    ({"at_least": 0, "at_most": 1}, ("discount", "final_epsilon")),
    ({"at_least": 0, "at_most": 1}, ("sticky_actions", "importance_exponent")),
    ({"at_least": 0, "below": 1}, ("warmup_fraction",)),
    ({"at_least": 0}, ("priority_exponent",)),
    ({"at_least": 2, "at_most": 10_000}, ("num_atoms",)),
)


MOST_IN_A_ROUND = 256
"""Updates and steps of a round, which is compiled as a whole on MinAtar."""
_OF_ATARI = (
    *("budget", "life_loss_is_terminal", "full_action_set", "max_noops"),
    *("max_episode_frames", "evaluation_epsilon", "replay_on_device"),
)
"""Fields that MinAtar does not read."""


@dataclasses.dataclass(frozen=True)
class Config(RunConfig):
    """Trains a value-based agent on a game, with a learning rate that may cycle.

    Times are in frames of the game. A step of the agent is one frame of MinAtar or four
    of Atari. After a run, the directory holds its metrics, figure, summary and
    checkpoints. The same command continues an interrupted run.
    """

    suite: Suite = "minatar"
    """MinAtar's games are compiled with the agent; Atari's run on the ALE (ale)."""
    game: str = "Breakout"
    """Name of the game, such as SpaceInvaders."""
    agent: Agent = "dqn"
    """DQN (Mnih et al., 2015) or Rainbow (Hessel et al., 2018), as changed by the
    following flags."""
    double: bool | None = None
    """The trained network chooses the next action, and the target network values it.
    None, here and below, means the agent's own setting."""
    dueling: bool | None = None
    """The network has one stream for the state and one for the actions."""
    categorical: bool | None = None
    """A value is a distribution on atoms."""
    noisy: bool | None = None
    """The layers after the torso are noisy, and actions are greedy."""
    prioritized: bool | None = None
    """Transitions with larger losses are drawn more often."""
    n_step: int | None = None
    """Steps of a return: 1 for DQN, 3 for Rainbow."""
    agent_steps_per_update: float = 4.0
    """Steps of the agent for each update; 0.5 means two updates for each step. The
    paper has 4 (few updates) and 1 (many)."""
    budget: Budget = "paper"
    """Defaults for times on Atari: the papers', for 200 million frames, or times that
    fit a million (short). Short means a replay of 50,000 steps, a first update after
    16,000 frames, a target network copied every 8,000, and exploration that falls over
    100,000."""
    num_frames: int = 500_000
    """Frames of the run. The paper has 200 million on Atari."""
    learning_rate_schedule: Schedule = "constant"
    """The rate is constant; rises linearly and falls along half a cosine again and
    again (cyclic); does so once in the whole run (one_cycle); or does so once at first,
    and again whenever a detector sees the TD error grow (cusum)."""
    learning_rate: float | None = per_member(None)
    """Peak of the schedule. The default is 6.25e-5 on Atari, as in the paper, and 1e-3
    on MinAtar."""
    low_learning_rate: float | None = per_member(None)
    """The rate at which cycles begin and end. The default is 1e-6 on Atari, as in the
    paper, and 1e-5 on MinAtar."""
    cycle_frames: int = per_member(100_000, "cycle_updates")
    """Frames of a cycle, for the schedules cyclic and cusum. Ten of the paper's cycles
    on Atari take 40 million."""
    stop_cycling_frames: int = per_member(0, "stop_updates")
    """From this frame on the rate stays low; 0 means never. The paper has 8, 20 and 40
    million on Atari. Not for cusum, whose alarms decide."""
    warmup_fraction: float = 0.1
    """Share of each cycle that is linear warm-up."""
    normalize: bool = False
    """The network has its form for projection: a LayerNorm before each ReLU replaces
    biases."""
    project: bool = False
    """Projection holds the norm of each kernel but the last at its initial value. The
    target network is a copy of projected weights, and is not projected itself."""
    weight_decay: float = per_member(0.0)
    """Decoupled decay of the kernels, times the learning rate. The paper has an arm
    with 0.01."""
    reset: Reset = "none"
    """All weights (full) or those of the output layers (last_layers) are initialised
    again at intervals. The optimizer forgets them, and the target network becomes a
    copy."""
    reset_frames: int = 200_000
    """Frames between resets."""
    num_envs: int = 1
    """Games that are played at once, a step of each at a time."""
    batch_size: int = 32
    """Transitions in an update."""
    discount: float = 0.99
    """Each further step of delay multiplies a reward by this."""
    replay_steps: int | None = None
    """Steps in the replay: 1,000,000 on Atari, 100,000 on MinAtar."""
    replay_on_device: bool = False
    """On Atari, batches take their frames from a copy on the device, which needs the
    memory of the replay there. It changes no result. MinAtar's replay always is on the
    device."""
    learning_starts_frames: int | None = None
    """Frames before the first update: 200,000 on Atari (Rainbow: 80,000), 5,000 on
    MinAtar."""
    target_period_frames: int | None = None
    """Frames between copies of the target network: 40,000 on Atari (Rainbow: 32,000),
    1,000 on MinAtar."""
    exploration_frames: int | None = None
    """Random actions fall from all to their final share over this many frames, once
    learning has started: 4,000,000 on Atari, 100,000 on MinAtar. A noisy agent has
    none."""
    final_epsilon: float = 0.1
    """Share of random actions at the end."""
    num_atoms: int = 51
    """Atoms of a distribution, with --categorical."""
    v_max: float = 10.0
    """The atoms lie between this and its negative."""
    noise_scale: float = 0.1
    """The initial noise is this over the root of a layer's number of inputs."""
    priority_exponent: float = 0.5
    """With --prioritized, transitions are drawn in proportion to this power of their
    losses."""
    importance_exponent: float = 0.4
    """Weights correct for prioritised drawing by this power at the beginning of the
    run, and by 1 at its end."""
    adam_eps: float | None = None
    """Adam adds this to the root of its second moment: 3.1e-4 for DQN, 1.6e-4 for
    Rainbow."""
    max_grad_norm: float | None = None
    """Gradients of a larger norm are scaled down to this norm: 10 for Rainbow."""
    clip_rewards: bool = True
    """The agent learns from rewards clipped to ±1; scores are raw."""
    sticky_actions: float = 0.0
    """Probability that the previous action is repeated. Machado et al. (2018) have 0.25
    on Atari, and MinAtar's authors 0.1."""
    life_loss_is_terminal: bool | None = None
    """On Atari, returns end at a lost life, although the episode goes on. None means
    that they do, as for DQN and Rainbow."""
    full_action_set: bool = False
    """On Atari, the agent chooses among all 18 actions, not only those that the game
    uses."""
    max_noops: int = 30
    """An episode of Atari starts with 1 to this many frames without an action."""
    max_episode_frames: int = 108_000
    """An episode of Atari is cut short after this many frames: 30 minutes of play."""
    evaluation_episodes: int | None = None
    """Episodes that are played separately at each line of metrics, and not learned
    from: 3 on Atari. MinAtar has none."""
    evaluation_epsilon: float | None = None
    """Share of random actions in these episodes: 0.05 for DQN; 0 for a noisy agent,
    which plays them without noise."""
    seed: int = 0
    """Seed of the weights, the exploration, the batches and the game."""
    eval_every: int = 5_000
    """Metrics are logged every this many rounds. A round is one update with the steps
    before it, or one step of each game with the updates after it."""
    checkpoint_seconds: float = 30.0
    """Two checkpoints are at least this many seconds apart."""
    record: Path | None = None
    """At the end of the run, this GIF shows an episode of its agent: at most 1,000
    steps and eight megabytes."""

    def __post_init__(self) -> None:
        """Checks every field that has a range.

        Raises:
          ValueError: names the field, the value and what is allowed.
        """
        # Numbers that members differ in are read off the fields themselves.
        for name, rate in RATES[self.suite]._asdict().items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, rate)
        super().__post_init__()
        check_ranges(self, _RANGES)
        games = MINATAR_GAMES if self.suite == "minatar" else ATARI_GAMES
        check("game", self.game, self.game in games, f"one of {', '.join(games)}")
        if self.record is not None:
            is_gif = self.record.suffix.lower() == ".gif"
            check("record", str(self.record), is_gif, "the path of a .gif")
        self._check_rounds()
        self._check_replay()
        check(
            "evaluation_episodes",
            self.evaluation_episodes,
            self.suite == "ale" or not self.evaluation_episodes,
            "0 with MinAtar",
        )
        self._check_unused()

    def _check_rounds(self) -> None:
        steps, updates = self.round_steps, self.round_updates
        check(
            "agent_steps_per_update",
            self.agent_steps_per_update,
            math.isclose(steps / updates, self.agent_steps_per_update),
            f"a multiple or a whole part of num_envs={self.num_envs}",
        )
        check(
            "agent_steps_per_update",
            self.agent_steps_per_update,
            max(updates, self.game_steps) <= MOST_IN_A_ROUND,
            f"such that a round has at most {MOST_IN_A_ROUND} updates and as many "
            f"steps of each game; with num_envs={self.num_envs} it has {updates} and "
            f"{self.game_steps}",
        )
        check(
            "learning_starts_frames",
            self.sizes.learning_starts_frames,
            self.sizes.learning_starts_frames < self.num_frames,
            f"less than num_frames={self.num_frames}",
        )

    def _check_replay(self) -> None:
        check(
            "replay_steps",
            self.sizes.replay_steps,
            self.replay_positions >= 16 + self.switches.n_step,
            f"at least {16 + self.switches.n_step} for each game that is played",
        )

    def _check_unused(self) -> None:
        switches, schedule = self.switches, self.learning_rate_schedule
        fields: list[tuple[bool, Sequence[str], str]] = [
            (self.suite == "ale", _OF_ATARI, "with suite=minatar"),
            (
                schedule in ("cyclic", "cusum"),
                ("cycle_frames",),
                f"with learning_rate_schedule={schedule}",
            ),
            (schedule != "constant", ("warmup_fraction",), "with a constant rate"),
            (
                schedule != "constant" or self.stop_cycling_frames > 0,
                ("low_learning_rate",),
                "with a constant rate",
            ),
            # An alarm after this frame would raise the rate again.
            (schedule != "cusum", ("stop_cycling_frames",), "with a detector"),
            (self.reset != "none", ("reset_frames",), "without resets"),
            (switches.categorical, ("num_atoms", "v_max"), "unless categorical"),
            (switches.noisy, ("noise_scale",), "unless noisy"),
            (
                not switches.noisy,
                ("exploration_frames", "final_epsilon"),
                "with a noisy agent",
            ),
            (
                switches.prioritized,
                ("priority_exponent", "importance_exponent"),
                "unless prioritized",
            ),
        ]
        check_unread(self, fields, RATES[self.suite]._asdict())

    @property
    def switches(self) -> Switches:
        """The agent's switches, as changed by other fields."""
        return _changed(PRESETS[self.agent], self)

    @property
    def sizes(self) -> Sizes:
        """The suite's sizes, as changed by other fields."""
        sizes = SIZES if self.budget == "paper" else SHORT_SIZES
        return _changed(sizes[self.suite, self.agent], self)

    @property
    def replay_positions(self) -> int:
        """Steps of each game that the replay holds."""
        return self.sizes.replay_steps // self.num_envs

    @property
    def game_steps(self) -> int:
        """Steps of each game in a round."""
        return max(1, round(self.agent_steps_per_update / self.num_envs))

    @property
    def round_steps(self) -> int:
        """Steps of all games in a round."""
        return self.game_steps * self.num_envs

    @property
    def round_updates(self) -> int:
        """Updates in a round."""
        return max(1, round(self.num_envs / self.agent_steps_per_update))

    @property
    def round_frames(self) -> int:
        """Frames of all games in a round."""
        return self.round_steps * self.sizes.frames_per_step

    @property
    def num_steps(self) -> int:
        """Rounds of the run, which are the harness's steps."""
        return -(-self.num_frames // self.round_frames)

    def updates(self, frames: int) -> int:
        """How many updates come in some frames, at least 1."""
        return max(1, frames * self.round_updates // self.round_frames)

    @property
    def reset_updates(self) -> int:
        """Updates between resets, which come when their frames are over."""
        return -(-self.reset_frames * self.round_updates // self.round_frames)

    @property
    def learning_starts_round(self) -> int:
        """Rounds before the first update, at least those that fill one return."""
        first = -(-(self.switches.n_step + 1) // self.game_steps)
        return max(first, -(-self.sizes.learning_starts_frames // self.round_frames))

    @property
    def evaluation(self) -> Evaluation:
        """The episodes that are played separately."""
        episodes, epsilon = self.evaluation_episodes, self.evaluation_epsilon
        if episodes is None:
            episodes = 3 if self.suite == "ale" else 0
        if epsilon is None:
            epsilon = 0.0 if self.switches.noisy else 0.05
        return Evaluation(episodes, epsilon)

    @property
    def num_updates(self) -> int:
        """Updates of the whole run, once learning has started."""
        return self.updates(self.num_frames - self.sizes.learning_starts_frames)

    @property
    def cycle_updates(self) -> int:
        """Updates of a cycle."""
        return self.updates(self.cycle_frames)

    @property
    def stop_updates(self) -> int:
        """The update from which on the rate is low, counted from the first update.

        If the cycles do not stop, it is a number that is never reached.
        """
        if not self.stop_cycling_frames:
            return 2**30
        since = self.stop_cycling_frames - self.sizes.learning_starts_frames
        return self.updates(max(since, 0))


def _changed(defaults: Defaults, config: Config) -> Defaults:
    """Defaults, replaced by the fields of the same names that a config sets."""
    given = {name: getattr(config, name, None) for name in defaults._fields}
    return defaults._replace(**{k: v for k, v in given.items() if v is not None})
