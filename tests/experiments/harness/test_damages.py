"""Every file of a run directory, damaged in every way: nothing is lost.

After each damage the command ends with the right results, or with one or two lines that
say why not. It does not change intact files. When the damage is undone, it ends with
the bits of a run that was never damaged.
"""

import collections
import dataclasses
import errno
import hashlib
import io
import json
import os
import shutil
from pathlib import Path

import jax
import pytest

from experiments.harness import command_line, family, loop, members
from experiments.harness.run_directory import RunDirectory
from experiments.harness.run_files import is_finished
from helpers.checkout.parity.family import FAMILY
from helpers.checkout.programs import flags

pytestmark = pytest.mark.slow

CONFIG = FAMILY.config_class(
    num_steps=8, eval_every=2, num_bits=3, width=2, checkpoint_seconds=0.0
)
STRANGERS = b"a user's own file\n"


@dataclasses.dataclass
class Place:
    """A copy of a run directory, a file of it, and a file beside it."""

    run: Path
    path: Path
    user: Path
    unreadable: set


def remove(at):
    at.path.unlink()


def empty(at):
    at.path.write_bytes(b"")


def cut(share):
    def damage(at):
        os.truncate(at.path, int(at.path.stat().st_size * share))

    damage.__name__ = f"cut_to_{share}"
    return damage


def cut_one_byte(at):
    os.truncate(at.path, at.path.stat().st_size - 1)


def flip(share):
    def damage(at):
        data = bytearray(at.path.read_bytes())
        start = int(share * len(data))
        data[start : start + 10] = bytes(byte ^ 1 for byte in data[start : start + 10])
        at.path.write_bytes(data)

    damage.__name__ = f"flip_at_{share}"
    return damage


def junk(at):
    at.path.write_bytes(bytes(range(256)) * 2)


def junk_lines(at):
    at.path.write_bytes(b"5\n[]\n{}\nnull\n" + b"[" * 5000 + b"\n")


def nuls(at):
    at.path.write_bytes(bytes(at.path.stat().st_size))


def other_json(text):
    def damage(at):
        at.path.write_text(text)

    damage.__name__ = f"json_{text}"
    return damage


def changed_values(at):
    """Whatever are numbers, others; whatever are texts, numbers."""
    data = at.path.read_bytes()
    at.path.write_bytes(data.translate(bytes.maketrans(b"12345678", b"9" * 8)))


def another_version(at):
    saved = json.loads(at.path.read_text())
    saved["run_directory_version"] = 2
    at.path.write_text(json.dumps(saved))


def directory(at):
    at.path.unlink()
    at.path.mkdir()


def full_directory(at):
    directory(at)
    (at.path / "x").write_bytes(STRANGERS)


def dangling(at):
    at.path.unlink()
    at.path.symlink_to(at.user.with_name("unmounted"))


def loop_of_links(at):
    at.path.unlink()
    at.path.symlink_to(at.path.name)


def link_to_a_user(at):
    at.path.unlink()
    at.path.symlink_to(at.user)


def moved_behind_a_link(at):
    moved = at.user.with_name("moved")
    shutil.move(at.path, moved)
    at.path.symlink_to(moved)


def fifo(at):
    at.path.unlink()
    os.mkfifo(at.path)


def folder_gone(at):
    shutil.rmtree(at.path)


def file_for_a_folder(at):
    folder_gone(at)
    at.path.write_bytes(b"")


def folder_behind_a_link(at):
    moved_behind_a_link(at)


def folder_emptied(at):
    for path in at.path.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def folder_renamed(at):
    at.path.rename(at.path.with_name("99"))


def folder_copied(at):
    shutil.copytree(at.path, at.path.with_name("99"))


def folder_of_a_user_beside(at):
    beside = at.path.with_name("9")
    beside.mkdir()
    (beside / "thesis.tex").write_bytes(STRANGERS)


def inner_folder_behind_a_link(at):
    inner = next(path for path in sorted(at.path.iterdir()) if path.is_dir())
    moved = at.user.with_name("moved")
    shutil.move(inner, moved)
    inner.symlink_to(moved)


def dangling_folder(at):
    folder_gone(at)
    at.path.symlink_to(at.user.with_name("unmounted"))


def unreadable(at):
    at.unreadable.add(str(at.path))


DAMAGES = [
    *(remove, empty, cut_one_byte, cut(0.5), flip(0.0), flip(0.5), junk, nuls),
    *(another_version, directory, dangling, loop_of_links, link_to_a_user, unreadable),
]
OF_FOLDERS = [
    *(folder_gone, file_for_a_folder, folder_behind_a_link, dangling_folder),
    *(folder_emptied, folder_renamed, folder_copied, folder_of_a_user_beside),
    inner_folder_behind_a_link,
]
MORE = [
    *(cut(0.1), cut(0.9), flip(0.25), flip(0.75), flip(0.95), junk_lines),
    *(other_json(text) for text in ("5", "{}", "[]", "null", '[{"seed": 7}]', '"a"')),
    *(changed_values, full_directory, moved_behind_a_link, fifo),
]


def files_of(run):
    return sorted(path.relative_to(run) for path in run.rglob("*") if path.is_file())


def is_of(path, damage):
    """Whether a damage makes sense there."""
    return damage is not another_version or path.name in (
        "config.json",
        "finished.json",
    )


def contents(run, but):
    """What each name in a directory holds; a lock says who holds it."""
    found = {}
    for path in sorted(run.rglob("*")):
        name = str(path.relative_to(run))
        if but == name or but + "/" in name or name == ".lock":
            continue
        if path.is_symlink():
            found[name] = os.readlink(path)
        elif path.is_file():
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
        else:
            found[name] = "directory"
    return found


@pytest.fixture(scope="module")
def quick():
    """Compiles once for all runs, which are of one config."""
    compile_chunk, init_members = loop.compile_chunk, members.init_members
    kept = {}

    def compiled(*args, **options):
        return kept.setdefault("chunk", compile_chunk(*args, **options))

    def initialised(*args):
        if "start" not in kept:
            kept["start"] = jax.device_get(init_members(*args))
        return jax.device_put(kept["start"])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "compile_chunk", compiled)
        patch.setattr(members, "init_members", initialised)
        patch.setattr("experiments.harness.plots.save", save_quickly)
        patch.setattr("experiments.harness.environment.describe", lambda: KNOWN)
        yield


KNOWN = {"rounding": {}}


def save_quickly(figure, path):
    from experiments.harness import files

    files.write_atomically(path, b"\x89PNG")


@pytest.fixture(scope="module")
def originals(quick, tmp_path_factory):
    """A finished run, and one that was stopped after its third evaluation."""
    top = tmp_path_factory.mktemp("originals")
    for name in ("finished", "stopped"):
        config = dataclasses.replace(CONFIG, run_directory=top / name)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(RunDirectory, "checkpoint_due", lambda *_: True)
            if name == "finished":
                family.run(FAMILY, config)
                continue
            patch.setattr(RunDirectory, "record", stopping(RunDirectory.record))
            with pytest.raises(KeyboardInterrupt):
                family.run(FAMILY, config)
    return top


def stopping(record):
    def stop(self, step, *args):
        record(self, step, *args)
        if step == 6:
            raise KeyboardInterrupt

    return stop


@pytest.fixture
def injected(monkeypatch):
    """Names that cannot be read, as of storage whose permission comes and goes."""
    names = set()

    def refusing(call):
        def called(path, *args, **options):
            if not isinstance(path, int) and os.fspath(path) in names:
                raise OSError(errno.EIO, os.strerror(errno.EIO), os.fspath(path))
            return call(path, *args, **options)

        return called

    monkeypatch.setattr(io, "open", refusing(io.open))
    monkeypatch.setattr("builtins.open", refusing(open))
    monkeypatch.setattr(os, "open", refusing(os.open))
    return names


class Trial:
    """One damage to one file, and what came of it."""

    def __init__(self, command, original, name, damage, *, run, names):
        self.command, self.original, self.run = command, original, run
        self.name, self.names = str(name), names
        shutil.copytree(original, run)
        user = run.with_name("user")
        user.write_bytes(STRANGERS)
        self.user = user
        damage(Place(run, run / name, user, names))

    def outcome(self):
        """`refused`, `mended` or `survived`; fails where something was lost."""
        before = contents(self.run, but=self.name)
        code, out, err = self.command(self.run)
        assert self.user.read_bytes() == STRANGERS
        said = err.count("\n")
        if code:
            assert code == 1
            assert 1 <= said <= 2, err
            assert contents(self.run, but=self.name) == before
            self.take_back()
            code, out, err = self.command(self.run)
            outcome = "refused"
        else:
            assert said <= 3, err
            outcome = "mended" if "warning" in err else "survived"
        assert code == 0, err
        assert is_finished(self.run)
        return outcome, out

    def take_back(self):
        self.names.clear()
        path = self.run / self.name
        if path.is_symlink() or path.is_file() or path.is_fifo():
            path.unlink()
        elif path.is_dir():
            shutil.rmtree(path)
        kept = self.original / self.name
        (shutil.copytree if kept.is_dir() else shutil.copy)(kept, path)


def tally(trials, tmp_path, originals, command, injected):
    """Tries each, and counts what came of them; says all that failed."""
    counts, failed = collections.Counter(), []
    metrics = (originals / "finished" / "metrics.jsonl").read_bytes()
    expected = command(originals / "finished")[1].replace(
        str(originals / "finished"), ""
    )
    for number, (state, name, damage) in enumerate(trials):
        injected.clear()
        run = tmp_path / str(number) / "run"
        try:
            own = command, originals / state, name, damage
            trial = Trial(*own, run=run, names=injected)
            outcome, out = trial.outcome()
            assert out.replace(str(run), "") == expected
            assert (run / "metrics.jsonl").read_bytes() == metrics
        except Exception as error:
            what = f"{type(error).__name__} {error}"[:300]
            failed.append(f"{state} {name} {damage.__name__}: {what}")
            outcome = "failed"
        injected.clear()
        counts[outcome] += 1
        shutil.rmtree(run.parent)
    print(f"tried {counts.total()}: {dict(counts)}")
    assert not failed, "\n".join(failed)
    return counts


@pytest.fixture
def command(monkeypatch, capsys, quick):
    """Runs the family's command in this process; gives code, stdout and stderr."""

    def run(path):
        config = dataclasses.replace(CONFIG, run_directory=path)
        monkeypatch.setattr("sys.argv", ["parity", *flags(config)])
        code = command_line.run(lambda: family.main(FAMILY))
        return code, *capsys.readouterr()

    return run


def trials(originals, damages, names):
    return [
        (state, name, damage)
        for state in ("finished", "stopped")
        for name in files_of(originals / state)
        for damage in damages
        if is_of(name, damage) and names(name)
    ]


def is_one_of_its_kind(name):
    """Not all of orbax's files, which are read alike; of a checkpoint that is read."""
    *folders, last = name.parts
    return not folders or (folders[1] == "6" and last in KINDS)


KINDS = ("about.json", "_METADATA", "commit_success.txt")


def test_nothing_is_lost(originals, tmp_path, command, injected):
    some = trials(originals, DAMAGES, is_one_of_its_kind)
    some += [
        (state, Path(name), damage)
        for state in ("finished", "stopped")
        for name in ("checkpoints", "checkpoints/6")
        for damage in OF_FOLDERS
    ]
    counts = tally(some, tmp_path, originals, command, injected)
    assert min(counts[kind] for kind in ("refused", "mended", "survived")) > 30


@pytest.mark.thorough
@pytest.mark.parametrize("damages", [DAMAGES, MORE], ids=["all", "more"])
def test_nothing_is_lost_to_any(originals, tmp_path, command, injected, damages):
    every = trials(originals, damages, lambda _: True)
    counts = tally(every, tmp_path, originals, command, injected)
    assert set(counts) <= {"refused", "mended", "survived"}
    assert counts.total() == len(every)
