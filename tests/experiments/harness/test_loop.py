import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.harness import backend, loop, sweep


def taped_chunk(tape):
    def chunk_fn(state, *inputs, num_steps):
        tape.append(("dispatch", state + num_steps))
        return state + num_steps, {"step": np.int32(state + num_steps)}

    return chunk_fn


def run_taped(**options):
    tape = []
    for chunk in loop.run_chunks(
        taped_chunk(tape), options.get("start_step", 0), **options
    ):
        assert chunk.metrics["step"] == chunk.step
        tape.append(("yield", chunk.step, chunk.state))
    return tape


def test_the_next_chunk_is_dispatched_before_the_last_is_yielded():
    assert run_taped(num_steps=7, steps_per_chunk=3) == [
        ("dispatch", 3),
        ("dispatch", 6),
        ("yield", 3, None),
        ("dispatch", 7),
        ("yield", 6, None),
        ("yield", 7, 7),
    ]


def test_the_loop_waits_where_the_state_is_needed():
    assert run_taped(num_steps=9, steps_per_chunk=3, needs_state=lambda s: s == 6) == [
        ("dispatch", 3),
        ("dispatch", 6),
        ("yield", 3, None),
        ("yield", 6, 6),
        ("dispatch", 9),
        ("yield", 9, 9),
    ]


def test_boundaries_do_not_depend_on_the_start():
    whole = [entry[1] for entry in run_taped(num_steps=11, steps_per_chunk=3)]
    later = run_taped(num_steps=11, steps_per_chunk=3, start_step=6)
    assert sorted({entry[1] for entry in later}) == [9, 11]
    assert {9, 11} < set(whole)
    assert run_taped(num_steps=11, steps_per_chunk=3, start_step=11) == []


@pytest.mark.parametrize("start_step", [4, 12, -3])
def test_a_start_between_boundaries_is_an_error(start_step):
    with pytest.raises(ValueError, match=f"start_step={start_step}: must be a mult"):
        run_taped(num_steps=11, steps_per_chunk=3, start_step=start_step)


def test_intervals_with_a_compilation_are_marked():
    chunks = loop.run_chunks(taped_chunk([]), 0, num_steps=14, steps_per_chunk=3)
    # The first compiles length 3; length 2 compiles while the chunk before it runs.
    assert [(c.step, c.includes_compilation) for c in chunks] == [
        (3, True),
        (6, False),
        (9, False),
        (12, True),
        (14, False),
    ]


def step_fn(state, rate):
    key, noise_key = jax.random.split(state["key"])
    x = state["x"] - rate * (jnp.sin(state["x"]) + jax.random.normal(noise_key, (4,)))
    return {**state, "key": key, "x": x, "count": state["count"] + 1}


def evaluate_fn(state, rate):
    # The number of evaluations so far is kept for the next.
    state = {**state, "evaluations": state["evaluations"] + 1}
    norm = jnp.sum(jnp.square(state["x"]))
    return state, {"norm": norm, "count": state["count"], "x": state["x"]}


def new_state(key):
    return {
        "key": key,
        "x": jnp.ones(4),
        "count": jnp.int32(0),
        "evaluations": jnp.int32(0),
    }


@pytest.fixture(params=[True, False], ids=["one program", "step by step"])
def loops_in_program(request, monkeypatch):
    def decide(*, has_convolutions):
        return request.param

    monkeypatch.setattr(backend, "loops_in_program", decide)


@pytest.mark.usefixtures("loops_in_program")
def test_a_chunk_equals_its_steps_and_outlives_donation(assert_same_bits):
    chunk_fn = loop.compile_chunk(step_fn, evaluate_fn)
    *_, last = chunks = list(
        loop.run_chunks(
            chunk_fn,
            new_state(jax.random.key(0)),
            jnp.float32(0.1),
            num_steps=8,
            steps_per_chunk=3,
        )
    )
    state = new_state(jax.random.key(0))
    expected = []
    for step in range(1, 9):
        state = jax.jit(step_fn)(state, jnp.float32(0.1))
        if step in (3, 6, 8):
            state, metrics = jax.jit(evaluate_fn)(state, 0.1)
            expected.append(metrics)
    assert_same_bits(last.state, state)
    assert_same_bits([chunk.metrics for chunk in chunks], expected)


@pytest.mark.usefixtures("loops_in_program")
def test_a_sweep_equals_its_members(assert_same_bits):
    rates = jnp.asarray([0.1, 0.2, 0.3])
    states = jax.vmap(new_state)(jax.vmap(jax.random.key)(jnp.arange(3)))
    swept = loop.compile_chunk(step_fn, evaluate_fn, in_axes=(0, 0))
    state, metrics = swept(states, rates, num_steps=5)
    alone = loop.compile_chunk(step_fn, evaluate_fn)
    members = [
        alone(new_state(jax.random.key(i)), rates[i], num_steps=5) for i in range(3)
    ]
    assert_same_bits((state, metrics), sweep.stack(members))


def test_convolutions_on_a_cpu_are_dispatched_step_by_step(monkeypatch):
    calls = []

    def counted(state):
        calls.append(isinstance(state, jax.core.Tracer))
        return state + 1

    def chunk(has_convolutions):
        calls.clear()
        chunk_fn = loop.compile_chunk(
            counted, lambda state: (state, state), has_convolutions=has_convolutions
        )
        return chunk_fn(jnp.float32(0), num_steps=3), str(
            jax.make_jaxpr(lambda state: chunk_fn(state, num_steps=3))(jnp.float32(0))
        )

    monkeypatch.setattr(jax, "default_backend", lambda: "cpu")
    assert "scan" in chunk(has_convolutions=False)[1]
    assert "scan" not in chunk(has_convolutions=True)[1]
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert "scan" in chunk(has_convolutions=True)[1]
    assert chunk(has_convolutions=True)[0] == (3, 3)
