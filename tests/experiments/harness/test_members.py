import dataclasses

import jax
import numpy as np

from experiments.harness.config import RunConfig, per_member, per_member_fields
from experiments.harness.members import hyperparameters, init_members


@dataclasses.dataclass(frozen=True)
class Config(RunConfig):
    rate: float = per_member(0.5)
    delay: int = per_member(2, "delay", "left")
    strength: float | None = per_member(None, "usual_strength")
    width: int = 3

    @property
    def left(self):
        return 10 - self.delay

    @property
    def usual_strength(self):
        return 7.0 if self.strength is None else self.strength


class Experiment:
    has_convolutions = False
    compiler_options = {}  # noqa: RUF012

    def init(self, seed, hyper):
        return jax.random.bits(jax.random.key(seed)), hyper.rate


def test_a_step_reads_what_follows_from_the_marked_fields():
    assert per_member_fields(Config) == {
        "rate": ("rate",),
        "delay": ("delay", "left"),
        "strength": ("usual_strength",),
    }
    numbers = hyperparameters(Config(delay=4))._asdict()
    assert numbers == {"rate": 0.5, "delay": 4, "left": 6, "usual_strength": 7.0}


def test_members_have_their_own_seeds_and_numbers():
    configs = [Config(seed=3), Config(seed=2**32 - 1, rate=0.25)]
    bits, hyper, rates = init_members(Experiment(), configs)
    expected = [jax.random.bits(jax.random.key(np.uint32(c.seed))) for c in configs]
    np.testing.assert_array_equal(bits, expected)
    np.testing.assert_array_equal(hyper.rate, [0.5, 0.25])
    np.testing.assert_array_equal(rates, [0.5, 0.25])
