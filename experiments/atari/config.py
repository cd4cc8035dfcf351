"""What a run on Atari or MinAtar can be asked for."""

import dataclasses
import math
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
from experiments.harness.checks import Ranges, check, check_ranges
from experiments.harness.config import RunConfig, per_member

Suite = Literal["minatar", "ale"]
Agent = Literal["dqn", "rainbow"]
Schedule = Literal["constant", "cyclic", "one_cycle", "cusum"]
Reset = Literal["none", "full", "last_layers"]
Budget = Literal["paper", "short"]
Defaults = TypeVar("Defaults", Switches, Sizes)


class Evaluation(NamedTuple):
    """Episodes that are played apart and not learned from."""

    episodes: int
    """How many."""
    epsilon: float
    """Share of random actions."""


_RANGES: Ranges = (
    (
        {"at_least": 1},
        (
            *("num_frames", "cycle_frames", "num_envs", "batch_size", "n_step"),
            *("replay_steps", "target_period_frames", "exploration_frames"),
            "reset_frames",
        ),
    ),
    ({"at_least": 0}, ("learning_starts_frames", "stop_cycling_frames")),
    ({"at_least": 0, "at_most": 10_000}, ("evaluation_episodes", "max_noops")),
    ({"at_least": 0, "at_most": 1}, ("evaluation_epsilon",)),
    ({"at_least": 0}, ("weight_decay",)),
    ({"above": 0}, ("learning_rate", "low_learning_rate", "agent_steps_per_update")),
    ({"above": 0}, ("adam_eps", "v_max", "max_grad_norm")),
    ({"at_least": 0, "at_most": 1}, ("discount", "final_epsilon", "warmup_fraction")),
    ({"at_least": 0, "at_most": 1}, ("sticky_actions", "importance_exponent")),
    ({"at_least": 0}, ("priority_exponent",)),
    ({"at_least": 2, "at_most": 10_000}, ("num_atoms",)),
)


@dataclasses.dataclass(frozen=True)
class Config(RunConfig):
    """Trains a value-based agent on a game, with a learning rate that may cycle.

    Times are in frames of the game: a step of the agent is one frame of MinAtar and
    four of Atari. After a run, the directory holds its metrics, figure, summary and
    checkpoints. The same command continues an interrupted run.
    """

    suite: Suite = "minatar"
    """The game is one of MinAtar, compiled with the agent, or of Atari on the ALE."""
    game: str = "Breakout"
    """Its name, such as SpaceInvaders."""
    agent: Agent = "dqn"
    """The agent is DQN (Mnih et al., 2015) or Rainbow (Hessel et al., 2018), but for
    what the following flags change."""
    double: bool | None = None
    """The network that learns chooses the next action, the target network values it.
    By default as of the agent, like all that is None."""
    dueling: bool | None = None
    """The network has a stream for the state and one for the actions."""
    categorical: bool | None = None
    """A value is a distribution on atoms."""
    noisy: bool | None = None
    """The layers behind the torso are noisy, and actions are greedy."""
    prioritized: bool | None = None
    """Transitions are drawn by their losses."""
    n_step: int | None = None
    """A return has this many steps: 1 of DQN, 3 of Rainbow."""
    agent_steps_per_update: float = 4.0
    """The agent makes this many steps for each update; 0.5 for two updates each. The
    paper has 4 (few updates) and 1 (many)."""
    budget: Budget = "paper"
    """Times of Atari that are not set are those of the papers, for 200 million frames,
    or fit a million (short): the replay holds 50,000 steps, the first update comes
    after 16,000 frames, the target network is copied after 8,000, and exploration
    falls over 100,000."""
    num_frames: int = 500_000
    """The run has this many frames. The paper has 200 million of Atari."""
    learning_rate_schedule: Schedule = "constant"
    """The rate stays (constant); rises linearly and falls along half a cosine again
    and again (cyclic) or once in the whole run (one_cycle); or does so once, and again
    whenever a detector sees the TD error grow (cusum)."""
    learning_rate: float | None = per_member(None)
    """The schedule peaks at this rate: by default the paper's 6.25e-5 on Atari, and
    1e-3 on MinAtar."""
    low_learning_rate: float | None = per_member(None)
    """Cycles begin and end at this rate: by default the paper's 1e-6 on Atari, and 1e-5
    on MinAtar."""
    cycle_frames: int = per_member(100_000, "cycle_updates")
    """A cycle, of the cyclic and the cusum schedule, takes this many frames. The
    paper's ten cycles of Atari take 40 million."""
    stop_cycling_frames: int = per_member(0, "stop_updates")
    """From this frame on the rate is low for good; 0 for never. The paper has 8, 20
    and 40 million on Atari."""
    warmup_fraction: float = 0.1
    """This part of each cycle is linear warm-up."""
    normalize: bool = False
    """The network is in its form for projection: a LayerNorm before each ReLU, in
    place of biases."""
    project: bool = False
    """Projection holds the norm of each kernel but the last at its initial value. The
    target network is copied from weights that are projected, and never projected
    itself."""
    weight_decay: float = per_member(0.0)
    """Kernels decay by this, decoupled and times the learning rate. The paper has an
    arm with 0.01."""
    reset: Reset = "none"
    """Now and then all weights (full) or those of the output layers (last_layers) are
    initialised again, with what the optimizer knows of them, and the target network is
    their copy."""
    reset_frames: int = 200_000
    """That is so often."""
    num_envs: int = 1
    """So many games are played at once, each a step at a time."""
    batch_size: int = 32
    """An update has this many transitions."""
    discount: float = 0.99
    """A reward counts by this factor less for each step that it comes later."""
    replay_steps: int | None = None
    """The replay holds this many steps: 1,000,000 of Atari, 100,000 of MinAtar."""
    learning_starts_frames: int | None = None
    """The first update comes after this many frames: 200,000 of Atari (Rainbow:
    80,000), 5,000 of MinAtar."""
    target_period_frames: int | None = None
    """The target network is copied this often: after 40,000 frames of Atari (Rainbow:
    32,000), 1,000 of MinAtar."""
    exploration_frames: int | None = None
    """Random actions fall from all to their final share over this many frames, once
    learning has started: 4,000,000 of Atari, 100,000 of MinAtar. A noisy agent has
    none."""
    final_epsilon: float = 0.1
    """This share of actions is random at the end."""
    num_atoms: int = 51
    """A distribution has this many atoms."""
    v_max: float = 10.0
    """They lie between this and its negative."""
    noise_scale: float = 0.1
    """Noise starts at this, over the root of a layer's inputs."""
    priority_exponent: float = 0.5
    """Transitions are drawn in proportion to this power of their losses."""
    importance_exponent: float = 0.4
    """Weights make up for that by this power at the beginning of the run, and by 1 at
    its end."""
    adam_eps: float | None = None
    """Adam adds this to the root of its second moment: 3.1e-4 of DQN, 1.6e-4 of
    Rainbow."""
    max_grad_norm: float | None = None
    """Gradients of a larger norm are scaled down to this: 10 of Rainbow."""
    clip_rewards: bool = True
    """What is learned from are rewards clipped to ±1; scores are raw."""
    sticky_actions: float = 0.0
    """With this probability the action before is carried out again. Machado et al.
    (2018) have 0.25 on Atari, MinAtar's authors 0.1."""
    life_loss_is_terminal: bool = False
    """What comes after a lost life of Atari counts for nothing; the episode goes on."""
    full_action_set: bool = False
    """All 18 actions of Atari can be chosen, not only those that the game knows."""
    max_noops: int = 30
    """An episode of Atari starts with 1 to this many frames without an action."""
    evaluation_episodes: int | None = None
    """So many episodes are played apart whenever metrics are logged, and not learned
    from: 3 of Atari; MinAtar has none."""
    evaluation_epsilon: float | None = None
    """This share of their actions is random: 0.05 of DQN; 0 of a noisy agent, which
    plays them without noise."""
    seed: int = 0
    """Weights, exploration, batches and the game are drawn with this seed."""
    eval_every: int = 5_000
    """Metrics are logged once every this many rounds. A round is one update with the
    steps before it, or one step of each game with the updates after it."""
    checkpoint_seconds: float = 30.0
    """Two checkpoints are at least this many seconds apart."""
    record: Path | None = None
    """When the run is finished, an episode of its agent is written here, as a GIF: at
    most 1,000 steps, and eight megabytes."""

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

    def _check_rounds(self) -> None:
        steps, updates = self.round_steps, self.round_updates
        check(
            "agent_steps_per_update",
            self.agent_steps_per_update,
            math.isclose(steps / updates, self.agent_steps_per_update),
            f"a multiple or a whole part of num_envs={self.num_envs}",
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

    @property
    def switches(self) -> Switches:
        """The agent's, with what other fields change."""
        return _changed(PRESETS[self.agent], self)

    @property
    def sizes(self) -> Sizes:
        """The suite's, with what other fields change."""
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
        """Rounds of the run, which the harness takes for steps."""
        return -(-self.num_frames // self.round_frames)

    def updates(self, frames: int) -> int:
        """How many updates come in some frames, at least 1."""
        return max(1, frames * self.round_updates // self.round_frames)

    @property
    def learning_starts_round(self) -> int:
        """Before the first update there are so many rounds."""
        return -(-self.sizes.learning_starts_frames // self.round_frames)

    @property
    def evaluation(self) -> Evaluation:
        """What is played apart."""
        episodes, epsilon = self.evaluation_episodes, self.evaluation_epsilon
        if episodes is None:
            episodes = 3 if self.suite == "ale" else 0
        if epsilon is None:
            epsilon = 0.0 if self.switches.noisy else 0.05
        return Evaluation(episodes, epsilon)

    @property
    def num_updates(self) -> int:
        """Updates of the whole run, if learning starts at once."""
        return self.updates(self.num_frames)

    @property
    def cycle_updates(self) -> int:
        """Updates of a cycle."""
        return self.updates(self.cycle_frames)

    @property
    def stop_updates(self) -> int:
        """The update from which on the rate is low, counted from the first one.

        Without an end it is one that never comes.
        """
        if not self.stop_cycling_frames:
            return 2**30
        since = self.stop_cycling_frames - self.sizes.learning_starts_frames
        return self.updates(max(since, 0))


def _changed(defaults: Defaults, config: Config) -> Defaults:
    """Defaults with the fields of a config that have their names and are set."""
    given = {name: getattr(config, name, None) for name in defaults._fields}
    return defaults._replace(**{k: v for k, v in given.items() if v is not None})
