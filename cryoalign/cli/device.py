"""Where a command computes."""

from __future__ import annotations

import difflib

from cryoalign.errors import InputError
from cryoalign.reading import first_line


def choose_device(name: str) -> str:
    """Check a device, and choose one where that was left open.

    Parameters
    ----------
    name : str
        ``auto``, or as torch names it.

    Returns
    -------
    str

    Raises
    ------
    InputError
        If this machine has no such device.
    """
    import torch  # noqa: PLC0415  heavy imports wait until work starts

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:  # torch asserts that it was built with CUDA
        known = name.partition(":")[0] in {"cpu", "cuda"}
        raise InputError(
            "this device cannot be used",
            expected="auto, cpu, cuda or cuda:N",
            found=f"{name}: {first_line(error)}" if known else name,
            remedy="give device=cpu, or leave device= out" if known else _meant(name),
        ) from error
    return name


def _meant(name: str) -> str:
    """Return what to do about a name that torch does not know."""
    kind, separator, number = name.lower().partition(":")
    near = (
        ["cuda"] if kind in {"gpu", "nvidia"} else difflib.get_close_matches(kind, ("cuda", "cpu", "auto"), 1)
    )
    return (
        f"did you mean device={near[0]}{separator}{number}?"
        if near
        else "leave device= out, or give one of these"
    )
