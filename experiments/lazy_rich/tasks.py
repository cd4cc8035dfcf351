"""The tasks, each a family of runs and a sub-command."""

from typing import Any

from experiments.harness.family import Family
from experiments.lazy_rich.dmft.family import FAMILY as DMFT
from experiments.lazy_rich.eigenvector_labels.family import FAMILY as EIGENVECTOR
from experiments.lazy_rich.hermite.family import FAMILY as HERMITE
from experiments.lazy_rich.images.family import FAMILY as IMAGES
from experiments.lazy_rich.modular.family import FAMILY as MODULAR
from experiments.lazy_rich.polynomial.family import FAMILY as POLYNOMIAL
from experiments.lazy_rich.student_teacher.family import FAMILY as STUDENT_TEACHER
from experiments.lazy_rich.transformer.family import FAMILY as TRANSFORMER

PROG = "python -m experiments.lazy_rich"
ABOUT = "From lazy to rich training (Kumar et al., 2024): one run of a task."
FAMILIES: tuple[Family[Any], ...] = (
    POLYNOMIAL,
    MODULAR,
    STUDENT_TEACHER,
    IMAGES,
    TRANSFORMER,
    EIGENVECTOR,
    HERMITE,
    DMFT,
)
