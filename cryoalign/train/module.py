"""A LightningModule whose bookkeeping costs the host less: at every step of a GPU it is in the way."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import LightningModule


class QuickModule(LightningModule):
    """One whose attributes are set at once where they are Lightning's notes."""

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; torch asks of each whether it is a weight or a network.

        Lightning notes some forty times a step which hook it is in.
        """
        if name == "_current_fx_name":
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)
