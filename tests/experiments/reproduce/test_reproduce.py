"""The command from end to end, on a figure of a tiny network."""

import dataclasses
import functools
import json
import shutil

import numpy as np
import pytest

from experiments.harness import arm_group, arm_groups, members, plots
from experiments.harness.messages import UserError
from experiments.harness.run_directory import RunDirectory
from experiments.reproduce import __main__ as program
from experiments.reproduce import claims, drawing, registry
from experiments.reproduce.claims import Claim
from experiments.reproduce.figure import Figure, Preset
from experiments.reproduce.request import Request
from experiments.reproduce.runs import Runs
from helpers.checkout import programs
from helpers.checkout.parity import family

pytestmark = pytest.mark.slow

# As if width had been 64 in runs that were made before it was a field.
FAMILY = dataclasses.replace(family.FAMILY, before={"width": 64})
TINY = FAMILY.config_class(num_bits=4, width=4, num_steps=4, eval_every=2)
ARMS = {
    "slow": dataclasses.replace(TINY, learning_rate=1e-4),
    "fast": TINY,
    "wide": dataclasses.replace(TINY, width=32),
}
HOLDS = Claim(
    "it has an accuracy", functools.partial(Runs.late, arm="fast"), at_least=0
)
FAILS = Claim("it is perfect", functools.partial(Runs.late, arm="fast"), at_least=2)


def draw(runs, preset):
    figure, axes = plots.figure()
    drawing.panel(axes[0, 0], runs, {arm: arm for arm in preset.arms})
    return figure


def figure(*claims_, **options):
    preset = Preset(arms=ARMS, num_seeds=2, claims=claims_, note="Tiny.")
    presets = {"laptop": preset, "paper": preset}
    return Figure("test/tiny", "a tiny figure", FAMILY, presets, draw, **options)


def main(tiny, *argv):
    """Runs the command for a figure; returns code, stdout and stderr."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "known", lambda: {"test/tiny": tiny})
        return programs.redirected(program.main, *argv)


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """The tiny figure, run to its end: its directory and what the command gave."""
    path = tmp_path_factory.mktemp("reproduce") / "run"
    tiny = figure(HOLDS, table=lambda *_: claims.table(("x",), [(7,)]))
    return path, *main(tiny, "test/tiny", "--run-directory", path)


@pytest.fixture
def finished(ran):
    """The directory of the tiny figure, run to its end."""
    return ran[0]


def contents(path):
    return {
        str(file.relative_to(path)): file.read_bytes()
        for file in path.glob("*/metrics.jsonl")
    }


def test_a_figure_is_run_drawn_and_judged(ran):
    path, code, out, err = ran
    assert code == 0
    assert err.splitlines()[:2] == [
        "test/tiny (laptop): 3 arms x 2 seeds, 24 updates, about 0 s",
        "part 1 of 2: 2 arms x 2 seeds, 4 updates each",
    ]
    lines = out.splitlines()
    assert lines[0] == "| x |"
    assert lines[-3].startswith("holds          it has an accuracy: ")
    assert lines[-2] == "Training: none of 6 runs diverged or collapsed."
    assert lines[-1] == str(path / "tiny.png")
    assert (path / "tiny.png").read_bytes().startswith(b"\x89PNG")
    verdict = json.loads((path / "verdict.json").read_text())
    assert (verdict["figure"], verdict["all_hold"]) == ("test/tiny", True)
    assert len(verdict["claims"][0]["measured"]) == 2
    assert verdict["outcome"] == lines[-2]
    text = (path / "claims.md").read_text()
    for part in ("# test/tiny, laptop", "Tiny.", "| it has an accuracy |", "| 7 |"):
        assert part in text


def test_seeds_may_be_of_a_figures_own_and_arms_know_their_data(tmp_path):
    tiny = figure(HOLDS)
    preset = dataclasses.replace(tiny.presets["laptop"], num_seeds=1, first_seed=7)
    looked = dataclasses.replace(
        FAMILY, resolve=lambda config: dataclasses.replace(config, num_bits=3)
    )
    tiny = dataclasses.replace(tiny, family=looked, presets={"laptop": preset})
    code, out, _ = main(tiny, "test/tiny", "--run-directory", tmp_path, "--seeds", 2)
    assert (code, "none of 6 runs" in out) == (0, True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "known", lambda: {"test/tiny": tiny})
        own = Request("test/tiny", "laptop", 2, tmp_path, {})
        assert list(own.seeds) == [7, 8]
        assert {config.num_bits for config in own.arms.values()} == {3}
        assert all(arm_group.is_finished(looked, unit) for unit in own.units())


def test_what_became_of_runs_is_said_in_their_familys_words(finished):
    def in_words(rows, config):
        assert len(rows) == len({row["step"] for row in rows})
        wide = config.width == 32 and rows[0]["seed"] == 1
        return "learned, collapsed at update 4 (to chance)" if wide else "learned"

    tiny = figure(HOLDS)
    tiny = dataclasses.replace(
        tiny, family=dataclasses.replace(FAMILY, in_words=in_words)
    )
    _, out, _ = main(tiny, "test/tiny", "--run-directory", finished, "--draw-only")
    said = "Training: 1 of 6 runs collapsed (wide, seed 1, at update 4)."
    assert out.splitlines()[-2] == said


def test_a_claim_that_fails_gives_1_and_nothing_is_run_twice(finished, monkeypatch):
    monkeypatch.setattr(members, "train_members", pytest.fail)
    for options in ([], ["--draw-only"]):
        code, out, _ = main(
            figure(HOLDS, FAILS), "test/tiny", "--run-directory", finished, *options
        )
        assert code == 1
        assert [line[:15].strip() for line in out.splitlines()[:-2]] == [
            "holds",
            "does not hold",
        ]


def test_an_interrupted_figure_continues_where_it_was(tmp_path, finished, monkeypatch):
    path = tmp_path / "run"
    argv = ("test/tiny", "--run-directory", path)
    record, recorded = RunDirectory.record, []

    def interrupted(self, step, *args):
        if len(recorded) == 3:  # in the middle of the second part
            raise KeyboardInterrupt
        recorded.append((self.path.name, step))
        record(self, step, *args)

    monkeypatch.setattr(arm_group, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(RunDirectory, "record", interrupted)
    code, _, err = main(figure(HOLDS), *argv)
    assert code == 130
    assert err.splitlines()[-1].endswith("run the same command again to continue")
    code, _, err = main(figure(HOLDS), *argv, "--draw-only")
    assert (code, err.count("\n")) == (1, 1)
    assert "(wide) has not been run to its end" in err

    first = list(recorded)

    def counted(self, step, *args):
        recorded.append((self.path.name, step))
        record(self, step, *args)

    monkeypatch.setattr(RunDirectory, "record", counted)
    assert main(figure(HOLDS), *argv)[0] == 0
    assert recorded[len(first) :] == [(first[-1][0], 4)]
    assert contents(path) == contents(finished)


def test_what_is_measured_beside_the_runs_is_measured_once(finished):
    calls = []

    def measure(preset):
        calls.append(len(preset.arms))
        return {"seconds": 0.5}

    claim = Claim("t", lambda runs: np.asarray([runs.extra["seconds"]]), at_most=1)
    tiny = figure(claim, measure=measure)
    argv = ("test/tiny", "--run-directory", finished)
    code, _, err = main(tiny, *argv, "--draw-only")
    assert (code, err.count("\n")) == (1, 1)
    assert "measured.json is missing: run without --draw-only" in err
    assert [main(tiny, *argv)[0] for _ in range(2)] == [0, 0]
    assert calls == [3]
    # What was measured for other arms is measured again.
    path = finished / "measured.json"
    path.write_text(json.dumps({"seconds": 9.0}))
    assert main(tiny, *argv)[0] == 0
    assert calls == [3, 3]
    for junk in (b"", b"[]", b"\xff", b'{"settings": ["7e"], "num_seeds": 2}'):
        path.write_bytes(junk)
        assert main(tiny, *argv, "--draw-only")[0] == 1
    assert main(tiny, *argv)[0] == 0
    assert calls == [3, 3, 3]
    # More seeds are enough, other settings under the same names are not.
    for changes, code in (({"num_seeds": 5}, 0), ({"settings": ["7e"] * 2}, 1)):
        saved = json.loads(path.read_text()) | changes
        path.write_text(json.dumps(saved))
        assert main(tiny, *argv, "--draw-only")[0] == code


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["lyle2025/fig99"], "no figure 'lyle2025/fig99' here: python -m"),
        (["tests/tiny"], "'tests/tiny' here (did you mean test/tiny?): python -m"),
        ([], "name a figure: python -m experiments.reproduce --list names all"),
        (["test/tiny", "--scale", "huge"], "invalid choice 'huge'"),
        (
            ["test/tiny", "--seeds", "-1"],
            "seeds=-1: must be at least 0 and at most 10000",
        ),
        (["test/tiny", "--drawonly"], "unknown flag --drawonly"),
        (["test/tiny", "--list"], "list shows every figure: leave out"),
        (["test/tiny", "more"], "unexpected argument 'more'"),
    ],
)
def test_a_mistake_is_one_line(argv, message):
    code, out, err = main(figure(HOLDS), *argv)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert message in err


def test_the_list_needs_no_figure():
    code, out, err = main(figure(HOLDS), "--list")
    assert (code, err) == (0, "")
    assert "Lyle et al., 2025" in out


def test_arms_share_a_group_if_only_numbers_differ():
    groups = arm_groups.groups(FAMILY, ARMS, range(2))
    assert [list(group.arms) for group in groups] == [["slow", "fast"], ["wide"]]
    more = arm_groups.groups(FAMILY, ARMS, range(3))
    assert more[0].digest != groups[0].digest
    # A field that is added to the config later must not rename directories.
    assert "width" not in groups[1].arms["wide"]
    assert groups[1].all_settings["wide"]["width"] == 32


@pytest.mark.parametrize("known_then", [True, False])
def test_runs_with_other_defaults_are_refused(finished, tmp_path, known_then):
    """Also those made before the field was there."""
    directory = tmp_path / "run"
    shutil.copytree(finished, directory)
    for path in directory.glob("*/config.json"):
        saved = json.loads(path.read_text())
        for settings in saved["config"]["all_settings"].values():
            del settings["width"]
            if known_then:
                settings["width"] = 64
        path.write_text(json.dumps(saved))
    for use in (arm_groups.run, lambda *args: list(arm_groups.rows(*args))):
        with pytest.raises(UserError, match=r"width is 64 there and 4 here"):
            use(FAMILY, ARMS, range(2), directory)
