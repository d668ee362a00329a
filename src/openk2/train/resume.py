"""The state of a run on disk: float32 weights, optimizer state, step. Whole or absent.

`out/state/step-00000100/` holds safetensors files and state.json, which carries their digests; a
state whose files differ is refused by name. PyTorch's distributed checkpoint writes them, each rank
what it holds, and reads them, so that a run resumes on any number of ranks in any layout; a process
alone does the same. No pickle.

Resuming is bit-exact because data order is a function of the step (`data.mixture`) and nothing else
is random; it takes the same layout, `micro_rows`, thread count, device and torch, by which sums are
ordered.
"""

import json
import shutil
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from safetensors import SafetensorError
from torch import Tensor

from openk2.optim import MuonClip
from openk2.parallel import Fleet, Sharding
from openk2.record import file_sha256, write_folder_atomically
from openk2.train.identity import Identity, difference

T = TypeVar("T")
STATE = "state.json"


class StateError(ValueError):
    """A saved state that cannot be resumed; the message names the file and the remedy."""


@dataclass(frozen=True)
class RunState:
    """The position of a run after `step` steps.

    recipe, settings, contents: the digest, the settings and the contents of its `Identity`; states
    that were written before settings or contents were kept have none.
    """

    step: int
    tokens: int
    recipe: str
    settings: dict[str, str] = field(default_factory=dict)
    contents: dict[str, str] = field(default_factory=dict)

    @classmethod
    def first(cls, identity: Identity) -> "RunState":
        """Before the first step."""
        return cls(0, 0, identity.digest, identity.settings, identity.contents)


def save_state(
    folder: Path, sharding: Sharding, optimizer: MuonClip, state: RunState, keep: int = 2
) -> None:
    """Write `folder/step-N`, then remove all but the newest `keep`. Every rank must call it.

    Raises StateError, on every rank and with the states before intact, if it cannot be written.
    """
    fleet = sharding.fleet
    path = folder / f"step-{state.step:08d}"
    with ExitStack() as leaders:

        def begin() -> Path | None:
            return leaders.enter_context(write_folder_atomically(path)) if fleet.leads else None

        def write(writing: Path) -> dict[str, str]:
            write_tensors(writing, state_tensors(sharding, optimizer), fleet)
            return {file.name: file_sha256(file) for file in own_files(writing, fleet)}

        writing = agree(fleet, path, begin)[0]
        assert writing is not None
        written = agree(fleet, path, lambda: write(writing))

        def finish() -> None:
            if fleet.leads:
                digests = {name: value for files in written for name, value in files.items()}
                record = json.dumps({"digests": digests, **asdict(state)})
                (writing / STATE).write_text(record, encoding="utf-8")
                leaders.close()
                remove_old(folder, keep)

        agree(fleet, path, finish)


def agree(fleet: Fleet, path: Path, act: Callable[[], T]) -> list[Any]:
    """Every rank's result of `act`, a part of writing `path`, by rank.

    Raises StateError on all if one of them failed.
    """
    from torch.distributed.checkpoint.api import CheckpointException

    result: T | None = None
    failures: dict[int, str] = {}
    try:
        result = act()
    except (OSError, SafetensorError) as error:
        failures[fleet.rank] = str(error)
    except CheckpointException as error:  # which all ranks get when it happens on one
        for cause, _ in error.failures.values():
            if isinstance(cause, KeyboardInterrupt):
                raise cause from error
        failures = {rank: str(cause) for rank, (cause, _) in error.failures.items()}
    outcomes = fleet.gather((result, failures))
    for rank, failure in sorted(
        {r: f for _, failed in outcomes for r, f in failed.items()}.items()
    ):
        where = f" on rank {rank}" if fleet.count > 1 else ""
        raise StateError(
            f"{path} cannot be written: {failure}{where}; make room, then the same command "
            "continues from the state before"
        )
    return [value for value, _ in outcomes]


def remove_old(folder: Path, keep: int) -> None:
    """Remove all but the newest `keep` states, and what a crash left over of others."""
    for old in list_states(folder)[:-keep]:
        # Under a name that is never read: a half removed state must not count.
        old.rename(old.with_name(f".{old.name}.writing"))
    for leftover in folder.glob(".step-*.writing"):
        shutil.rmtree(leftover)


def list_states(folder: Path) -> list[Path]:
    """Complete states, oldest first."""
    return sorted(path for path in folder.glob("step-*") if (path / STATE).exists())


def load_state(path: Path, sharding: Sharding, optimizer: MuonClip, identity: Identity) -> RunState:
    """Fill model and optimizer from a state that `save_state` wrote, in whatever layout.

    Every rank must call it. identity: of the recipe and the inputs that the state must have been
    saved with; one without contents gets these. Raises StateError, on every rank.
    """
    fleet = sharding.fleet
    try:
        record = json.loads((path / STATE).read_text(encoding="utf-8"))
        digests = dict(record.pop("digests"))
        state = RunState(**record)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StateError(f"{path / STATE} cannot be read: {error}; remove {path}") from error
    if state.recipe != identity.digest:
        changed = difference(state.settings, identity.settings)
        changed = changed if state.settings else "its settings differ"
        raise StateError(
            f"{path} belongs to another recipe ({changed}): continue with that one or name another "
            "--out"
        )
    if state.contents and state.contents != identity.contents:
        raise StateError(
            f"{path} was trained on other content "
            f"({difference(state.contents, identity.contents)}): bring that back or name another "
            "--out"
        )
    check_files(path, digests, fleet)
    optimizer.allocate_state()
    tensors = state_tensors(sharding, optimizer)
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    needed = {name: shape for part in fleet.gather(shapes) for name, shape in part.items()}
    if needed != stored_shapes(path):
        raise StateError(
            f"{path} holds another network than the recipe starts from: name another --out"
        )
    read_tensors(path, tensors, fleet)
    return replace(state, contents=identity.contents)


def check_files(path: Path, digests: dict[str, str], fleet: Fleet) -> None:
    """Raise StateError, on every rank, if the state's files are not those that were written.

    Each rank reads some of them.
    """
    names = sorted(digests)
    mine = names[fleet.rank :: fleet.count]
    damaged = [n for n in mine if not (path / n).exists() or file_sha256(path / n) != digests[n]]
    damaged += [file.name for file in path.glob("*.safetensors") if file.name not in digests]
    for name in sorted({name for names in fleet.gather(damaged) for name in names}):
        raise StateError(f"{path / name} is damaged: remove {path} to resume from the one before")


def state_tensors(sharding: Sharding, optimizer: MuonClip) -> dict[str, Tensor]:
    """All that a resume needs, by the whole network's names; the tensors' own memory.

    Each has the whole network's shape; a DTensor where this rank holds a part of it.
    """
    shapes = {name: p.shape for name, p in sharding.model.named_parameters()}
    tensors = {
        f"model.{name}": sharding.whole(name, tensor)
        for name, tensor in sharding.model.state_dict().items()
    }
    for name, tensor in optimizer.state_tensors().items():
        parameter = name.rpartition(".")[0]
        alike = tensor.shape == shapes[parameter]
        tensors[f"optimizer.{name}"] = sharding.whole(parameter, tensor) if alike else tensor
    return tensors


def write_tensors(folder: Path, tensors: dict[str, Tensor], fleet: Fleet) -> None:
    """Write what this rank holds of `tensors`, and of what several hold, its share.

    tensors: of any shapes, sharded or not, by name.
    """
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageWriter
    from torch.distributed.checkpoint.state_dict_saver import save

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that a process alone is alone
        writer = HuggingFaceStorageWriter(str(folder), save_distributed=True)
        save(tensors, storage_writer=writer, no_dist=fleet.count == 1)


def own_files(folder: Path, fleet: Fleet) -> list[Path]:
    """What `write_tensors` wrote on this rank."""
    return sorted(folder.glob(f"shard-{fleet.rank + 1:05d}-*.safetensors"))


def read_tensors(folder: Path, tensors: dict[str, Tensor], fleet: Fleet) -> None:
    """Fill `tensors`, of the shapes that were written, in place."""
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader
    from torch.distributed.checkpoint.state_dict_loader import load

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        reader = HuggingFaceStorageReader(str(folder))
        load(tensors, storage_reader=reader, no_dist=fleet.count == 1)


def stored_shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    """The whole shape of every tensor in a state."""
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader
    from torch.distributed.checkpoint.metadata import TensorStorageMetadata

    stored = HuggingFaceStorageReader(str(folder)).read_metadata().state_dict_metadata
    return {n: tuple(t.size) for n, t in stored.items() if isinstance(t, TensorStorageMetadata)}
