"""What every framework is asked: a tool, a class, a question that the built-in model masters."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

QUESTION = "What's the weather like in Beijing today? Use the tool to check."
DESCRIPTION = "Get the current weather. Call this when the user asks about the weather."
SUNSHINE = "Sunny"


class Place(BaseModel):
    """Closed and short: an answer ends whatever the model would like to say."""

    model_config = ConfigDict(extra="forbid")
    country: Literal["China", "Italy"]
    capital: bool


class Weather(BaseModel):
    model_config = ConfigDict(extra="forbid")
    city: Literal["Beijing", "Rome"]


def get_weather(city: str) -> str:
    """Get the current weather. Call this when the user asks about the weather."""
    return f"{SUNSHINE} in {city}"
