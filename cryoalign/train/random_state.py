"""The global random states that a checkpoint has to carry, as tensors: Lightning leaves them out."""

from __future__ import annotations

from typing import Any

import torch


def capture() -> dict[str, Any]:
    """Return the states of torch's generators on the CPU and on every CUDA device."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"cpu": torch.get_rng_state(), "cuda": cuda}


def restore(state: dict[str, Any]) -> None:
    """Set the generators to captured states; those of CUDA only where there are as many devices as then."""
    torch.set_rng_state(state["cpu"].cpu())
    cuda = state["cuda"]
    if cuda and len(cuda) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all([device.cpu() for device in cuda])
