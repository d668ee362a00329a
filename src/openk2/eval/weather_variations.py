"""Ten variations of the README's weather loop: other names, more tools, what is missing or fails.

The README's example is in the training data of the built-in model in many shapes. These ask whether
it was understood.
"""

from collections.abc import Mapping
from typing import Any

from openk2.eval.admission import LACKING
from openk2.eval.scenario import Scenario, Step
from openk2.eval.weather_loop import TOOLS

Parameters = Mapping[str, Mapping[str, Any]]


def _tool(name: str, description: str, parameters: Parameters) -> dict[str, Any]:
    """A tool all of whose parameters are required."""
    schema = {"type": "object", "required": list(parameters), "properties": dict(parameters)}
    function = {"name": name, "description": description, "parameters": schema}
    return {"type": "function", "function": function}


_CITY = {"type": "string", "description": "Name of the city"}
_WEATHER = TOOLS[0]
_TIME = _tool("get_local_time", "Get the current local time in a city.", {"city": _CITY})
_CONVERT = _tool(
    "convert_currency",
    "Convert an amount of money from one currency to another.",
    {
        "amount": {"type": "number", "description": "The amount"},
        "source": {"type": "string", "description": "Currency code to convert from"},
        "target": {"type": "string", "description": "Currency code to convert to"},
    },
)
_FLIGHTS = _tool(
    "search_flights",
    "Search for flights between two cities.",
    {
        "origin": {"type": "string", "description": "City of departure"},
        "destination": {"type": "string", "description": "City of arrival"},
    },
)
_CONDITIONS = _tool(
    "lookup_sky_conditions",
    "Look up what the weather is like in a town. Call this when the user asks about the weather.",
    {"town": {"type": "string", "description": "Name of the town"}},
)
_REPORT = _tool(
    "meteo.currentReport",
    "Current weather report of a place.",
    {
        "place": {"type": "string", "description": "Where"},
        "unit": {"type": "string", "enum": ["celsius", "fahrenheit"], "description": "Unit"},
    },
)
_FORECAST = {
    "Beijing": {"weather": "Sunny"},
    "London": {"weather": "Rainy"},
    "Rome": {"weather": "Cloudy"},
    "Paris": {"weather": "Snowy"},
    "Madrid": {"weather": "Windy"},
}
_ASKS_WHERE = (r"city|where|place|location|which",)
_FAILED = (rf"{LACKING}|fail|error|problem|unavailable|went wrong|down",)
_FORECASTS = r"\b(sunny|rainy|cloudy|snowy|windy)\b"


def _called(city: str) -> tuple[str, dict[str, Any]]:
    return "get_weather", {"city": city}


VARIATIONS = (
    Scenario("another tool name", (_CONDITIONS,), {"Oslo": {"sky": "Foggy"}}, (
        Step("What's the weather like in Oslo today?",
             (("lookup_sky_conditions", {"town": "Oslo"}),), ("fogg",)),
    )),
    Scenario("a unit besides", (_REPORT,), {"Cairo": {"condition": "Clear", "temperature": 31}}, (
        Step("How is the weather in Cairo, in celsius?",
             (("meteo.currentReport", {"place": "Cairo", "unit": "celsius"}),), (r"\b31\b",)),
    )),
    Scenario("two tools, the other needed", (_WEATHER, _TIME), {"Tokyo": {"time": "21:40"}}, (
        Step("What time is it in Tokyo?", (("get_local_time", {"city": "Tokyo"}),),
             ("21:40|9:40",)),
    )),
    Scenario("among other tools", (_FLIGHTS, _CONVERT, _WEATHER, _TIME), _FORECAST, (
        Step("What's the weather like in Rome today?", (_called("Rome"),), ("cloud",)),
    )),
    Scenario("two cities at once", (_WEATHER,), _FORECAST, (
        Step("What's the weather like in Paris and in Rome?",
             (_called("Paris"), _called("Rome")), ("snow", "cloud")),
    )),
    Scenario("the city missing", (_WEATHER,), _FORECAST, (
        Step("What's the weather like today? Use the tool to check.", (), _ASKS_WHERE,
             _FORECASTS),
        Step("Madrid", (_called("Madrid"),), ("wind",)),
    )),
    Scenario("the tool fails", (_WEATHER,), {"Beijing": {"error": "service unavailable"}}, (
        Step("What's the weather like in Beijing today? Use the tool to check.",
             (_called("Beijing"),), _FAILED, _FORECASTS),
    )),
    Scenario("no tool declared", (), {}, (
        Step("What's the weather like in Beijing today?", (), (LACKING,), _FORECASTS),
    )),
    Scenario("only other tools", (_CONVERT, _FLIGHTS), {}, (
        Step("What's the weather like in Beijing today?", (), (LACKING,), _FORECASTS),
    )),
    Scenario("another city after", (_WEATHER,), _FORECAST, (
        Step("What's the weather like in Beijing today?", (_called("Beijing"),), ("sunn",)),
        Step("And what about London?", (_called("London"),), ("rain",)),
    )),
)  # fmt: skip
