"""Weather tools and requests: the README's example, in many names, shapes and phrasings.

The README's own city gets more than its share of the draws, and a few well-known cities most of the
rest, so that its example is well practised; what generalises is measured on the held-out split,
which has no weather at all.
"""

from random import Random
from typing import Any

from openk2.synthesis import values as v
from openk2.synthesis.requests import Wish, dressed
from openk2.synthesis.results import Outcome, dumped
from openk2.synthesis.tools import Arguments, Kind, Parameter, Task, Tool, draw_style
from openk2.synthesis.values import Split, Value

_NAMES = (
    "get_weather", "get_weather", "get_weather", "get_current_weather", "weather.lookup",
    "getWeather", "weather", "current_weather", "check-weather", "weather_forecast",
    "showWeather", "get_weather_report", "lookup_weather", "weather-api.current",
    "get_city_weather", "weather.get_current", "weather_now", "getCurrentWeather",
)  # fmt: skip
_DESCRIPTIONS = (
    "Retrieve current weather information. Call this when the user asks about the weather.",
    "Get the current weather in a given city.", "Get weather information for a city.",
    "Returns the weather in a city.", "Current weather by city name.", "Look up the weather.",
    "Get the current weather. Use this when the user asks about the weather.",
    "Retrieve the weather for a location.", "Check the weather.", "Weather lookup.",
    "Call this to find out the weather.", "Provides current weather conditions.",
)  # fmt: skip
# For the tools that are composed. The variations of `openk2 eval weather` have names of their own.
_COMPOSED_SHARE = 0.5
_VERBS = ("get", "lookup", "look up", "check", "show", "find", "retrieve", "see")
_NOUNS = ("weather", "current weather", "weather report", "weather conditions", "conditions",
          "forecast", "city weather", "local weather", "weather info", "sky", "sky now",
          "weather state", "outdoor conditions")  # fmt: skip
_DOMAINS = ("weather", "forecast", "climate", "sky", "outdoors", "wx")
_ABOUT = ("the weather", "the current weather", "weather conditions", "the weather report",
          "current weather data", "the weather right now", "today's weather")  # fmt: skip
_WHERE = ("in a city", "in a town", "for a location", "of a place", "in a given city",
          "for a city", "at a place", "by city", "for one town")  # fmt: skip
_WHEN = ("", "", " Call this when the user asks about the weather.",
         " Use it for questions about the weather.",
         " Call it whenever somebody asks about the weather.")  # fmt: skip
_PLACES = ("city", "location", "place", "town", "city name", "town name", "area")
_CITY_DESCRIPTIONS = ("Name of the city", "Name of the city", "The city name", "City", "The city",
                      "The name of the city", "City to look up", "The location", "")  # fmt: skip
_FRAMES = (
    "What's the weather like {} today?", "What's the weather like {} today?",
    "What is the weather like {}?", "How is the weather {}?", "How's the weather {} today?",
    "What's the weather {}?", "Tell me the weather {}.", "Check the weather {}.",
    "Can you check the weather {} for me?", "Is it raining {} right now?", "Is it sunny {}?",
    "Do I need an umbrella {} today?", "Could you look up the weather {}?",
    "I need the weather {}.",
    "Please get the current weather {}.", "What's the current weather {}?", "Weather {}?",
    "Give me today's weather {}.", "I'm travelling today. How is the weather {}?",
    "Will I need a coat {} today?", "Is the weather good {}?", "Weather {} please.",
)  # fmt: skip
_CONDITIONS = (
    "Sunny", "Sunny", "Sunny", "Sunny", "Sunny", "Cloudy", "Rainy", "Snowy", "Windy", "Foggy",
    "Clear", "Stormy", "Overcast",
    "Partly cloudy", "Light rain", "Heavy rain", "Light snow", "Thunderstorms", "Drizzle", "Hail",
    "Mostly sunny", "Humid", "Hazy", "Scattered showers", "Sleet", "Dry", "Freezing", "Hot",
)  # fmt: skip
_ADJECTIVES = ("sunny", "cloudy", "rainy", "snowy", "windy", "foggy", "clear", "stormy", "overcast",
               "humid", "hazy", "dry", "freezing", "hot", "partly", "mostly")  # fmt: skip
_UNIT = Kind(("unit",), ("in {}",), v.one_of("celsius", "fahrenheit"), "string",
             ("celsius", "fahrenheit"))  # fmt: skip
_README_CITY, _README_CITY_SHARE = "Beijing", 0.15


def _city(rng: Random, split: Split) -> Value:
    return _README_CITY if rng.random() < _README_CITY_SHARE else v.well_known_city(rng, split)


_CITY = Kind(("city",), ("in {}", "in {}", "in {}", "for {}"), _city)
_TASK = Task("ask", "the weather", ("city",), (), {})


def make_weather_tool(rng: Random) -> Tool:
    """A weather tool; one in eight is close to the README's."""
    choice = rng.random()
    words = rng.choice(("city", "city", "city", "location", "city name", "place"))
    about = rng.choice(_CITY_DESCRIPTIONS)
    if choice < _COMPOSED_SHARE:
        style = draw_style(rng)
        name = style.tool_name(rng.choice(_VERBS), rng.choice(_NOUNS), rng.choice(_DOMAINS))
        described, words = _composed_description(rng), rng.choice(_PLACES)
        about = rng.choice((f"Name of the {words.removesuffix(' name')}", f"The {words}", ""))
    elif choice < _COMPOSED_SHARE + 0.125:
        name, described, words = "get_weather", _DESCRIPTIONS[0], "city"
    else:
        name, described = rng.choice(_NAMES), rng.choice(_DESCRIPTIONS)
    parameters = [Parameter(words.replace(" ", "_"), "city", words, _CITY, True, about)]
    if rng.random() < 0.25:
        required = rng.random() < 0.5
        parameters.append(Parameter("unit", "unit", "unit", _UNIT, required, "Temperature unit"))
    return Tool(name, described, tuple(parameters), _TASK, "weather", rng.random() < 0.1)


def _composed_description(rng: Random) -> str:
    verb = rng.choice(_VERBS).replace("lookup", "look up").capitalize()
    return f"{verb} {rng.choice(_ABOUT)} {rng.choice(_WHERE)}.{rng.choice(_WHEN)}"


def make_weather_wish(rng: Random, tool: Tool, arguments: Arguments, *, told: bool = True) -> Wish:
    """A question about the weather; without the city unless `told`."""
    city = arguments[tool.parameters[0].name]
    details = rng.choice(_CITY.said).replace("{}", city) if told else ""
    frame = rng.choice(_FRAMES)
    if told and rng.random() < 0.3:
        frame = f"{frame.rstrip('.')}{'' if frame.endswith('?') else '.'} Use the tool to check."
    else:
        frame = dressed(rng, frame)
    if "unit" in arguments:
        details = f"{details} in {arguments['unit']}".strip()
    return Wish(frame, "", details)


def draw_weather(rng: Random, split: Split, city: str) -> Outcome:
    """A weather report in one of many shapes, and its sentence."""
    condition, temperature = rng.choice(_CONDITIONS), v.degrees(rng, split)
    shown = condition if rng.random() < 0.6 else condition.lower()
    name = rng.choice(("condition", "conditions", "weather", "description", "forecast", "summary",
                       "sky", "state"))  # fmt: skip
    heat = rng.choice(("temperature", "temp", "temperature_c", "temp_c", "degrees"))
    shape = rng.randrange(8)
    body: dict[str, Any] = {name: shown}
    if shape < 3:
        body, temperature_told = {"weather" if shape < 2 else name: shown}, False
    elif shape == 3:
        body, temperature_told = {heat: temperature}, True
    else:
        body, temperature_told = {name: shown, heat: temperature}, True
        if rng.random() < 0.5:
            body = {heat: temperature, name: shown}
    if shape == 7:
        body = {rng.choice(("city", "location")): city, **body}
    content = shown if shape == 2 and rng.random() < 0.2 else dumped(rng, body)
    answer = _sentence(rng, city, condition.lower())
    if temperature_told:
        told = f"{temperature} degrees"
        answer = f"It is {told} in {city}." if shape == 3 else f"{answer[:-1]}, with {told}."
    facts = [] if shape == 3 else [("weather", condition.lower())]
    facts += [("temperature", f"{temperature} degrees")] if temperature_told else []
    return Outcome(content, answer, tuple(facts))


def _sentence(rng: Random, city: str, condition: str) -> str:
    if condition.startswith(_ADJECTIVES) and rng.random() < 0.6:
        return f"It is {condition} in {city}."
    return f"The weather in {city} is {condition}."
