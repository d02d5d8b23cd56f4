"""What every command line shares: the list of commands, help and completion, Hydra, plain errors."""

from __future__ import annotations

from cryoalign.cli.command import command
from cryoalign.cli.conf_file import CONF_DIR
from cryoalign.cli.device import choose_device

__all__ = ["CONF_DIR", "choose_device", "command"]
