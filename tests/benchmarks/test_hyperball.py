import pytest

from benchmarks import hyperball


@pytest.mark.slow
def test_every_table_has_its_rows(capfd):
    hyperball.main(
        ["--updates=3", "--drift-side=16", "--sides", "16", "--turns=1"],
    )
    printed = capfd.readouterr().out
    for row in ("MuonH, hyperball", "nap, leaf by leaf", "usual, shard_map, psum"):
        assert row in printed
    radius = next(x for x in printed.splitlines() if x.startswith("hyperball's radius"))
    assert radius.split()[-3:] == ["1", "1", "1"]
