"""Find a model's files: a folder, a model that ships with the package, or one of the hub."""

import importlib.resources
import os.path
from pathlib import Path

from openk2.pretrained.error import LocalModelError
from openk2.pretrained.hub import Admission, HubName, fetch_model

DEFAULT_MODEL = "openk2-nano"


def built_in_names(assets: Path | None = None) -> list[str]:
    """Names of the models that ship with the package, sorted. assets: their folder's parent."""
    return sorted(file.parent.name for file in (assets or assets_folder()).glob("*/config.json"))


def find_folder(
    path_or_name: str | Path, assets: Path | None = None, *, admit: Admission | None = None
) -> Path:
    """The folder of a built-in name, of a path, or of a model of the hub; the first that there is.

    A model of the hub (see `hub_name`) is downloaded unless the cache has it. admit: see
    `fetch_model`. Raises LocalModelError naming what was asked for and what there is.
    """
    assets = assets or assets_folder()
    names = built_in_names(assets)
    if str(path_or_name) in names:
        return assets / path_or_name
    folder = Path(os.path.expanduser(path_or_name))  # Path's own fails on an unknown ~user
    if (folder / "config.json").is_file():
        return folder
    if (name := hub_name(path_or_name)) is not None:
        return fetch_model(name, admit)
    if not folder.exists():
        wrong = "does not exist"
    else:
        wrong = "holds no config.json" if folder.is_dir() else "is not a folder"
    raise LocalModelError(
        f"{folder} {wrong}: give a folder with config.json, tokenizer and safetensors, "
        f"a built-in model ({', '.join(names) or 'this installation has none'}), "
        "or a model of the hub as ORGANISATION/NAME"
    )


def hub_name(path_or_name: str | Path) -> HubName | None:
    """The model of the hub that a string means; None for what is a path or looks like one.

    A Path is always a path, and so is a string that names something on this disk.
    """
    if isinstance(path_or_name, Path) or os.path.exists(path_or_name):
        return None
    return HubName.parse(path_or_name)


def assets_folder() -> Path:
    """The package's own models, as files on disk."""
    return Path(str(importlib.resources.files("openk2") / "assets"))
