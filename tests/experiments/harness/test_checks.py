import dataclasses

import pytest

from experiments.harness.checks import check, check_numbers, check_range


@dataclasses.dataclass
class Numbers:
    integer: int = 0
    number: float = 0.0
    several: tuple[float, ...] = ()
    flag: bool = True
    name: str = "nan"
    seed: int = 2**32


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"integer": 2**31}, "integer=2147483648: must be at most 2147483647 in size"),
        ({"integer": -(2**31)}, "integer=-2147483648: must be at most"),
        ({"number": float("nan")}, "number=nan: must be a number"),
        ({"number": -float("inf")}, "number=-inf: must be at most 3.4e"),
        ({"number": 1e40}, "number=1e.40: must be at most 3.4e.38 in size"),
        ({"number": 1e-40}, "number=1e-40: must be 0 or at least 1.2e-38 in size"),
        ({"several": (1.0, 1e40)}, "several=1e.40: must be at most"),
    ],
)
def test_numbers_are_those_that_devices_hold(changes, message):
    check_numbers(Numbers(2**31 - 1, -3.4e38, (0.0, 1.2e-38)), apart=("seed",))
    with pytest.raises(ValueError, match=message):
        check_numbers(Numbers(**changes), apart=("seed",))
    with pytest.raises(ValueError, match="seed=4294967296"):
        check_numbers(Numbers())


def test_check_range_names_bounds_and_flag_and_refuses_nan():
    check_range("a", 1, at_least=1, at_most=1)
    for value in (0.9, 1.1, float("nan")):
        with pytest.raises(ValueError, match="at least 1 and at most 1"):
            check_range("a", value, at_least=1, at_most=1)
    for bound in ("above", "at_least", "below", "at_most"):
        with pytest.raises(ValueError, match="a=nan"):
            check_range("a", float("nan"), **{bound: 0})
    with pytest.raises(ValueError, match=r"^o.l_r=0: must be greater than 0 \(--o.l-r"):
        check_range("o.l_r", 0, above=0)
    with pytest.raises(ValueError, match=r"^k=3: must be even \(--k\)$"):
        check("k", 3, False, "even")
