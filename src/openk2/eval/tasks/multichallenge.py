"""MultiChallenge: 273 conversations whose last turn needs the earlier ones (arXiv 2501.17399).

Prompt: the conversation as it is, zero-shot. Judge: role "grader"; it answers the sample's
yes-or-no question about the last reply, and the reply passes if the answer is the one asked for.
Metric: the mean of the accuracies on the four axes, as the paper's overall score, temperature 0.6,
output cap 8,192.
"""

from pathlib import Path
from typing import Any

from inspect_ai.dataset import Sample
from inspect_ai.model import ChatMessage, ChatMessageAssistant, ChatMessageSystem, ChatMessageUser

from openk2.data.error import DataError
from openk2.eval.answers.judged import CRITERION_JUDGE
from openk2.eval.answers.scoring import by_judge
from openk2.eval.benchmark import Benchmark, Protocol, Source
from openk2.eval.records import Record, read

AXES = (
    "INFERENCE_MEMORY",
    "INSTRUCTION_RETENTION",
    "RELIABLE_VERSION_EDITING",
    "SELF_COHERENCE",
)


def turn(message: Any, place: str) -> ChatMessage:
    """One message of a conversation. Raises DataError."""
    if isinstance(message, dict) and isinstance(text := message.get("content"), str):
        match message.get("role"):
            case "user":
                return ChatMessageUser(content=text)
            case "assistant":
                return ChatMessageAssistant(content=text)
            case "system":
                return ChatMessageSystem(content=text)
    raise DataError(f"{place}: {str(message)[:80]!r} is no message with role and content")


def axis(record: Record) -> str:
    """The axis in capitals. Raises DataError for an unknown one."""
    name = record.text("AXIS", "axis").strip().upper().replace(" ", "_")
    if name not in AXES:
        raise DataError(f"{record.place}: axis {name!r} is none of {', '.join(AXES)}")
    return name


def read_samples(folder: Path) -> list[Sample]:
    """Fields QUESTION_ID, AXIS, CONVERSATION, TARGET_QUESTION, PASS_CRITERIA."""
    return [
        Sample(
            id=record.text("QUESTION_ID", "question_id"),
            input=[turn(m, record.place) for m in record.one_of("CONVERSATION", "conversation")],
            metadata={
                "group": axis(record),
                "target_question": record.text("TARGET_QUESTION", "target_question"),
                "pass_criteria": record.text("PASS_CRITERIA", "pass_criteria"),
            },
        )
        for record in read(folder, "*.json*", "*.parquet")
    ]


MULTI_CHALLENGE = Benchmark(
    name="multi-challenge",
    title="Multi-Challenge",
    paper="https://arxiv.org/abs/2501.17399",
    protocol=Protocol(metric="Acc", groups=dict.fromkeys(AXES, 1.0), roles=("grader",)),
    source=Source(
        folder="multichallenge",
        files=("*",),
        obtain="download nmayorga7/multichallenge from the Hugging Face hub into multichallenge/",
        hub="nmayorga7/multichallenge",
    ),
    read=read_samples,
    scorer=by_judge("multi_challenge", CRITERION_JUDGE),
)
