import dataclasses

import pytest

from experiments.grokking import outcomes


def rows(test, train=None):
    return [
        {"step": 50 * i, "test_accuracy": own, "train_accuracy": fit}
        | {"train_loss": 0.5}
        for i, (own, fit) in enumerate(
            zip(test, train or [1.0] * len(test), strict=True), start=1
        )
    ]


UP = outcomes.outcome(rows([0.2, 0.5, 0.995, 0.97, 1, 1, 1, 1, 0.99]))
BACK = outcomes.outcome(rows([0.2, 0.5, 0.995, 0.1, 1, 1, 1, 1, 1]))
WAVERS = outcomes.outcome(rows([0.2] * 7 + [0.98, 0.992], [1.0] * 9))
ALMOST = outcomes.outcome(rows([0.2, 0.985] + [0.01] * 7))
FLAT = outcomes.outcome(rows([0.2] * 9))
LOST = outcomes.outcome(rows([0.2, 0.5, 1, 1, 1, 1, 1, 1, 0.01]))


def test_what_became_of_a_run():
    assert (UP.first_step, UP.stays, UP.collapsed) == (150, True, False)
    assert (FLAT.first_step, FLAT.stays, FLAT.collapsed) == (None, False, False)
    assert (LOST.first_step, LOST.stays, LOST.collapsed) == (150, False, True)
    assert (LOST.lowest_late, FLAT.highest) == (0.01, 0.2)
    assert (BACK.stays, BACK.collapsed, BACK.lowest_since) == (True, False, 0.1)
    # A training accuracy that is lost counts as well.
    assert outcomes.outcome(rows([1.0] * 5, [1, 1, 1, 0.8, 1])).collapsed


def test_how_each_ended_in_words():
    assert UP.words == "and stayed so"
    assert BACK.words == "fell back to 0.10 and returned"
    assert LOST.words == "and then collapsed (to 0.01)"
    late = outcomes.outcome(rows([0.2, 0.995, 0.98, 0.98, 0.99, 0.99, 0.992]))
    assert late.words == "and is at 0.980 or more at the end"
    # It came there at the last evaluation only.
    assert (WAVERS.stays, WAVERS.words) == (False, "and is at 0.992 or more at the end")


def test_the_sentence_says_who_generalised_when_and_who_collapsed():
    text = outcomes.sentence({"left alone": FLAT, "re-warmed": UP}, 100)
    assert text == (
        "Of 2 copies of the network that had memorised, the one re-warmed generalised "
        "after 50 updates and stayed so; the one left alone did not generalise (test "
        "accuracy at most 0.20)."
    )
    text = outcomes.sentence({"hot": LOST, "cold": FLAT, "left": FLAT}, 100)
    assert "the one hot generalised after 50 updates and then collapsed" in text
    assert "the one cold and the one left did not generalise" in text
    text = outcomes.sentence({"cold": FLAT, "left": FLAT}, 100)
    assert text.endswith("memorised, none generalised (test accuracy at most 0.20).")
    # It is the highest of all evaluations, not of the last.
    assert "at most 0.98" in outcomes.sentence({"almost": ALMOST}, 100)


def test_a_copy_that_diverged_is_said_to():
    nan = {"train_loss": float("nan")}
    early = outcomes.outcome([{**row, **nan} for row in rows([0.2] * 9)])
    late = rows([0.2, 1, 1, 1, 1, 1, 0.1, 0.1, 0.1])
    late = outcomes.outcome([*late[:6], *({**row, **nan} for row in late[6:])])
    text = outcomes.sentence({"hot": early, "warm": late, "left": FLAT}, 0)
    assert text == (
        "Of 3 copies of the network that had memorised, the one warm generalised after "
        "100 updates and diverged at update 350; the one hot diverged at update 50; "
        "the one left did not generalise (test accuracy at most 0.20)."
    )
    assert "diverged at update 50." in outcomes.sentence({"hot": early}, 0)
    assert not outcomes.is_as_promised({"hot": early, "up": UP})


def test_the_title_says_what_can_be_seen():
    assert "only the copy up generalises" in outcomes.title({"up": UP, "flat": FLAT})
    assert outcomes.title({"up": UP}).endswith("memorised: the copy up generalises")
    two = outcomes.title({"up": UP, "back": BACK, "flat": FLAT})
    assert two.endswith("only the copy up and the copy back generalise")
    assert "none of its copies" in outcomes.title({"lost": LOST, "flat": FLAT})


GENERALISED = outcomes.Outcome(
    first_step=1200, lowest_since=0.97, lowest_late=0.995, lowest_end=0.99, highest=1.0
)
MEMORISED = outcomes.Outcome(
    first_step=None, lowest_since=0.0, lowest_late=0.2, lowest_end=0.2, highest=0.21
)
ENDS = {"low": MEMORISED, "re-warmed": MEMORISED, "re-warmed more": GENERALISED}


def test_as_promised_is_one_that_generalises_for_good():
    assert outcomes.is_as_promised(ENDS)


@pytest.mark.parametrize(
    ("arm", "otherwise"),
    [
        ("low", {"highest": 0.26}),
        ("re-warmed", {"highest": 0.26}),
        ("re-warmed more", {"lowest_late": 0.98}),
    ],
)
def test_nor_is_one_arm_otherwise(arm, otherwise):
    assert not outcomes.is_as_promised(
        ENDS | {arm: dataclasses.replace(ENDS[arm], **otherwise)}
    )


@pytest.mark.parametrize(
    ("test", "train", "words"),
    [
        ([0.2] * 9, [0.5, *[1.0] * 8], "memorised at update 100, has not generalised"),
        ([0.01] * 9, [0.2] * 9, "has not memorised (train accuracy at most 0.20)"),
        ([0.2, 0.995, *[1.0] * 7], None, "generalised at update 100 and stayed so"),
        (
            [0.2, 1, 1, 1, 0.5, 1, 1, 0.3, 0.01],
            None,
            "generalised at update 100, collapsed at update 400 (to 0.01)",
        ),
        (
            [0.2] * 9,
            [1, 1, 1, 1, 1, 1, 0.5, 0.01, 0.01],
            "memorised at update 50, collapsed at update 350 (to 0.01)",
        ),
        (
            [0.2, 1.0] + [0.01] * 7,
            [0.5, 1.0] + [0.01] * 7,
            "generalised at update 100, collapsed at update 150 (to 0.01)",
        ),
    ],
)
def test_a_run_in_words(test, train, words):
    assert outcomes.in_words(rows(test, train)).startswith(words)


def test_a_run_that_diverges_in_words():
    losses = [0.5, 0.1, float("nan"), float("nan")]
    own = rows([0.2, 0.2, 0.01, 0.01], [1, 1, 0.01, 0.01])
    own = [{**row, "train_loss": loss} for row, loss in zip(own, losses, strict=True)]
    assert outcomes.in_words(own) == "memorised at update 50, diverged at update 150"
    for row in own:
        row["train_accuracy"] = 0.01
    assert outcomes.in_words(own) == (
        "has not memorised (train accuracy at most 0.01), diverged at update 150"
    )
