"""The agents: one with switches, and presets of them after two papers."""

from typing import NamedTuple


class Switches(NamedTuple):
    """Parts of an agent besides Q-learning with a replay and a target network."""

    double: bool
    """The trained network chooses the next action, and the target network values it."""
    dueling: bool
    """The network has one stream for the state and one for the actions."""
    categorical: bool
    """A value is a distribution on atoms."""
    noisy: bool
    """The layers after the torso are noisy, and actions are greedy."""
    prioritized: bool
    """Transitions with larger losses are drawn more often."""
    n_step: int
    """Steps of a return."""
    adam_eps: float
    """Adam adds this to the root of its second moment."""
    max_grad_norm: float
    """Gradients of a larger global norm are scaled down to this norm; infinity means no
    limit."""


PRESETS = {
    # Mnih et al. (2015), but with Adam, as Lyle et al. (2025) have it; its epsilon is
    # that of later work. DQN Zoo has centred RMSProp.
    "dqn": Switches(
        double=False,
        dueling=False,
        categorical=False,
        noisy=False,
        prioritized=False,
        n_step=1,
        adam_eps=0.01 / 32,
        max_grad_norm=float("inf"),
    ),
    # Hessel et al. (2018).
    "rainbow": Switches(
        double=True,
        dueling=True,
        categorical=True,
        noisy=True,
        prioritized=True,
        n_step=3,
        adam_eps=0.005 / 32,
        max_grad_norm=10.0,
    ),
}


class Sizes(NamedTuple):
    """Sizes that fit a suite of games; times in frames."""

    frames_per_step: int
    """Frames of the game in a step of the agent."""
    replay_steps: int
    """Steps that the replay holds."""
    learning_starts_frames: int
    """Frames before the first update."""
    target_period_frames: int
    """Frames between copies of the target network."""
    exploration_frames: int
    """Frames in which exploration falls to its final rate."""


SIZES = {
    # For 200 million frames, DQN Zoo's: learning starts at 50,000 steps of DQN and
    # 20,000 of Rainbow.
    ("ale", "dqn"): Sizes(4, 1_000_000, 200_000, 40_000, 4_000_000),
    ("ale", "rainbow"): Sizes(4, 1_000_000, 80_000, 32_000, 4_000_000),
    # Of MinAtar's authors (Young and Tian, 2019).
    ("minatar", "dqn"): Sizes(1, 100_000, 5_000, 1_000, 100_000),
    ("minatar", "rainbow"): Sizes(1, 100_000, 5_000, 1_000, 100_000),
}

SHORT_SIZES = SIZES | {
    ("ale", "dqn"): Sizes(4, 50_000, 16_000, 8_000, 100_000),
    ("ale", "rainbow"): Sizes(4, 50_000, 16_000, 8_000, 100_000),
}
"""For a million frames of Atari, as agents with few frames are set."""


class Rates(NamedTuple):
    """Learning rates that fit a suite of games."""

    learning_rate: float
    """The peak of a schedule."""
    low_learning_rate: float
    """The trough of cycles."""


RATES = {
    # Of Lyle et al. (2025), and of Rainbow with Adam.
    "ale": Rates(6.25e-5, 1e-6),
    # Higher ones, for a small network and short runs.
    "minatar": Rates(1e-3, 1e-5),
}
