"""What a folder from a stranger may name: callables that leave a mark, and others."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from cryoalign.cli.conf_file import CONF_DIR
from cryoalign.data.normalize import Normalization

if TYPE_CHECKING:
    from pathlib import Path

Node = dict[str, Any]
Tree = dict[str, object]

#: Stand for places that are known when a test runs.
MARK, SOURCE, PICKLED, FOLDER = "<mark>", "<source>", "<pickled>", "<folder>"
_TOUCH = f"touch {MARK}"
_PATH = {"_target_": "pathlib.Path", "_args_": [MARK]}
_OPENED: Node = {"_target_": "builtins.open", "file": MARK, "mode": "w"}
_LOADED = {"f": PICKLED, "weights_only": False}
NODES: dict[str, Node] = {
    "torch.load": {"_target_": "torch.load", **_LOADED},
    "torch.load by torch.optim": {"_target_": "torch.optim.adam.torch.load", **_LOADED},
    "torch.load by a generator": {"_target_": "cryoalign.models.unet.torch.load", **_LOADED},
    "torch.serialization.load": {"_target_": "torch.serialization.load", **_LOADED},
    "torch.save": {"_target_": "torch.save", "obj": [1], "f": MARK},
    "torch.hub.load": {"_target_": "torch.hub.load", "repo_or_dir": FOLDER, "model": "payload"},
    "open": _OPENED,
    "open, positional": {"_target_": "builtins.open", "_args_": [MARK, "w"]},
    "open, partial": {**_OPENED, "_partial_": True},
    "open, not recursive": {**_OPENED, "_recursive_": False, "_convert_": "all"},
    "io.open": {"_target_": "io.open", "file": MARK, "mode": "w"},
    "eval": {"_target_": "builtins.eval", "_args_": [f"open({MARK!r}, 'w')"]},
    "exec": {"_target_": "builtins.exec", "_args_": [f"open({MARK!r}, 'w')"]},
    "import": {"_target_": "builtins.__import__", "_args_": ["payload"]},
    "import_module": {"_target_": "importlib.import_module", "name": "payload"},
    "run_path": {"_target_": "runpy.run_path", "path_name": f"{FOLDER}/payload.py"},
    "shutil.copy": {"_target_": "shutil.copy", "src": SOURCE, "dst": MARK},
    "shutil.copy by cryoalign": {
        "_target_": "cryoalign.io.output.shutil.copy",
        "src": SOURCE,
        "dst": MARK,
    },
    "shutil.move": {"_target_": "shutil.move", "src": SOURCE, "dst": MARK},
    "Path.touch": {"_target_": "pathlib.Path.touch", "self": _PATH},
    "Path.touch, positional": {"_target_": "pathlib.Path.touch", "_args_": [_PATH]},
    "numpy.savetxt": {"_target_": "numpy.savetxt", "fname": MARK, "X": [1.0]},
    "numpy.load": {"_target_": "numpy.load", "file": PICKLED, "allow_pickle": True},
    "pandas.read_pickle": {"_target_": "pandas.read_pickle", "filepath_or_buffer": PICKLED},
    "os.system": {"_target_": "os.system", "command": _TOUCH},
    "posix.system": {"_target_": "posix.system", "command": _TOUCH},
    "os.makedirs": {"_target_": "os.makedirs", "name": MARK},
    "subprocess.run": {"_target_": "subprocess.run", "args": ["touch", MARK]},
    "subprocess.Popen": {"_target_": "subprocess.Popen", "args": ["touch", MARK]},
    "get_method": {"_target_": "hydra.utils.get_method", "path": "payload.x"},
    "get_class": {"_target_": "hydra.utils.get_class", "path": "payload_class.Mine"},
    "instantiate": {"_target_": "hydra.utils.instantiate", "config": _OPENED, "_recursive_": False},
    "call, by cryoalign": {"_target_": "cryoalign.runs.trust.instantiate", "config": _OPENED},
    "functools.partial": {"_target_": "functools.partial", "_args_": [_OPENED]},
    "logging.FileHandler": {"_target_": "logging.FileHandler", "filename": MARK},
    "zipfile.ZipFile": {"_target_": "zipfile.ZipFile", "file": MARK, "mode": "w"},
    "a class beside the run": {"_target_": "payload_class.Mine", "width": 4},
    "a module beside the run": {"_target_": "payload"},
    "ModelCheckpoint": {
        "_target_": "lightning.pytorch.callbacks.ModelCheckpoint",
        "dirpath": MARK,
        "every_n_train_steps": 1,
    },
    "CSVLogger": {"_target_": "lightning.pytorch.loggers.CSVLogger", "save_dir": MARK},
    "DDP by another name": {"_target_": "lightning.pytorch.strategies.ddp.DDPStrategy.__init__"},
    "a function of cryoalign": {
        "_target_": "cryoalign.embedded.cache.find_or_make",
        "cache": MARK,
        "particles": 16,
        "box": 16,
    },
    "main of cryoalign": {"_target_": "cryoalign.cli.command.main"},
    "a method of a generator": {"_target_": "cryoalign.models.unet.UNet.to_empty"},
    "a private class": {"_target_": "cryoalign.train.checkpoints._RunCheckpoint", "filename": "x"},
    "a layer": {"_target_": "torch.nn.Identity"},
    "looked up": {"_target_": "${extra.name}", "file": MARK, "mode": "w"},
    "looked up in part": {"_target_": "builtins.${extra.part}", "file": MARK, "mode": "w"},
    "from the environment": {"_target_": "${oc.env:EVIL}", "file": MARK, "mode": "w"},
    "a node looked up": {
        "_target_": "cryoalign.models.unet.UNet",
        "width": {"_target_": "${extra.name}"},
    },
    "no text": {"_target_": {"_target_": "builtins.open"}, "file": MARK, "mode": "w"},
    "a list of names": {"_target_": ["builtins.open"], "file": MARK},
    "empty": {"_target_": ""},
    "null": {"_target_": None},
    "dots": {"_target_": "..builtins.open"},
    "a hidden name": {
        "_target_": "cryoalign.models.unet.__builtins__.open",
        "file": MARK,
        "mode": "w",
    },
}
#: Of these, what Hydra 1.3.8 builds where nobody has looked before.
RUN_IN_HYDRA = (
    "torch.load",
    "torch.load by torch.optim",
    "torch.load by a generator",
    "torch.serialization.load",
    "torch.save",
    "open",
    "open, positional",
    "open, not recursive",
    "io.open",
    "shutil.copy",
    "shutil.copy by cryoalign",
    "Path.touch",
    "Path.touch, positional",
    "numpy.savetxt",
    "numpy.load",
    "pandas.read_pickle",
    "os.makedirs",
    "get_method",
    "get_class",
    "instantiate",
    "functools.partial",
    "logging.FileHandler",
    "zipfile.ZipFile",
    "a class beside the run",
    "a module beside the run",
)


def evil_nodes(folder: Path) -> dict[str, Node]:
    """Return nodes of a configuration that would make ``folder / "mark"``, or run what lies there."""
    mark = folder / "mark"
    (folder / "payload.py").write_text(f"open({str(mark)!r}, 'w').close()\n")
    (folder / "payload_class.py").write_text(
        f"from cryoalign.models.unet import UNet\nopen({str(mark)!r}, 'w').close()\nclass Mine(UNet): pass\n"
    )
    (folder / "source.txt").write_text("1")
    # A pickle that opens the mark for writing when it is read.
    (folder / "pickled.pt").write_bytes(b"cbuiltins\nopen\n(V" + str(mark).encode() + b"\nVw\ntR.")
    text = json.dumps(NODES)
    for place, path in ((MARK, "mark"), (SOURCE, "source.txt"), (PICKLED, "pickled.pt"), (FOLDER, "")):
        text = text.replace(place, str(folder / path))
    nodes: dict[str, Node] = json.loads(text)
    return nodes


def has_run(folder: Path) -> bool:
    """Whether one of them has run."""
    return (folder / "mark").exists() or bool({"payload", "payload_class"} & sys.modules.keys())


def stored(*overrides: str) -> Tree:
    """Return what a training stores as its configuration, as far as it matters here."""
    GlobalHydra.instance().clear()
    with initialize_config_dir(CONF_DIR, version_base="1.3"):
        tree: Tree = json.loads(
            json.dumps(OmegaConf.to_container(compose("train", list(overrides)), resolve=True))
        )
    return tree


def write(folder: Path, tree: Tree, place: str = "", node: object = None) -> Path:
    """Write a run's folder whose configuration has `node` at a place."""
    tree = tree | {"extra": {"name": "builtins.open", "part": "open"}}
    folder.mkdir(exist_ok=True, parents=True)
    (folder / "config.yaml").write_text(json.dumps(put(tree, place.split("."), node) if place else tree))
    (folder / "data.json").write_text(
        json.dumps({"box": 32, "pixel_size": 2.0, "normalization": Normalization().state()})
    )
    return folder


def put(tree: object, keys: list[str], node: object) -> object:
    """Return a copy of a tree with `node` at a place; what stands in its way goes."""
    if not keys:
        return node
    key, *rest = keys
    if key.isdigit():
        items = [*(tree if isinstance(tree, list) else []), *[None] * (int(key) + 1)]
        items[int(key)] = put(items[int(key)], rest, node)
        return items
    inner = tree if isinstance(tree, dict) else {}
    return inner | {key: put(inner.get(key), rest, node)}
