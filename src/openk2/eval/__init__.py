"""Measures of a chat model, over anything that generates chat: no tensors here."""

from openk2.eval.everyday import QUESTIONS, ask_everyday
from openk2.eval.scenario import Scenario, ScenarioScore, run_scenarios
from openk2.eval.score import ToolCallScore
from openk2.eval.score_tables import score_tables
from openk2.eval.tool_calls import score_tool_calls
from openk2.eval.turns import ConversationError
from openk2.eval.weather_loop import WeatherScore, run_weather_loop
from openk2.eval.weather_variations import VARIATIONS

__all__ = [
    "QUESTIONS",
    "VARIATIONS",
    "ConversationError",
    "Scenario",
    "ScenarioScore",
    "ToolCallScore",
    "WeatherScore",
    "ask_everyday",
    "run_scenarios",
    "run_weather_loop",
    "score_tables",
    "score_tool_calls",
]
