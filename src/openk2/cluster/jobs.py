"""Jobs whose results are files: a job whose file exists is not run again."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from openk2.cluster.workers import WorkerError, Workers


class FileJob(Protocol):
    """One piece of work. It writes `output` last, and whole or not at all."""

    @property
    def output(self) -> Path:
        """The file whose existence says that the job is done."""


J = TypeVar("J", bound=FileJob)


def finish_jobs(
    workers: Workers,
    function: Callable[[J], Any],
    jobs: Sequence[J],
    show: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Run `function(job)` for each job whose output is absent.

    Killed at any moment and called again, it continues with the missing ones. show: called with the
    number of finished jobs and of all. Raises what the function raises, and WorkerError if a worker
    finishes but its output is not visible here.
    """
    missing = [job for job in jobs if not job.output.exists()]
    done = len(jobs) - len(missing)
    show(done, len(jobs))
    for index, _ in workers.map(function, missing):
        output = missing[index].output
        if not output.exists():
            raise WorkerError(
                f"a worker wrote {output}, but it is not here: give a folder that all nodes share"
            )
        done += 1
        show(done, len(jobs))
