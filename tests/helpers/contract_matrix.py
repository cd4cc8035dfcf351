"""The table of `docs/contract.md`: transformations by promises."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from helpers.contract_cases import CASES, Case

PROMISES: Mapping[str, Mapping[str, str]] = {
    "calls": {
        "unexpected_extra_arguments_are_accepted": "Takes extra arguments that it "
        "does not know, with updates of the gradients' types.",
        "missing_params": "Says so when `params` are missing.",
        "gradients_that_do_not_fit_are_named": "Names the leaf whose gradient has "
        "another shape, is missing or is one too many.",
        "inject_hyperparams_changes_nothing": "Gives the same updates inside "
        "`optax.inject_hyperparams`.",
        "map_params_is_a_no_op": "Its state passes through `optax.tree.map_params`.",
    },
    "jit": {
        "second_call_does_not_recompile": "Compiles once.",
        "eager_equals_jit": "Gives the same updates with and without `jax.jit`.",
        "init_under_eval_shape": "`init` runs on shapes alone.",
        "state_is_stable_through_cond_and_scan": "Its state keeps shapes and dtypes "
        "through `lax.cond` and `lax.scan`.",
        "scan_equals_a_loop": "Gives the same in `lax.scan` as in a loop.",
        "differentiates": "Has finite derivatives through updates, forward and in "
        "reverse, also where weights or gradients are zero.",
    },
    "trees": {
        "dtypes_are_kept": "Keeps bfloat16, float16, float32 and float64.",
        "none_leaves": "Passes leaves that are `None` through.",
        "none_gradients": "Accepts a gradient that is `None`.",
        "empty_tree": "Accepts trees without leaves.",
        "scalar_leaf": "Accepts leaves that are scalars.",
    },
    "numbers": {
        "vmap_over_hyperparameters": "Its numbers can be batched by `jax.vmap`.",
        "concrete_hyperparameter_under_jit": "Takes an array as a number under "
        "`jax.jit`.",
        "donation_spares_hyperparameters": "Donating its state spares that array.",
    },
    "wrappers": {
        "multi_steps": "Works in `optax.MultiSteps`.",
        "masked": "Works in `optax.masked`.",
        "partition": "Works in `optax.partition`.",
        "chain_named_chain_and_apply_if_finite": "Works in `optax.chain`, "
        "`optax.named_chain` and `optax.apply_if_finite`.",
    },
    "Flax": {
        "linen_train_state": "Works in Linen's `TrainState`.",
        "nnx_optimizer": "Works in `nnx.Optimizer`.",
    },
    "saved": {
        "donated_buffers": "Works with donated parameters and state.",
        "pickle": "Its state comes back from pickle.",
        "orbax": "Its state comes back from orbax.",
    },
    "sharded": {
        "sharded_parameters": "On 8 devices, gives the same updates with no "
        "all-gather, and with as many all-reduces as are stated.",
    },
}

RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def contract_table() -> str:
    """The matrix, what its marks mean, and what each column asks."""
    notes: dict[str, list[str]] = {}  # for each reason, the checks that are skipped
    names = list(dict.fromkeys(case.factory.__name__ for case in CASES))
    lines = [
        f"| | {' | '.join(PROMISES)} |",
        "|---" * (len(PROMISES) + 1) + "|",
    ]
    for name in names:
        cases = [case for case in CASES if case.factory.__name__ == name]
        cells = [_cell(cases, checks, notes) for checks in PROMISES.values()]
        link = f"[`{name}`](transformations/{name}.md)"
        lines.append(f"| {link} | {' | '.join(cells)} |")
    marks = [
        f"{number}. {', '.join(checks)}: {reason}."
        for number, (reason, checks) in enumerate(notes.items(), 1)
    ]
    checks = [
        f"| {group if first else ''} | {sentence} |"
        for group, sentences in PROMISES.items()
        for first, sentence in zip(
            [True] + [False] * len(sentences), sentences.values(), strict=False
        )
    ]
    return "\n".join(
        [
            *lines,
            "",
            *marks,
            "",
            "| column | what each check asks |",
            "|---|---|",
            *checks,
        ]
    )


def _cell(
    cases: Sequence[Case], checks: Iterable[str], notes: dict[str, list[str]]
) -> str:
    """A tick, or a dash if nothing applies, and the numbers of the notes."""
    pairs = [(case, check) for case in cases for check in checks]
    skipped = [(case, check) for case, check in pairs if check in case.skips]
    for case, check in skipped:
        named = notes.setdefault(case.skips[check], [])
        if (name := check.replace("_", " ")) not in named:
            named.append(name)
    reasons = {case.skips[check] for case, check in skipped}
    numbers = [number for number, note in enumerate(notes, 1) if note in reasons]
    mark = "-" if len(skipped) == len(pairs) else "✓"
    return mark + " ".join(str(number).translate(RAISED) for number in numbers)
