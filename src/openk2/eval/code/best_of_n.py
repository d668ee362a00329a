"""Best of N: a scoring model reads each attempt and the best is handed in.

The report's multiple-attempts row takes the best of several patches by a scoring model; neither N
nor the model is published. Here a model of the role "scoring" marks each different patch from 0 to
100 by itself; the first of the best is taken.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from inspect_ai.model import GenerateConfig, Model

_PROMPT = """A software repository has this issue:

<issue>
{issue}
</issue>

Somebody hands in this patch:

<patch>
{patch}
</patch>

Judge how likely the patch is to resolve the issue and to break no test. Reason briefly, then end
with a line "Score: N", N from 0 (certainly wrong) to 100 (certainly right)."""
_MARK = re.compile(r"score\W{0,8}(\d{1,3})(?:\.\d+)?\b", re.I)


async def best_of(scoring: Model, issue: str, patches: Sequence[str]) -> int:
    """Index of the patch to hand in. Raises ValueError if there is none.

    Equal patches are asked about once; an empty patch, or one without a mark, counts as 0.
    """
    if not patches:
        raise ValueError("best of no patches; run at least one attempt")
    marks: dict[str, int] = {}
    for patch in patches:
        if patch.strip() and patch not in marks:
            prompt = _PROMPT.format(issue=issue, patch=patch)
            output = await scoring.generate(prompt, config=GenerateConfig(temperature=0.0))
            marks[patch] = mark_in(output.completion)
    values = [marks.get(patch, 0) for patch in patches]
    best = max(values)
    # Without any mark, still rather a patch than none.
    return next((i for i, patch in enumerate(patches) if values[i] == best and patch.strip()), 0)


async def choose_predictions(
    scoring: Model, issues: Mapping[str, str], attempts: Sequence[Path], chosen: Path
) -> None:
    """Write the best of several files of predictions, problem by problem, to `chosen`.

    issues: instance id -> the issue's text. attempts: files as mini-swe-agent and SWE-bench have
    them, {instance id: {"model_patch": ...}}. Raises ValueError if a problem's issue is missing.
    """
    runs = [json.loads(path.read_text(encoding="utf-8")) for path in attempts]
    best = {}
    for name in sorted({name for run in runs for name in run}):
        if name not in issues:
            raise ValueError(f"{name} has patches and no issue; give SWE-bench's file of problems")
        made = [run[name] for run in runs if name in run]
        patches = [str(entry.get("model_patch") or "") for entry in made]
        best[name] = made[await best_of(scoring, issues[name], patches)]
    chosen.write_text(json.dumps(best), encoding="utf-8")


def mark_in(text: str) -> int:
    """The last score that a text gives, 0 without one or beyond 100."""
    marks = [int(mark) for mark in _MARK.findall(text)]
    return marks[-1] if marks and marks[-1] <= 100 else 0
