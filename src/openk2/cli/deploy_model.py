"""The checkpoint that `openk2 deploy` is given: where nodes have it, and how it talks."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from openk2.deploy import ChatStyle, DeployedModel, DeployError, published_model, read_model
from openk2.pretrained import (
    built_in_names,
    fetch_config,
    find_folder,
    find_format,
    folder_name,
    hub_name,
)

if TYPE_CHECKING:
    from openk2.plan import ServedSubject


def find_model(
    source: str, subject: "ServedSubject", location: str | None, name: str | None
) -> DeployedModel:
    """The checkpoint as nodes see it, with the chat format that its own files say.

    Raises DeployError, LocalModelError, RenderError, TokenizerError.
    """
    if location is not None and not location.startswith("/"):
        raise DeployError(f"--model-path is {location!r}: give an absolute path")
    preset = published_model(source, location, name)
    if preset is not None:
        if location is None:
            refuse_other_format(source, subject)
        return preset
    hub = hub_name(source)
    if hub is None:
        given = Path(source).expanduser().resolve()
        folder = given if given.is_dir() else given.parent
        found, title = str(folder), folder_name(folder)
    else:
        folder, found = fetch_config(hub), str(hub)
        title = found
        if "@" in found:
            raise DeployError(f"{found} names a revision: download it and give its folder")
    if location in (None, found):
        refuse_other_format(source, subject)
    style = chat_style(folder, subject.network.vocab_size)
    called = name or title.rpartition("/")[2].lower() or "model"
    return read_model(folder, location or found, called, style)


def refuse_other_format(source: str, subject: "ServedSubject") -> None:
    """Raise DeployError if the plan is for other weights than the checkpoint has."""
    stored, planned = subject.stored, subject.form
    if stored is not None and stored.name != planned.name:
        raise DeployError(
            f"{source} is {stored.name}: leave --weights out, or for {planned.name} weights give "
            "the path of such a checkpoint with --model-path"
        )


def chat_style(folder: Path, vocabulary: int) -> ChatStyle:
    """What the folder's own tokenizer and template write."""
    from openk2.chat import find_tokenizer
    from openk2.generation import K2Format

    found = find_format(folder, find_tokenizer(folder, vocabulary))
    if not isinstance(found, K2Format):
        return ChatStyle.other
    if not found.style.thinks:
        return ChatStyle.instruct
    return ChatStyle.opening if found.style.opens else ChatStyle.thinking


@contextmanager
def exported(source: str) -> Iterator[str]:
    """A built-in model as other engines read it, in a folder that is there for the block; the
    source itself for any other."""
    if source not in built_in_names():
        yield source
        return
    from openk2.checkpoint import export_checkpoint

    with TemporaryDirectory() as folder:
        target = Path(folder) / source
        export_checkpoint(find_folder(source), target)
        yield str(target)
