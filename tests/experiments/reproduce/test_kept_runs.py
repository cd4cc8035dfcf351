"""The runs that `docs/runs` keeps are those of the figures as they are now."""

import tarfile

import pytest

from experiments.atari.family import FAMILY as ATARI
from experiments.harness import arm_group, arm_groups
from experiments.reproduce import registry
from experiments.reproduce.reproduce import reproduce
from helpers.checkout.programs import ROOT

HOLDING = {
    "lyle2025_fig5a": 2,
    "lyle2025_fig6": 1,
    "nap_minatar_cycles": 1,
    "nap_warm_start_gap": 4,
    "nap_warm_start_methods": 11,
    "nap_warm_start_resnet": 1,
}
"""How many claims hold, as the pages tell, where all runs of a figure are kept."""
ARCHIVES = sorted((ROOT / "docs" / "runs").glob("*.tar.xz"))


@pytest.mark.slow
@pytest.mark.parametrize("archive", ARCHIVES, ids=lambda path: path.name)
def test_kept_runs_are_taken_and_draw_a_figure_that_is_whole(archive, tmp_path, capsys):
    with tarfile.open(archive) as kept:
        kept.extractall(tmp_path, filter="data")
    # FIGURE.tar.xz, or FIGURE.SCALE.tar.xz at another scale than laptop
    name, _, scale = archive.name.removesuffix(".tar.xz").partition(".")
    figure = registry.find(name.replace("_", "/", 1))
    preset = figure.preset(scale or "laptop", {})
    seeds = preset.seeds(None)
    units = arm_groups.units(figure.family, preset.arms, seeds, tmp_path)
    finished = [arm_group.is_finished(figure.family, unit) for unit in units]
    assert sum(finished) == len(list(tmp_path.rglob("finished.json"))) > 0
    if all(finished):
        if figure.family is ATARI:
            pytest.importorskip("rliable", reason="the extra [atari] is not installed")
        verdicts = reproduce(figure, scale or "laptop", tmp_path, draw_only=True)
        assert len(verdicts) == len(preset.claims)
        assert sum(verdict.holds for verdict in verdicts) == HOLDING[name]
        assert ".png" in capsys.readouterr().out
