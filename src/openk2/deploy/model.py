"""`DeployedModel`: the checkpoint as nodes see it, and what its chat format demands."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path, PurePosixPath
from typing import Any

from openk2.config import read_recipe
from openk2.deploy.error import DeployError
from openk2.deploy.words import plain_text

PUBLISHED = Path(__file__).with_name("published.toml")


class ChatStyle(Enum):
    """What a checkpoint's template writes.

    instruct: K2's sections and calls. thinking: thoughts too. opening: its prompts end inside a
    thought. other: not K2's, so none of its parsers fits.
    """

    instruct = "instruct"
    thinking = "thinking"
    opening = "opening"
    other = "other"

    @property
    def is_k2(self) -> bool:
        """Whether engines parse its calls as K2's."""
        return self is not ChatStyle.other

    @property
    def thinks(self) -> bool:
        """Whether its answers have thoughts."""
        return self in (ChatStyle.thinking, ChatStyle.opening)


@dataclass(frozen=True)
class DeployedModel:
    """location: an absolute path on every node, or a name on the hub. name: what clients ask for.

    remote_code: whether its tokenizer or network is code of its own, which an engine must be told
    to trust. vision: whether it has a vision tower. linked: a file of it that is a link out of
    `mount`. Raises DeployError for texts that cannot be arguments.
    """

    location: str
    name: str
    style: ChatStyle
    remote_code: bool = False
    vision: bool = False
    linked: str | None = None

    def __post_init__(self) -> None:
        plain_text("the checkpoint's path", self.location)
        plain_text("--name", self.name)

    @property
    def is_local(self) -> bool:
        """Whether nodes have it at a path."""
        return self.location.startswith("/")

    @property
    def mount(self) -> str:
        """The folder that containers see: its own, but a snapshot of the hub's cache links to files
        beside it, in the folder `models--ORGANISATION--NAME` above."""
        folder = PurePosixPath(self.location)
        storage = folder.parent.parent
        cached = folder.parent.name == "snapshots" and storage.name.startswith("models--")
        return str(storage) if cached else self.location


@dataclass(frozen=True)
class PublishedModel:
    """An entry of published.toml."""

    id: str
    hub: str
    style: str
    remote_code: bool
    vision: bool = False


@dataclass(frozen=True)
class PublishedModels:
    """The tables of published.toml."""

    model: tuple[PublishedModel, ...]


def published_model(preset: str, location: str | None, name: str | None) -> DeployedModel | None:
    """The model of a preset of `openk2 plan serve`; None if it is no preset."""
    for known in read_recipe(PUBLISHED, PublishedModels).model:
        if known.id == preset:
            name = name or known.hub.rpartition("/")[2].lower()
            style = ChatStyle(known.style)
            return DeployedModel(
                location or known.hub, name, style, known.remote_code, known.vision
            )
    return None


def read_model(folder: Path, location: str, name: str, style: ChatStyle) -> DeployedModel:
    """The model whose small files are in `folder`.

    Raises DeployError, also if the engine is to read this folder and it lacks the code that its
    files name.
    """
    config = read_object(folder / "config.json")
    settings = folder / "tokenizer_config.json"
    tokenizer = read_object(settings) if settings.is_file() else {}
    named = {**code_files(tokenizer, settings.name), **code_files(config, "config.json")}
    absent = [file for file in named if not (folder / file).is_file()]
    here = location == str(folder)
    if absent and here:
        raise DeployError(
            f"{folder}: {named[absent[0]]} names {absent[0]} (auto_map), which is not there: copy "
            "it from the model's repository, or write a folder without code: openk2 checkpoint "
            f"convert {folder} OUT, its --format being what it has"
        )
    remote = "auto_map" in config or "auto_map" in tokenizer
    found = DeployedModel(location, name, style, remote, "vision_config" in config)
    return replace(found, linked=linked_file(folder, found.mount)) if here else found


def linked_file(folder: Path, mount: str) -> str | None:
    """The first file of the folder that is a link out of `mount`; None if there is none."""
    whole = Path(mount).resolve()
    for file in sorted(folder.iterdir()):
        if not file.resolve().is_relative_to(whole):
            return file.name
    return None


def code_files(data: Mapping[str, Any], origin: str) -> dict[str, str]:
    """The Python files that `auto_map` names in the same folder -> origin.

    A class is `module.Class`, or `organisation/name--module.Class` in another repository; a
    tokenizer has a list of two, of which one may be null.
    """
    found: dict[str, str] = {}
    classes = data.get("auto_map")
    for value in classes.values() if isinstance(classes, Mapping) else ():
        for name in value if isinstance(value, list) else [value]:
            if isinstance(name, str) and "--" not in name:
                found[f"{name.rpartition('.')[0].replace('.', '/')}.py"] = origin
    return found


def read_object(file: Path) -> dict[str, Any]:
    """A JSON object. Raises DeployError."""
    try:
        found = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise DeployError(f"{file} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise DeployError(f"{file} holds no JSON object: copy it again")
    return found
