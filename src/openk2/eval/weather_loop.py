"""The Kimi-K2 README's tool-calling example, run many times.

Its messages, its tool and its loop; success is what the example is meant to show: get_weather is
called for Beijing, and the final answer says that it is sunny.
"""

import json
from dataclasses import dataclass
from typing import Any

from rich.progress import Progress

from openk2.chat import read_json
from openk2.eval.crowd import Unanswered, map_bounded
from openk2.eval.tool_loop import is_final, tool_loop, transcript
from openk2.generation import ChatAnswer, ChatGenerator

MESSAGES: tuple[dict[str, Any], ...] = (
    {"role": "system", "content": "You are Kimi, an AI assistant created by Moonshot AI."},
    {
        "role": "user",
        "content": "What's the weather like in Beijing today? Use the tool to check.",
    },
)
TOOLS: tuple[dict[str, Any], ...] = (
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Retrieve current weather information. "
            "Call this when the user asks about the weather.",
            "parameters": {
                "type": "object",
                "required": ["city"],
                "properties": {"city": {"type": "string", "description": "Name of the city"}},
            },
        },
    },
)
RESULT = {"weather": "Sunny"}


@dataclass(frozen=True)
class WeatherRun:
    """One run of the loop: the model's answers in order."""

    answers: tuple[ChatAnswer, ...]

    @property
    def called_beijing(self) -> bool:
        """Whether get_weather was called with exactly {"city": "Beijing"}."""
        calls = [call for answer in self.answers for call in answer.tool_calls]
        return any(
            call.name == "get_weather" and _parsed(call.arguments) == {"city": "Beijing"}
            for call in calls
        )

    @property
    def said_sunny(self) -> bool:
        """Whether the last answer is text to its end, and contains "sunny"."""
        last = self.answers[-1]
        return is_final(last) and "sunny" in last.content.lower()

    @property
    def succeeded(self) -> bool:
        """Both."""
        return self.called_beijing and self.said_sunny


@dataclass(frozen=True)
class WeatherScore:
    """Counts over runs, and the transcripts of those that failed.

    errors: further runs, in which the server did not answer.
    """

    runs: int
    called: int
    said: int
    succeeded: int
    failures: tuple[str, ...]
    errors: int = 0


async def run_weather_loop(
    generator: ChatGenerator,
    *,
    runs: int = 100,
    max_rounds: int = 3,
    temperature: float = 0.6,
    max_tokens: int = 256,
    concurrency: int = 8,
    progress: Progress | None = None,
) -> WeatherScore:
    """Run the loop `runs` times, unseeded, at most `max_rounds` answers each.

    concurrency: loops in flight at most. progress: a rich display to add a bar to.
    Raises what the generator raises.
    """

    async def run(_: int) -> WeatherRun:
        answers = await tool_loop(
            generator, list(MESSAGES), TOOLS, lambda call: json.dumps(RESULT),
            max_rounds=max_rounds, temperature=temperature, max_tokens=max_tokens,
        )  # fmt: skip
        return WeatherRun(tuple(answers))

    ended = await map_bounded(
        run,
        range(runs),
        concurrency=concurrency,
        progress=progress,
        label="weather loop",
    )
    finished = [run for run in ended if not isinstance(run, Unanswered)]
    return WeatherScore(
        runs=len(finished),
        called=sum(run.called_beijing for run in finished),
        said=sum(run.said_sunny for run in finished),
        succeeded=sum(run.succeeded for run in finished),
        failures=tuple(transcript(run.answers) for run in finished if not run.succeeded),
        errors=len(ended) - len(finished),
    )


def _parsed(arguments: str) -> Any:
    """Arguments as JSON; None, which is no arguments at all, when they are not JSON."""
    try:
        return read_json(arguments)
    except ValueError:
        return None
