"""Make the data set of a training, and nothing else: ``embedded.py``, and settings of ``cryoalign train``."""

from __future__ import annotations

import sys

from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from cryoalign.cli import CONF_DIR

with initialize_config_dir(CONF_DIR, version_base="1.3"):
    cfg = compose("train", [word for word in sys.argv[1:] if not word.startswith("hydra.")])
instantiate(cfg.data, _convert_="all").prepare_data()
