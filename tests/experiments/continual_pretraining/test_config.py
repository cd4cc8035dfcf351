import pytest

from experiments.continual_pretraining.config import Config


def test_a_cosine_is_a_phase_unless_there_is_one():
    assert Config(phase_steps=300).cycle_steps == 300
    assert Config(phase_steps=300, schedule="single_cosine").cycle_steps == 600
    assert Config(phase_steps=300).num_steps == 600


def test_the_second_corpus_is_the_other_one():
    assert Config(first="code").order == ("code", "prose")
    assert Config(first="prose").order == ("prose", "code")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"context": 0}, "context=0: must be at least 1 (--context)"),
        ({"batch_size": 0}, "batch_size=0: must be at least 1"),
        ({"num_blocks": 101}, "num_blocks=101: must be at least 1 and at most 100"),
        ({"learning_rate": 0.0}, "learning_rate=0.0: must be greater than 0"),
        ({"learning_rate": float("nan")}, "learning_rate=nan: must be a number"),
        ({"low_learning_rate": -1.0}, "low_learning_rate=-1.0: must be at least 0"),
        ({"low_learning_rate": 1.0}, "must be at most learning_rate=0.01"),
        ({"adam_b2": 1.0}, "adam_b2=1.0: must be at least 0 and less than 1"),
        ({"warmup_steps": 1000}, "less than the 1000 updates of a cosine"),
        ({"weight_decay": 0.1}, "weight_decay=0.1: must be 0 without --optimizer"),
        ({"phase_steps": 2**30}, "2147483648 updates in all are not below 2**31"),
        ({"num_heads": 2**30}, "such that num_heads * head_dim is at most"),
    ],
)
def test_what_means_nothing_is_one_line(fields, message):
    with pytest.raises(ValueError, match=r"\(--") as caught:
        Config(**fields)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
