"""Parity as a family of runs."""

from experiments.harness.family import Family
from helpers.checkout.parity.config import Config


def summarize(rows, config):
    return {"highest": max(row["test_accuracy"] for row in rows)}


def draw(rows, config, path):
    from experiments.harness import plots

    figure, axes = plots.figure()
    steps, values = plots.by_group(rows, "step", "test_accuracy")
    plots.line_with_spread(axes[0, 0], steps, values, label="test")
    plots.save(figure, path)


def code():
    from experiments.harness.members import ArrayCode
    from helpers.checkout.parity import experiment

    return ArrayCode(
        experiment=experiment.Parity,
        summarize=summarize,
        draw=draw,
        load=experiment.all_inputs,
    )


FAMILY = Family(
    name="parity",
    config_class=Config,
    code=code,
    group_name=lambda config: f"{config.num_bits}-bits",
    run_seconds=lambda config: 1e-4 * config.num_steps,
    cost="0.1 ms for an update",
    describe=lambda entry, _: f"highest test accuracy {entry['highest']:.3f}",
)
