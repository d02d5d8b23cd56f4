"""A device that is none: tensors on torch's ``meta`` device that have values after all, computed on the CPU.

What runs there without an error mixes no tensors of two devices, which is what a GPU refuses, and has the
CPU's numbers, digit for digit. Where a GPU takes what lies on the CPU, so does this one: scalars, indices,
copies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any
from unittest.mock import patch

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

DEVICE = "meta"
#: Operations whose other tensors may lie on the CPU.
_TAKE_FROM_THE_CPU = {"aten::copy_", "aten::index", "aten::index_put_", "aten::_index_put_impl_"}


#: What marks values without changing them; the mark would be lost here.
_AT_ONCE = {"aten::_conj": torch.ops.aten.conj_physical, "aten::_neg_view": torch.ops.aten.neg}


class Elsewhere(torch.Tensor):
    """A tensor whose values lie in `values`, on the CPU."""

    values: torch.Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @staticmethod
    def __new__(cls, values: torch.Tensor) -> Elsewhere:  # noqa: PYI034
        made: Elsewhere = torch.Tensor._make_wrapper_subclass(
            cls, values.size(), strides=values.stride(), storage_offset=values.storage_offset(),
            dtype=values.dtype, device=DEVICE,
        )  # fmt: skip
        made.values = values
        return made

    @classmethod
    def __torch_dispatch__(
        cls,
        operation: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        return _run(operation, args, dict(kwargs or {}))

    def tolist(self) -> list[Any]:
        """Copy the values; torch refuses to where its own class is another."""
        return self.values.tolist()


def _run(operation: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Compute on the CPU, and return what lies where it would lie."""
    name = operation._schema.name  # type: ignore[attr-defined]
    operation = _AT_ONCE.get(name, operation)
    given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
    here = [leaf for leaf in given if not isinstance(leaf, Elsewhere)]
    there = {id(leaf.values): leaf for leaf in given if isinstance(leaf, Elsewhere)}
    if there and any(leaf.dim() for leaf in here) and name not in _TAKE_FROM_THE_CPU:
        raise RuntimeError(f"{name}: expected all tensors to be on the same device")
    asked = kwargs.get("device")
    if asked is not None and torch.device(asked).type == DEVICE:
        kwargs["device"] = "cpu"
        generator = kwargs.get("generator")
        assert generator is None, "a generator of the CPU draws on the CPU"
    stays = bool(there) if asked is None else torch.device(asked).type == DEVICE
    args, kwargs = tree_map(lambda leaf: leaf.values if isinstance(leaf, Elsewhere) else leaf, (args, kwargs))
    found = operation(*args, **kwargs)
    if not stays:
        return found

    def elsewhere(leaf: Any) -> Any:
        if not isinstance(leaf, torch.Tensor):
            return leaf
        return there[id(leaf)] if id(leaf) in there else Elsewhere(leaf)

    return tree_map(elsewhere, found)


class _Mode(TorchDispatchMode):
    """Of tensors that are made there, or brought there."""

    def __torch_dispatch__(
        self,
        operation: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        return _run(operation, args, dict(kwargs or {}))


def _brought(make: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """Make a tensor of Python's numbers on the CPU, and bring it where it was asked for."""

    def made(data: Any, *, device: Any = None, **options: Any) -> torch.Tensor:
        values = make(data, **options)
        return values if device is None else values.to(device)

    return made


@contextmanager
def elsewhere() -> Iterator[str]:
    """Make the device, and return its name."""
    makers = {name: _brought(getattr(torch, name)) for name in ("tensor", "as_tensor")}
    with _Mode(), patch.multiple(torch, autocast=lambda *_, **__: nullcontext(), **makers):
        yield DEVICE
