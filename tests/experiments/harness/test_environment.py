import json

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
    jax.devices()  # XLA reads its flags when it starts, and would not know this one
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


def test_decisive_settings_are_those_of_this_moment():
    before = environment.decisive_settings()
    assert before["jax_default_prng_impl"] == "threefry2x32"
    assert before["jax_explicit_x64_dtypes"] == "warn"
    with jax.default_prng_impl("rbg"), jax.numpy_dtype_promotion("strict"):
        assert environment.decisive_settings() == {
            **before,
            "jax_default_prng_impl": "rbg",
            "jax_numpy_dtype_promotion": "strict",
        }
    assert json.dumps(before)


def test_a_setting_that_this_jax_lacks_is_left_out(monkeypatch):
    monkeypatch.setattr(environment, "_DECISIVE", ("jax_enable_x64", "jax_gone"))
    assert environment.decisive_settings() == {"jax_enable_x64": False}
