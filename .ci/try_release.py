"""Runs the chain of README.md on the `nap_optax` that is installed."""

import importlib.metadata
import pathlib
import re
import sys

import jax.numpy as jnp
import optax

import nap_optax

readme = pathlib.Path(sys.argv[1]).read_text()
match = re.search(r"```python\n(.*?)```", readme, re.DOTALL)
assert match, "the README has no chain"
names: dict[str, object] = {}
exec(match[1], names)
tx = names["tx"]
assert isinstance(tx, optax.GradientTransformationExtraArgs)

params = {"kernel": jnp.eye(2)}
updates, _ = tx.update(params, tx.init(params), params, value=1.0)
norm = jnp.linalg.norm(optax.apply_updates(params, updates)["kernel"])
assert abs(norm - 2**0.5) < 1e-6, f"the norm was 2 ** .5 and is {norm}"

package = pathlib.Path(nap_optax.__file__).parent
assert "site-packages" in package.parts, f"{package} is not what was installed"
assert (package / "py.typed").exists()
print(
    importlib.metadata.version("nap_optax"), "works on Python", sys.version.split()[0]
)
