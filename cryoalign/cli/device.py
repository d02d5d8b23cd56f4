"""Where a command computes."""

from __future__ import annotations

from cryoalign.errors import InputError


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
        raise InputError(
            "this device cannot be used",
            expected="auto, cpu, cuda or cuda:N",
            found=f"{name}: {str(error).splitlines()[0]}",
        ) from error
    return name
