"""What became of a run, from rows made by hand."""

from experiments.continual_pretraining.family import FAMILY
from experiments.continual_pretraining.outcomes import summarize
from helpers.checkout.text_runs import TINY


def row(step, old, new, **more):
    losses = {"old_loss": old, "new_loss": new, "train_loss": 1.0}
    return {"step": step, **losses, "num_rewarms": 0, "last_rewarm_step": -1, **more}


def test_a_summary_says_where_a_seed_stood():
    # The corpus changes at update 6.
    rows = [row(4, 2.5, 3.5), row(8, 2.75, 3.0)]
    rows.append(row(12, 3.0, 2.25, num_rewarms=1, last_rewarm_step=6))
    entry = summarize(rows, TINY)
    assert entry == {
        "old_loss_at_the_change": 2.5,
        "new_loss_at_the_change": 3.5,
        "final_old_loss": 3.0,
        "final_new_loss": 2.25,
        "num_rewarms": 1,
        "last_rewarm_step": 6,
    }
    assert FAMILY.describe(entry, TINY) == (
        "nats per byte at the end: prose 2.250, code 3.000 (at the change 2.500), "
        "1 re-warm"
    )


def test_without_an_evaluation_before_the_change_nothing_is_said_of_it():
    entry = summarize([row(12, 3.0, 2.25)], TINY)
    assert entry["old_loss_at_the_change"] is None
    assert "at the change" not in FAMILY.describe(entry, TINY)
