"""Measures of a model, over anything that generates chat or completions: no tensors here.

What needs inspect_ai, which takes seconds to import, is imported when it is first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from openk2.eval.catalogue import NoSuchRowError, Row, find_rows
from openk2.eval.everyday import QUESTIONS, ask_everyday
from openk2.eval.retrying import RetryingChat
from openk2.eval.scenario import Scenario, ScenarioScore, run_scenarios
from openk2.eval.score import ToolCallScore
from openk2.eval.score_tables import score_tables
from openk2.eval.tool_calls import score_tool_calls
from openk2.eval.turns import ConversationError
from openk2.eval.weather_loop import WeatherScore, run_weather_loop
from openk2.eval.weather_variations import VARIATIONS
from openk2.eval.weights_digest import weights_digest

if TYPE_CHECKING:
    from openk2.eval.canary import Canary, canary_of
    from openk2.eval.compare import compare_runs, comparison_table
    from openk2.eval.endpoint import endpoints, is_url
    from openk2.eval.external import patched_rows
    from openk2.eval.inspect_task import Asking
    from openk2.eval.listing import list_rows, listing_table
    from openk2.eval.local_server import LocalServerError
    from openk2.eval.page import html_page
    from openk2.eval.report import markdown
    from openk2.eval.results import Prices
    from openk2.eval.run_folder import (
        RunFolderError,
        SuiteRun,
        begun,
        read_run,
        record_run,
        results_of,
        to_json,
    )
    from openk2.eval.suite import RowOutcome, Suite, run_suite

LATER = {
    "canary": ("Canary", "canary_of"),
    "compare": ("compare_runs", "comparison_table"),
    "endpoint": ("endpoints", "is_url"),
    "external": ("patched_rows",),
    "inspect_task": ("Asking",),
    "listing": ("list_rows", "listing_table"),
    "local_server": ("LocalServerError",),
    "page": ("html_page",),
    "report": ("markdown",),
    "results": ("Prices",),
    "run_folder": (
        "SuiteRun",
        "RunFolderError",
        "begun",
        "read_run",
        "record_run",
        "results_of",
        "to_json",
    ),
    "suite": ("RowOutcome", "Suite", "run_suite"),
}

__all__ = [
    "QUESTIONS",
    "VARIATIONS",
    "Asking",
    "Canary",
    "ConversationError",
    "LocalServerError",
    "NoSuchRowError",
    "Prices",
    "RetryingChat",
    "Row",
    "RowOutcome",
    "RunFolderError",
    "Scenario",
    "ScenarioScore",
    "Suite",
    "SuiteRun",
    "ToolCallScore",
    "WeatherScore",
    "ask_everyday",
    "begun",
    "canary_of",
    "compare_runs",
    "comparison_table",
    "endpoints",
    "find_rows",
    "html_page",
    "is_url",
    "list_rows",
    "listing_table",
    "markdown",
    "patched_rows",
    "read_run",
    "record_run",
    "results_of",
    "run_scenarios",
    "run_suite",
    "run_weather_loop",
    "score_tables",
    "score_tool_calls",
    "to_json",
    "weights_digest",
]


def __getattr__(name: str) -> Any:
    """A name of LATER, imported now."""
    for module, names in LATER.items():
        if name in names:
            return getattr(import_module(f"openk2.eval.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
