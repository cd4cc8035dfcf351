import jax

from experiments.harness import environment


def test_differences_are_dotted_and_see_missing_names():
    old = {"a": 1, "b": {"c": 2, "d": 3}, "gone": 4}
    new = {"a": 1, "b": {"c": 5, "d": 3}, "come": 6}
    assert list(environment.differences(old, new)) == [
        ("b.c", 2, 5),
        ("gone", 4, None),
        ("come", None, 6),
    ]


def test_describe_says_what_decides_the_last_bits(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--something")
    described = environment.describe()
    assert described["versions"]["jax"] == jax.__version__
    assert set(described["versions"]) == {
        "python", "jax", "jaxlib", "optax", "flax", "numpy",
    }  # fmt: skip
    assert described["device"]["platform"] == jax.default_backend()
    assert described["device"]["count"] == jax.device_count()
    assert described["device"]["cpu_cores"] >= 1
    assert described["device"]["xla_flags"] == "--something"


def test_no_git_is_no_commit(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert environment.describe()["git_commit"] is None
