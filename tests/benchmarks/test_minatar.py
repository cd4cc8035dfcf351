import jax
import pytest

from benchmarks import minatar
from experiments.atari.config import Config
from models import atari_q_networks


@pytest.mark.slow
def test_every_line_is_printed(capfd):
    pytest.importorskip("gymnax")
    minatar.main(["--seeds=2", "--updates=2", "--turns=1", "--processor-time"])
    printed = capfd.readouterr().out.splitlines()
    starts = ("one seed: ", "with lax.conv: ", "2 seeds, mapped", "2 seeds, vectorised")
    for line, start in zip(printed, starts, strict=True):
        assert line.startswith(start)


@pytest.mark.slow
def test_the_peer_convolves(monkeypatch):
    pytest.importorskip("gymnax")
    called = []
    own = jax.lax.conv_general_dilated

    def counted(*args, **options):
        called.append(args)
        return own(*args, **options)

    monkeypatch.setattr(jax.lax, "conv_general_dilated", counted)
    before = atari_q_networks.convolve_small
    config = Config(learning_starts_frames=20, replay_steps=50, num_frames=100)
    minatar.with_lax_conv(config, 1)
    assert called
    assert atari_q_networks.convolve_small is before
