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
