"""Sweeps are arrays: seeds and numeric hyper-parameters along a leading axis.

A function of one member becomes a function of all, on every device. The results equal
those of a plain loop over the members. Members that are added to fill the devices stay
inside this module.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from experiments.harness import backend

InAxes = int | None | Sequence[int | None]


def stack(members: Sequence[Any]) -> Any:
    """Stacks pytrees of equal structure along a new leading axis."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *members)


def unstack(tree: Any) -> list[Any]:
    """The members along the leading axis: the inverse of `stack`."""
    return [
        jax.tree.map(lambda leaf: leaf[index], tree)  # noqa: B023 -- called at once
        for index in range(num_members(tree))
    ]


def fork(state: Any, num: int) -> Any:
    """Gives `num` members the same state; keys are copied, too, so split them after."""
    return jax.tree.map(
        lambda leaf: jnp.broadcast_to(leaf, (num, *jnp.shape(leaf))), state
    )


def num_members(tree: Any) -> int:
    """Size of the leading axis, which all leaves must share.

    Raises:
      ValueError: The tree has no leaves, a scalar leaf, or leaves of several sizes.
    """
    shapes = [jnp.shape(leaf) for leaf in jax.tree.leaves(tree)]
    sizes = {shape[0] if shape else None for shape in shapes}
    if len(sizes) != 1 or None in sizes:
        raise ValueError(f"members need one common leading axis, got shapes {shapes}")
    return shapes[0][0]


def over_members(
    fn: Callable[..., Any], *, in_axes: InAxes = 0, has_convolutions: bool = False
) -> Callable[..., Any]:
    """Maps a pure function over the leading axis of its arguments, on all devices.

    Accelerators run the members of a device at once (`vmap`). CPUs run them one after
    the other (`lax.map`, or a Python loop if `lax.map` would be slow), and so do GPUs
    if members convolve: see `harness.backend`. Several devices divide the members among
    them, unless the members are a loop in Python. The last member is repeated until the
    division is even, and the repetitions are dropped from the result.

    Args:
      fn: A function of pytrees.
      in_axes: 0 (has the axis) or None (shared) for each argument, or one for all.
      has_convolutions: Whether `fn` convolves.

    Returns:
      A function of the same arguments; every result has the leading axis. It may be
      compiled and differentiated.
    """

    def mapped_fn(*args: Any) -> Any:
        axes = _axes(in_axes, len(args))
        mapped = [arg for arg, axis in zip(args, axes, strict=True) if axis == 0]
        shared = [arg for arg, axis in zip(args, axes, strict=True) if axis is None]
        one = partial(_call_member, fn, axes)
        if not backend.loops_in_program(has_convolutions=has_convolutions):
            return stack([one(shared, member) for member in unstack(mapped)])
        at_once = backend.members_at_once(has_convolutions=has_convolutions)
        return _on_all_devices(one, shared, mapped, at_once=at_once)

    return mapped_fn


def in_slices(
    fn: Callable[..., Any], args: Sequence[Any], *, size: int, has_convolutions: bool
) -> Any:
    """Calls a function of many examples on some at a time, to save memory.

    Args:
      fn: a function of arrays to arrays; their leading axes are the examples.
      args: its arguments; each has a leading axis of the same length.
      size: number of examples at a time; the last slice may be shorter.
      has_convolutions: whether `fn` convolves.

    Returns:
      The results of all examples in their order.
    """
    num = num_members(tuple(args))
    if num <= size:
        return fn(*args)
    if not backend.loops_in_program(has_convolutions=has_convolutions):
        starts = range(0, num, size)
        parts = [fn(*_rows(args, slice(s, s + size))) for s in starts]
        return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *parts)
    # `lax.map` sees batches of one example, and runs `batch_size` of them at once.
    return jax.lax.map(
        lambda row: jax.tree.map(
            lambda leaf: leaf[0],
            fn(*jax.tree.map(lambda leaf: leaf[None], row)),
        ),
        tuple(args),
        batch_size=size,
    )


def place(tree: Any, *, in_axes: int | None = 0) -> Any:
    """Puts members on the devices that will run them (None: everything on all).

    It does nothing on one device. Members that do not divide evenly are on all devices.
    """
    mesh = _mesh()
    if mesh is None:
        return tree
    even = in_axes == 0 and num_members(tree) % mesh.size == 0
    spec = PartitionSpec("sweep") if even else PartitionSpec()
    return jax.device_put(tree, NamedSharding(mesh, spec))


def _rows(args: Sequence[Any], rows: slice) -> Any:
    return jax.tree.map(lambda leaf: leaf[rows], tuple(args))


def _axes(in_axes: InAxes, num_args: int) -> tuple[int | None, ...]:
    if in_axes is None or isinstance(in_axes, int):
        in_axes = (in_axes,) * num_args
    if len(in_axes) != num_args or set(in_axes) - {0, None} or 0 not in in_axes:
        raise ValueError(
            f"in_axes={tuple(in_axes)}: must be 0 or None for each of the {num_args} "
            "arguments, and 0 for one"
        )
    return tuple(in_axes)


def _call_member(
    fn: Callable[..., Any], axes: Sequence[int | None], shared: list, member: list
) -> Any:
    """Calls `fn` with shared and own arguments in their original places."""
    own, common = iter(member), iter(shared)
    return fn(*(next(own if axis == 0 else common) for axis in axes))


def _on_all_devices(
    one: Callable[..., Any], shared: list, mapped: list, *, at_once: bool
) -> Any:
    def on_one_device(shared: list, mapped: list) -> Any:
        member = partial(one, shared)
        if at_once:
            return jax.vmap(member)(mapped)
        return jax.lax.map(member, mapped)

    mesh = _mesh()
    if mesh is None:
        return on_one_device(shared, mapped)
    num = num_members(mapped)
    run = jax.shard_map(
        on_one_device,
        mesh=mesh,
        in_specs=(PartitionSpec(), PartitionSpec("sweep")),
        out_specs=PartitionSpec("sweep"),
        check_vma=False,  # members never communicate, so there is nothing to check
    )
    if num % mesh.size == 0:
        return run(shared, mapped)
    padded = jnp.minimum(jnp.arange(-(-num // mesh.size) * mesh.size), num - 1)
    results = run(shared, jax.tree.map(lambda leaf: leaf[padded], mapped))
    return jax.tree.map(lambda leaf: leaf[:num], results)


def _mesh() -> Mesh | None:
    devices = jax.devices()
    return Mesh(np.asarray(devices), ("sweep",)) if len(devices) > 1 else None
