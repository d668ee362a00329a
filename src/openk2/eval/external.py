"""Rows that their own harnesses run, with a container engine: one figure beside the run's logs."""

import json
from collections.abc import Mapping
from pathlib import Path

from openk2.eval.catalogue import Row
from openk2.eval.code.harness import HARNESSES, Asked, refusal, run_harness
from openk2.eval.model_api import ModelAddress
from openk2.generation import api_root
from openk2.record import write_file_atomically

FIGURE = "harness.json"


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
    """Run the harness in `folder` and keep its figure there; a figure that stands is kept.

    predictions: row -> a file of patches that are there already. Raises HarnessError.
    """
    if external_share(folder) is not None:
        return
    asked = Asked(
        model=address.model,
        url=api_root(address.url),
        folder=folder,
        key=address.api_key or "none",
        workers=workers,
        limit=limit,
        predictions=predictions.get(row.name),
    )
    share = run_harness(HARNESSES[row.benchmark.name], asked)
    write_file_atomically(folder / FIGURE, json.dumps({"share": share}) + "\n")


def external_share(folder: Path) -> float | None:
    """The figure that a harness left, 0 to 1; None if it did not end."""
    try:
        return float(json.loads((folder / FIGURE).read_text(encoding="utf-8"))["share"])
    except FileNotFoundError:
        return None


def harness_note(row: Row) -> str:
    """How the harness's way differs from the report's, "" if it does not."""
    harness = HARNESSES.get(row.benchmark.name)
    return harness.note if harness else ""
