"""`Planned`: how many answers a row is to have, kept beside its logs from before the first one."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from openk2.record import DataError, write_file_atomically

PLANNED = "planned.json"


@dataclass(frozen=True)
class Planned:
    """answers: how many the row is to have, those of earlier sessions included."""

    answers: int

    def lacks(self, given: int) -> str:
        """Such as `11 of 40 answers`; "" if none is missing."""
        return f"{given} of {self.answers} answers" if given < self.answers else ""


def write_planned(folder: Path, planned: Planned) -> None:
    """Keep it in the folder of a row's logs, which is made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    write_file_atomically(folder / PLANNED, json.dumps(asdict(planned)) + "\n")


def read_planned(folder: Path) -> Planned | None:
    """What a row was to have; None in a folder of a version that did not keep it.

    Raises DataError for a file that says something else.
    """
    try:
        return Planned(int(json.loads((folder / PLANNED).read_text(encoding="utf-8"))["answers"]))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, LookupError) as error:
        raise DataError(f"{folder / PLANNED}: {error}: delete it and run the row again") from None
