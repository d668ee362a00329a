"""What a study is, and `collect`, which reads its recorded runs and runs the others."""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Protocol

from openk2.record import Panel, Table
from openk2.studies.corpus import Corpus
from openk2.studies.error import StudyError
from openk2.studies.result import StudyResult
from openk2.studies.run import StudyPlace, identity, run, run_folder
from openk2.studies.setting import Setting
from openk2.studies.size import Size

Results = Mapping[Setting, StudyResult]


@dataclass(frozen=True)
class Findings:
    """What a study shows: the report's claim beside our tables, remarks and plots."""

    title: str
    claim: str
    method: str
    tables: tuple[Table, ...]
    remarks: tuple[str, ...]
    panels: tuple[Panel, ...]


class Study(Protocol):
    """One question to the network."""

    @property
    def name(self) -> str:
        """How the command calls it."""

    def plan(self, size: Size, done: Results) -> list[Setting]:
        """The runs that are wanted, as far as it can be told from those that are done."""

    def findings(self, size: Size, results: Results) -> Findings:
        """What the runs of the whole plan show."""


def collect(
    study: Study,
    size: Size,
    corpus: Corpus,
    place: StudyPlace,
    *,
    jobs: int = 1,
    prepare: Callable[[], None] | None = None,
    announce: Callable[[str], None] = lambda _: None,
) -> dict[Setting, StudyResult]:
    """Every run of the study's plan, recorded or run now, `jobs` at once.

    prepare: called first in each process that is started, if jobs are more than one.
    Raises StudyError if a recorded run was made of other settings, and whatever a run raises.
    """
    done: dict[Setting, StudyResult] = {}
    while True:
        for setting in study.plan(size, done):
            known = recorded(setting, size, corpus, place)
            if known is not None:
                done[setting] = known
        missing = [s for s in dict.fromkeys(study.plan(size, done)) if s not in done]
        if not missing:
            return {setting: done[setting] for setting in dict.fromkeys(study.plan(size, done))}
        for setting in ran(missing, size, corpus, place, jobs, prepare):
            result = recorded(setting, size, corpus, place)
            assert result is not None
            done[setting] = result
            announce(
                f"{study.name}: {setting.name}, held-out loss {result.final_loss:.4f}, "
                f"{result.seconds:.0f} s"
            )


def recorded(setting: Setting, size: Size, corpus: Corpus, place: StudyPlace) -> StudyResult | None:
    """The finished run of this setting. Raises StudyError if its folder holds another's."""
    folder = run_folder(setting, size, place)
    result = StudyResult.read(folder)
    if result is not None and result.identity != identity(setting, size, corpus, place):
        raise StudyError(
            f"{folder} holds a run of another size, corpus, device or number of threads: "
            "name another --out"
        )
    return result


def ran(
    settings: list[Setting],
    size: Size,
    corpus: Corpus,
    place: StudyPlace,
    jobs: int,
    prepare: Callable[[], None] | None,
) -> Iterable[Setting]:
    """Run `settings`, at most `jobs` at once; each is given when it is finished."""
    if jobs == 1:
        for setting in settings:
            run(setting, size, corpus, place)
            yield setting
        return
    # spawn: a forked child of a process that has used torch's threads may hang.
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=prepare) as pool:
        started = {pool.submit(run, s, size, corpus, place): s for s in settings}
        for finished in as_completed(started):
            finished.result()
            yield started[finished]
