"""Rows that their own harnesses run, with a container engine: one count beside the run's logs."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from openk2.eval.catalogue import Row
from openk2.eval.code.harness import HARNESSES, Asked, refusal, run_harness
from openk2.eval.model_api import ModelAddress
from openk2.eval.share import Share, clustered_share
from openk2.generation import api_root
from openk2.record import DataError, file_sha256, write_file_atomically

FIGURE = "harness.json"
OWN = "--seed, --samples and --max-tokens do not reach the harness"


def patched_rows() -> list[str]:
    """The rows whose harness judges patches that were made before (`--predictions`)."""
    return [name for name, harness in HARNESSES.items() if harness.takes_patches]


def why_not(row: Row) -> str:
    """Why the row's harness cannot run here, in one line; "" if it can."""
    harness = HARNESSES.get(row.benchmark.name)
    if harness is None:
        return f"{row.benchmark.external} is not known here: {row.benchmark.source.obtain}"
    return refusal(harness)


def run_external(
    row: Row,
    address: ModelAddress,
    folder: Path,
    *,
    limit: int | None,
    workers: int,
    predictions: Mapping[str, Path],
) -> None:
    """Run the harness in `folder` and keep its count there, unless one of these patches, and of as
    many problems at least, stands.

    predictions: row -> a file of patches that are there already. Raises HarnessError, DataError for
    a damaged count, and OSError for a file of patches that cannot be read.
    """
    patches = predictions.get(row.name)
    wanted = {"limit": limit, "predictions": None if patches is None else file_sha256(patches)}
    stood = stored(folder)
    if stood is not None and stood.get("predictions") == wanted["predictions"]:
        done = stood.get("limit")
        if done is None or (limit is not None and limit <= done):
            return
    mark = hashlib.sha256(json.dumps(wanted).encode()).hexdigest()[:8]
    asked = Asked(
        model=address.model,
        url=api_root(address.url),
        folder=folder,
        key=address.api_key or "none",
        workers=workers,
        limit=limit,
        predictions=patches,
        run=f"openk2-{mark}",
    )
    found = run_harness(HARNESSES[row.benchmark.name], asked)
    text = json.dumps({**wanted, "solved": found.solved, "of": found.of, "note": found.note})
    write_file_atomically(folder / FIGURE, text + "\n")


def stored(folder: Path) -> Mapping[str, Any] | None:
    """What a harness left: its count, and what it was asked; None if it did not end.

    Raises DataError for a file that holds something else.
    """
    path = folder / FIGURE
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        solved, of = found["solved"], found["of"]
        whole = type(solved) is int and type(of) is int
        if not whole or not 0 <= solved <= of or of == 0:
            raise ValueError(f"{solved!r} of {of!r} is no count")
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, LookupError) as error:
        raise DataError(f"{path}: {error}: delete it and run the row again") from None
    return cast(Mapping[str, Any], found)


def external_share(folder: Path) -> Share | None:
    """The share of problems that a harness found solved; None if it did not end. Raises
    DataError."""
    found = stored(folder)
    if found is None:
        return None
    return clustered_share((int(place < found["solved"]), 1) for place in range(found["of"]))


def harness_note(row: Row, folder: Path) -> str:
    """How the harness's way differs from ours and the report's, and what its run lacks."""
    harness = HARNESSES.get(row.benchmark.name)
    notes = (OWN, harness.note if harness else "", str((stored(folder) or {}).get("note", "")))
    return "; ".join(filter(None, notes))
