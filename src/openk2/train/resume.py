"""The state of a run on disk: float32 weights, optimizer state, step. Whole or absent.

`out/state/step-00000100/` holds tensors.safetensors and state.json, which carries the digest of
the tensors; a state whose digest differs is refused by name. Resuming is bit-exact because data
order is a function of the step (`data.mixture`) and nothing else is random; it takes the same
`micro_rows`, thread count, device and torch, by which sums are ordered.
"""

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from openk2.model import K2Model
from openk2.optim import MuonClip
from openk2.record.atomic import write_folder_atomically

TENSORS, STATE = "tensors.safetensors", "state.json"


class StateError(ValueError):
    """A saved state that cannot be resumed; the message names the file and the remedy."""


@dataclass(frozen=True)
class RunState:
    """Where a run stands after `step` steps. recipe: digest of the settings it must resume with."""

    step: int
    tokens: int
    recipe: str


def save_state(
    folder: Path, model: K2Model, optimizer: MuonClip, state: RunState, keep: int = 2
) -> None:
    """Write `folder/step-N`, then remove all but the newest `keep`.

    Raises StateError, with the states before intact, if it cannot be written.
    """
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    tensors |= {f"optimizer.{name}": value for name, value in optimizer.state_tensors().items()}
    path = folder / f"step-{state.step:08d}"
    try:
        with write_folder_atomically(path) as writing:
            save_file({name: t.contiguous() for name, t in tensors.items()}, writing / TENSORS)
            record = {"digest": digest(writing / TENSORS), **state.__dict__}
            (writing / STATE).write_text(json.dumps(record), encoding="utf-8")
    except (OSError, SafetensorError) as error:
        raise StateError(
            f"{path} cannot be written: {error}; make room, then the same command continues from "
            "the state before"
        ) from error
    for old in list_states(folder)[:-keep]:
        # Under a name that is never read: a half removed state must not count.
        old.rename(old.with_name(f".{old.name}.writing"))
    for leftover in folder.glob(".step-*.writing"):
        shutil.rmtree(leftover)


def list_states(folder: Path) -> list[Path]:
    """Complete states, oldest first."""
    return sorted(path for path in folder.glob("step-*") if (path / STATE).exists())


def load_state(path: Path, model: K2Model, optimizer: MuonClip, recipe: str) -> RunState:
    """Fill model and optimizer from a state that `save_state` wrote. Raises StateError.

    recipe: the digest that the state must have been saved with.
    """
    try:
        record = json.loads((path / STATE).read_text(encoding="utf-8"))
        found = record.pop("digest")
        state = RunState(**record)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StateError(f"{path / STATE} cannot be read: {error}; remove {path}") from error
    if state.recipe != recipe:
        raise StateError(
            f"{path} belongs to another recipe: continue with that one or name another --out"
        )
    if not (path / TENSORS).exists() or digest(path / TENSORS) != found:
        raise StateError(
            f"{path / TENSORS} is damaged: remove {path} to resume from the one before"
        )
    with safe_open(path / TENSORS, framework="pt") as file:
        names = list(file.keys())
        tensors: dict[str, Tensor] = {name: file.get_tensor(name) for name in names}
    own = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    stored = {name: tensor for name, tensor in tensors.items() if name.startswith("model.")}
    if {n: t.shape for n, t in own.items()} != {n: t.shape for n, t in stored.items()}:
        raise StateError(
            f"{path} holds another network than the recipe starts from: name another --out"
        )
    with torch.no_grad():
        for name, tensor in stored.items():
            own[name].copy_(tensor)
    optimizer.load_state_tensors(
        {n.removeprefix("optimizer."): t for n, t in tensors.items() if n.startswith("optimizer.")}
    )
    return state


def digest(path: Path) -> str:
    """sha256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
