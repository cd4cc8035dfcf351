import pytest

from benchmarks import lazy_rich


@pytest.mark.slow
def test_every_section_has_its_figures(capfd):
    lazy_rich.main(["--small", "--rounds=1"])
    printed = capfd.readouterr().out
    for row in (
        "moments, vectorised: ",
        "theory: N = 2, T = 4, 20 samples",
        "floor",
        "products with vectors: ",
    ):
        assert row in printed


def test_a_ratio_is_taken_round_by_round():
    found = lazy_rich.ratio([1.0, 20.0, 3.0], [2.0, 10.0, 6.0])
    assert found == "0.50 x [0.50, 2.00]"
