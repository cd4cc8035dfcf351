import pytest

from experiments.harness.checks import check, check_range


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
