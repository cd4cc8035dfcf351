"""What the figures of students and teachers share: their sizes at each scale."""

import functools

from experiments.lazy_rich.student_teacher.family import FAMILY
from experiments.reproduce import lazy_rich
from experiments.reproduce.lazy_rich import Size

LAPTOP = Size(
    {"num_steps": 12_000, "eval_every": 100},
    "A student whose initial weights are doubled, AdamW (with a decay of .05 where no "
    "other is named) and 200 examples, for 12,000 updates; the paper leaves decay, "
    "rate and examples to Liu et al. (2022).",
)
PAPER = Size({"num_steps": 50_000, "eval_every": 100})

figure = functools.partial(lazy_rich.figure, family=FAMILY, laptop=LAPTOP, paper=PAPER)
"""`lazy_rich.figure`, with keywords: of this task."""
