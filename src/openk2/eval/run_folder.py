"""A run's folder: which model and settings it holds, so that no two are mixed, and what it found.

OUT/run.json         the model and the settings, written before the first question
OUT/logs/ROW/PART/*.eval  inspect's logs, for its own viewer too
OUT/results.json, OUT/results.md, OUT/index.html  what they say, written anew at each end
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from openk2.eval.catalogue import Row, all_rows
from openk2.eval.results import Prices, RowResult, row_result
from openk2.eval.suite import RowOutcome, logs_folder
from openk2.record import describe_machine, hold_folder, write_file_atomically

RUN = "run.json"


class RunFolderError(ValueError):
    """A folder that holds another run, or none."""


@dataclass(frozen=True)
class SuiteRun:
    """What makes answers comparable. models: by table; roles: of judges and users; both as they
    were named. seed, samples, max_tokens: see `Asking`; a limit may change from one session to the
    next.

    machine: of the last session. versions: of openk2, in the order of the sessions.
    served, weights: table or role -> the model's id at its server, and of a local one the digest of
    its weights: the same name may come to mean another model.
    """

    models: Mapping[str, str]
    roles: Mapping[str, str]
    seed: int
    samples: int | None
    max_tokens: int | None
    machine: str = ""
    served: Mapping[str, str] = field(default_factory=dict)
    weights: Mapping[str, str] = field(default_factory=dict)
    versions: Sequence[str] = ()

    @property
    def title(self) -> str:
        """The models, for a heading."""
        return " and ".join(dict.fromkeys(self.models.values())) or "no model"

    @property
    def named(self) -> dict[str, str]:
        """Table or role -> its model as it was named, with the id at its server if that differs."""
        return {
            key: model
            if model.endswith(self.served.get(key, ""))
            else f"{model}, {self.served[key]}"
            for key, model in {**self.models, **self.roles}.items()
        }


@contextmanager
def begun(out: Path, run: SuiteRun) -> Iterator[None]:
    """Hold the folder for this run. Raises RunFolderError if it holds another one, and
    BlockingIOError if another process is at it."""
    with hold_folder(out):
        if (out / RUN).exists():
            refuse_another(out, read_run(out), run)
        yield


def refuse_another(out: Path, before: SuiteRun, run: SuiteRun) -> None:
    """Raises RunFolderError unless answers of the two may stand side by side."""
    for name in ("models", "roles", "seed", "samples", "max_tokens"):
        old, new = getattr(before, name), getattr(run, name)
        if isinstance(old, Mapping):
            # A later session may add a table or a judge, not replace one.
            changed = any(new.get(key, value) != value for key, value in old.items())
        else:
            changed = old != new
        if changed:
            raise RunFolderError(
                f"{out} holds a run with {name} {old}, not {new}: give another --out"
            )


def refuse_another_model(out: Path, before: SuiteRun, run: SuiteRun) -> None:
    """Raises RunFolderError if a name now stands for another model than in an earlier session."""
    named = {**run.models, **run.roles}
    for key, model in run.served.items():
        old = before.served.get(key, model)
        if old != model:
            raise RunFolderError(
                f"{out} holds answers of {key} model {old!r}, but {named[key]} now serves "
                f"{model!r}: give another --out"
            )
    for key, digest in run.weights.items():
        if before.weights.get(key, digest) != digest:
            raise RunFolderError(
                f"{out} holds answers of {key} model {named[key]} with other weights "
                f"({before.weights[key][:12]}, now {digest[:12]}): give another --out"
            )


def record_run(out: Path, run: SuiteRun) -> str:
    """Write what the folder holds from now on. Call it when the models have been opened: a name
    mistyped would keep the right one out. Raises RunFolderError for a model that has changed.

    Returns a warning in one line if an earlier session was of another openk2, else "".
    """
    current, warning = version("openk2"), ""
    run = replace(run, versions=(current,))
    if (out / RUN).exists():
        before = read_run(out)
        refuse_another_model(out, before, run)
        run = merged(before, run)
        others = [name for name in before.versions if name != current]
        if others:
            warning = (
                f"{out} holds answers that openk2 {', '.join(others)} scored, this is {current}: "
                "their rules may differ; give another --out to score all by the same"
            )
    text = json.dumps({**asdict(run), "machine": describe_machine()}, indent=1)
    write_file_atomically(out / RUN, text + "\n")
    return warning


def merged(before: SuiteRun, run: SuiteRun) -> SuiteRun:
    """The run with what only the earlier session had."""
    return replace(
        run,
        models={**before.models, **run.models},
        roles={**before.roles, **run.roles},
        served={**before.served, **run.served},
        weights={**before.weights, **run.weights},
        versions=tuple(dict.fromkeys([*before.versions, *run.versions])),
    )


def read_run(out: Path) -> SuiteRun:
    """What the folder holds. Raises RunFolderError."""
    try:
        return SuiteRun(**json.loads((out / RUN).read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise RunFolderError(f"{out} holds no {RUN}: name the --out of a run") from error
    except (ValueError, TypeError) as error:
        raise RunFolderError(f"{out / RUN} cannot be read: {error}") from error


def results_of(
    out: Path,
    outcomes: Sequence[RowOutcome] = (),
    prices: Prices | None = None,
    rows: Sequence[Row] | None = None,
) -> list[RowResult]:
    """Of `rows`, by default all there are, those that have logs in the folder or that this session
    named."""
    named = {outcome.row: outcome for outcome in outcomes}
    served = read_run(out).served
    results = []
    for row in all_rows() if rows is None else rows:
        if row.name in named or logs_folder(out, row.name).is_dir():
            outcome = named.get(row.name, RowOutcome(row.name, "ran"))
            results.append(row_result(row, outcome, out, prices, served.get(row.variant, "")))
    return results


def to_json(run: SuiteRun, results: Sequence[RowResult]) -> dict[str, Any]:
    """What results.json holds and --json prints."""
    return {"run": asdict(run), "rows": [result.to_json() for result in results]}
