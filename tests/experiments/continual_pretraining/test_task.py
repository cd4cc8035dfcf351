"""What is drawn from which text."""

import dataclasses

import jax
import numpy as np
import pytest

from experiments.continual_pretraining.task import draw, evenly_spaced, make_texts
from helpers.checkout.text_runs import MADE_UP, TINY


@pytest.mark.parametrize("first", ["code", "prose"])
def test_pieces_are_of_the_corpus_that_is_there(first):
    config = dataclasses.replace(TINY, first=first)
    texts = make_texts(config, MADE_UP)
    for corpus, name in enumerate(config.order):
        whole = MADE_UP.texts[name].train
        pieces = draw(jax.random.key(0), texts, corpus, number=500, length=9)
        found = {bytes(piece) for piece in np.asarray(pieces)}
        # Each period of the text is eight or ten bytes long.
        assert found == {whole[at : at + 9] for at in range(len(whole) - 8)}
        validation = bytes(np.asarray(texts.validation[corpus]).ravel())
        assert set(validation) == set(MADE_UP.texts[name].validation)


def test_the_last_piece_ends_with_the_text():
    texts = make_texts(TINY, MADE_UP)._replace(train=np.arange(70, dtype=np.uint8))
    starts = draw(jax.random.key(0), texts, 1, number=2000, length=10)[:, 0]
    # The second corpus is bytes 30 to 69.
    assert (starts.min(), starts.max()) == (30, 60)


def test_validation_is_spread_over_the_text():
    pieces = evenly_spaced(bytes(range(100)), 4, 10)
    assert pieces[:, 0].tolist() == [0, 30, 60, 90]
    assert pieces[-1].tolist() == list(range(90, 100))
