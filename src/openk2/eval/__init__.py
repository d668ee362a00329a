"""Measures of a chat model, over anything that generates chat: no tensors here."""

from openk2.eval.tool_calls import ToolCallScore, score_tool_calls
from openk2.eval.weather_loop import WeatherScore, run_weather_loop

__all__ = ["ToolCallScore", "WeatherScore", "run_weather_loop", "score_tool_calls"]
