"""Find a model's files: a folder that the user names, or a model that ships with the package."""

import importlib.resources
import os.path
from pathlib import Path

from openk2.pretrained.error import LocalModelError

DEFAULT_MODEL = "openk2-nano"


def built_in_names(assets: Path | None = None) -> list[str]:
    """Names of the models that ship with the package, sorted. assets: their folder's parent."""
    return sorted(file.parent.name for file in (assets or assets_folder()).glob("*/config.json"))


def find_folder(path_or_name: str | Path, assets: Path | None = None) -> Path:
    """The checkpoint folder that a path or a built-in name means; a name wins over a path.

    Raises LocalModelError naming what was asked for and what there is.
    """
    assets = assets or assets_folder()
    names = built_in_names(assets)
    if str(path_or_name) in names:
        return assets / path_or_name
    folder = Path(os.path.expanduser(path_or_name))  # Path's own fails on an unknown ~user
    if (folder / "config.json").is_file():
        return folder
    if not folder.exists():
        wrong = "does not exist"
    else:
        wrong = "holds no config.json" if folder.is_dir() else "is not a folder"
    raise LocalModelError(
        f"{folder} {wrong}: give a folder with config.json, tiktoken.model and safetensors, "
        f"or a built-in model ({', '.join(names) or 'this installation has none'})"
    )


def assets_folder() -> Path:
    """The package's own models, as files on disk."""
    return Path(str(importlib.resources.files("openk2") / "assets"))
