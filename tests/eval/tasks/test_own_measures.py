"""`tools` and `weather` as rows: the verdicts of the commands, through inspect."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from inspect_ai import eval as run_eval
from inspect_ai.log import EvalSample
from inspect_ai.model import ChatMessage, ChatMessageAssistant, ModelOutput, get_model

from openk2.eval.benchmark import Benchmark
from openk2.eval.inspect_task import Asking, inspect_task
from openk2.eval.streak import Streak
from openk2.eval.tasks.tools import TOOLS
from openk2.eval.tasks.weather import SCENARIOS, WEATHER
from openk2.record import DataError

from .scripted import Play, calls, says, scripted

SKY = "meteo.sky_of"  # endpoints refuse the dot
CONVERSATION: dict[str, Any] = {
    "tools": [
        {
            "type": "function",
            "function": {
                "name": SKY,
                "description": "The sky of a town.",
                "parameters": {
                    "type": "object",
                    "required": ["town"],
                    "properties": {"town": {"type": "string"}},
                },
            },
        }
    ],
    "messages": [
        {"role": "system", "content": "You help."},
        {"role": "user", "content": "How is the sky in Oslo?"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": f"functions.{SKY}:0",
                    "type": "function",
                    "function": {"name": SKY, "arguments": '{"town": "Oslo"}'},
                }
            ],
        },
        {"role": "tool", "tool_call_id": f"functions.{SKY}:0", "content": '{"sky": "foggy"}'},
        {"role": "assistant", "content": "It is foggy in Oslo."},
        {"role": "user", "content": "Thanks!"},
        {"role": "assistant", "content": "You are welcome."},
    ],
}


def write(folder: Path, *conversations: dict[str, Any]) -> Path:
    folder.mkdir()
    text = "".join(json.dumps(conversation) + "\n" for conversation in conversations)
    (folder / "some.jsonl").write_text(text, encoding="utf-8")
    return folder


def answered(benchmark: Benchmark, samples: Any, tmp_path: Path, play: Play) -> list[EvalSample]:
    task = inspect_task(benchmark, samples, Asking(concurrency=1, samples=1), Streak())
    (log,) = run_eval(task, model=scripted(play), log_dir=str(tmp_path / "logs"), display="none")
    assert log.status == "success", [s.error for s in log.samples or ()]
    return list(log.samples or ())


def value(sample: EvalSample) -> Any:
    (score,) = (sample.scores or {}).values()
    return score.value


def cut_off() -> ModelOutput:
    """What a prompt that does not fit gets."""
    return ModelOutput.from_content("mockllm/model", "", stop_reason="model_length")


def as_the_reference(messages: Sequence[ChatMessage]) -> ModelOutput:
    last = messages[-1]
    if last.role == "tool":
        return says("There it is FOGGY today.")
    return says("Any time.") if last.text == "Thanks!" else calls("meteo_sky_of", town="Oslo")


@pytest.mark.parametrize(
    ("play", "wanted"),
    [
        (as_the_reference, [1.0, 1.0, 1.0]),
        (lambda _: says("I cannot."), [0.0, 0.0, 1.0]),
        (lambda _: calls("meteo_sky_of", town="Bergen"), [0.0, 0.0, 0.0]),
        (lambda _: calls("meteo_sky_of", town=float("inf")), [0.0, 0.0, 0.0]),
        (lambda _: calls("no_such_tool"), [0.0, 0.0, 0.0]),
        (lambda _: cut_off(), [0.0, 0.0, 0.0]),
    ],
)
def test_each_turn_is_asked_after_the_references_history(
    tmp_path: Path, play: Play, wanted: list[float]
) -> None:
    samples = TOOLS.read(write(tmp_path / "tools", CONVERSATION))
    found = answered(TOOLS, samples, tmp_path, play)
    by_id = {str(sample.id): value(sample) for sample in found}
    assert by_id == {f"some-0-{n}": v for n, v in enumerate(wanted)}


def test_the_history_has_the_reference_call_by_the_declared_name(tmp_path: Path) -> None:
    samples = TOOLS.read(write(tmp_path / "tools", CONVERSATION))
    found = answered(TOOLS, samples, tmp_path, as_the_reference)
    (told,) = (sample for sample in found if sample.id == "some-0-1")
    made = [m for m in told.messages if isinstance(m, ChatMessageAssistant) and m.tool_calls]
    assert [(c.function, c.arguments) for m in made for c in m.tool_calls or ()] == [
        ("meteo_sky_of", {"town": "Oslo"})
    ]
    assert told.messages[0].text == "You help."


def test_what_is_no_conversation_is_named_by_its_line(tmp_path: Path) -> None:
    for number, broken in enumerate(
        ({"text": "?"}, CONVERSATION | {"kinds": ["single"]}, CONVERSATION | {"tools": [{}]})
    ):
        folder = write(tmp_path / str(number), CONVERSATION, broken)
        with pytest.raises(DataError, match=r"some\.jsonl:2"):
            TOOLS.read(folder)


def in_the_readmes_loop(messages: Sequence[ChatMessage]) -> ModelOutput:
    if messages[-1].role == "tool":
        return says("Sunny.")
    return calls("get_weather", city="Beijing")


def test_the_weather_row_is_eleven_conversations(tmp_path: Path) -> None:
    samples = WEATHER.read(tmp_path)
    assert len(samples) == len(SCENARIOS) == 11
    found = answered(WEATHER, samples, tmp_path, in_the_readmes_loop)
    right = [str(sample.id) for sample in found if value(sample) == 1.0]
    # A model that always calls for Beijing.
    assert right == ["the-README's"]
    (first,) = (sample for sample in found if sample.id == "the-README's")
    assert first.messages[0].role == "system"


def test_an_answer_has_the_rows_cap_and_a_seed(tmp_path: Path) -> None:
    seen = []

    def play(messages: Sequence[ChatMessage], *more: Any) -> ModelOutput:
        seen.append(more[-1])
        return says("no")

    model = get_model("mockllm/model", custom_outputs=play, memoize=False)
    task = inspect_task(WEATHER, WEATHER.read(tmp_path)[:1], Asking(samples=2), Streak())
    run_eval(task, model=model, log_dir=str(tmp_path / "logs"), display="none")
    assert {(config.max_tokens, config.temperature) for config in seen} == {(256, 0.6)}
    assert len({config.seed for config in seen}) == 2
