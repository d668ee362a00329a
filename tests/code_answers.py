"""A scorer's judgement of one answer, as inspect gives it."""

import asyncio
from typing import Any

import pytest
from inspect_ai.dataset import Sample
from inspect_ai.model import ChatMessageUser, ModelName, ModelOutput
from inspect_ai.scorer import Score, Target
from inspect_ai.solver import TaskState

from openk2.environments import Sandbox, SandboxError, find_sandbox
from openk2.eval.benchmark import Benchmark
from openk2.eval.code.place import chosen_sandbox, use_sandbox


def scorer_of(benchmark: Benchmark) -> Any:
    """The benchmark's scorer in the best sandbox here; on machines without one, a subprocess."""
    try:
        return benchmark.scorer()
    except SandboxError:
        with use_sandbox("subprocess"):
            return benchmark.scorer()


def judged(scorer: Any, sample: Sample, answer: str) -> Score:
    """The score of `answer` to `sample`."""
    state = TaskState(
        model=ModelName("mockllm/model"),
        sample_id=sample.id or 0,
        epoch=1,
        input=sample.input,
        messages=[ChatMessageUser(content=str(sample.input))],
        output=ModelOutput.from_content("mockllm/model", answer),
        metadata=dict(sample.metadata or {}),
    )
    score = asyncio.run(scorer(state, Target(sample.target)))
    if score is None:
        pytest.fail(f"{sample.id}: no score")
    return score


def best_sandbox() -> Sandbox:
    """The best sandbox here; on machines without one, the limited subprocess."""
    try:
        return chosen_sandbox()
    except SandboxError:
        return find_sandbox("subprocess")
