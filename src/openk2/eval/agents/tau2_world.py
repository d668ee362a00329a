"""tau2's domains: databases and tools of the package inspect-evals, filled from a folder's files.

The tools (a port of tau2-bench's, MIT) find their database in the store of inspect's running
sample; a second world, in a store of its own, replays what should have been done. The package is
imported when a domain is asked for.
"""

import gzip
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from inspect_ai.tool import Tool, ToolDef, ToolInfo
from inspect_ai.util import Store, store

from openk2.eval.agents.dialogue import CallFailedError, Execute
from openk2.record import DataError

DomainName = Literal["retail", "airline", "telecom"]
PACKAGE = "inspect_evals.tau2"


@dataclass(frozen=True)
class Toolset:
    """Where a side's database class and tools are in the package, and its name in the store."""

    module: str
    tools: str
    database: str
    instance: str
    listed: str
    file: str


AGENTS: Mapping[DomainName, Toolset] = {
    "retail": Toolset(
        *("retail.RetailAgentTools", "RetailAgentTools", "RetailDB", "RetailTools"),
        *("retail.tools:all_retail_tools", "db"),
    ),
    "airline": Toolset(
        *("airline.AirlineAgentTools", "AirlineAgentTools", "FlightDB", "AirlineTools"),
        *("airline.tools:all_airline_tools", "db"),
    ),
    "telecom": Toolset(
        *("telecom.TelecomAgentTools", "TelecomAgentTools", "TelecomDB", "TelecomAgentTools"),
        *("telecom.tools:all_telecom_agent_tools", "db"),
    ),
}
USERS: Mapping[DomainName, Toolset] = {
    "telecom": Toolset(
        *("telecom.TelecomUserTools", "TelecomUserTools", "TelecomUserDB", "TelecomUserTools"),
        *("telecom.user_tools:all_telecom_user_tools", "user_db"),
    ),
}
SUFFIXES = (".json", ".json.gz", ".toml", ".md", ".txt")


def package(module: str) -> ModuleType:
    """A module of the package. Raises DataError if it is not installed."""
    try:
        return import_module(f"{PACKAGE}.{module}")
    except ModuleNotFoundError as error:
        raise DataError(f"tau2's tools need {error.name}: pip install 'openk2[tau2]'") from None


def found(folder: Path, stem: str) -> Path:
    """The file of this stem, in any published format. Raises DataError."""
    for suffix in SUFFIXES:
        path = folder / f"{stem}{suffix}"
        if path.is_file():
            return path
    raise DataError(f"{folder}: no {stem} ({', '.join(SUFFIXES)})")


@cache
def text_of(path: Path) -> str:
    """A file's text."""
    data = path.read_bytes()
    return (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8")


def loaded(path: Path) -> Any:
    """A file's JSON or TOML. Raises DataError."""
    try:
        text = text_of(path)
        return tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    except ValueError as error:
        raise DataError(f"{path}: {error}") from None


class ServiceWorld:
    """A domain's databases: those that the tools of the running sample use, or a copy apart.

    domain, folder: which, and the folder of its files. apart: in a store of its own.
    """

    def __init__(self, domain: DomainName, folder: Path, apart: bool = False) -> None:
        self.domain = domain
        kept = Store() if apart else store()
        self.sides = {
            side: opened(sets[domain], folder / "domains" / domain, kept)
            for side, sets in (("assistant", AGENTS), ("user", USERS))
            if domain in sets
        }
        self.environment: Any = None
        if domain == "telecom":
            build = package("telecom.environment").Environment
            self.environment = build(user_tools=self.sides["user"], tools=self.sides["assistant"])

    def sync(self) -> None:
        """Carry over what one side's state does to the other's: a line, a bill, roaming."""
        if self.environment is not None:
            self.environment.sync_tools()

    def perform(self, side: str, name: str, arguments: Mapping[str, Any]) -> Any:
        """A function of a side's database. Raises what it raises."""
        result = getattr(self.sides[side], name)(**arguments)
        self.sync()
        return result

    def begin(self, task: Mapping[str, Any]) -> None:
        """The task's initial actions. Raises ValueError for what no task here uses."""
        initial = task.get("initial_state") or {}
        for part in ("initialization_data", "message_history"):
            if initial.get(part):
                raise ValueError(f"task {task['id']!r}: {part} is not supported")
        for action in initial.get("initialization_actions") or ():
            self.perform(action["env_type"], action["func_name"], action["arguments"])

    def replay(self, actions: Sequence[Mapping[str, Any]]) -> None:
        """Reference actions; what cannot be done changes nothing, as in tau2-bench."""
        for action in actions:
            side = self.sides.get(action.get("requestor", "assistant"))
            if side is None or not hasattr(side, action["name"]):
                continue
            try:
                self.perform(
                    action.get("requestor", "assistant"), action["name"], action["arguments"]
                )
            # Tools refuse by ToolError, and by what Python raises for arguments they cannot use.
            except Exception:
                continue

    def fingerprint(self) -> list[str]:
        """Of the databases: equal if they are."""
        return [str(side.db.get_hash()) for side in self.sides.values()]

    def holds(self, assertion: Mapping[str, Any]) -> bool:
        """Whether an assertion on the environment is met."""
        result = self.perform(assertion["env_type"], assertion["func_name"], assertion["arguments"])
        return bool(result) is bool(assertion.get("assert_value", True))


def opened(toolset: Toolset, folder: Path, kept: Store) -> Any:
    """A side's database in a store, filled from its file."""
    module = package(toolset.module)
    tools = getattr(module, toolset.tools)(store=kept, instance=toolset.instance)
    database = getattr(module, toolset.database)
    tools.initialized = True
    tools.db = database.model_validate(loaded(found(folder, toolset.file)))
    return tools


def forget(domain: DomainName) -> None:
    """Take the databases, megabytes, out of the sample's store before it is logged."""
    names = [sets[domain].tools for sets in (AGENTS, USERS) if domain in sets]
    for key in list(store().keys()):
        if key.partition(":")[0] in names:
            store().delete(key)


def side_tools(toolset: Toolset | None) -> tuple[list[ToolInfo], Execute]:
    """A side's tools and what runs them; a side without a toolset has none."""
    tools: dict[str, Tool] = {}
    infos = []
    if toolset is not None:
        module, _, name = toolset.listed.partition(":")
        for build in getattr(package(module), name):
            definition = ToolDef(build())
            tools[definition.name] = definition.tool
            infos.append(
                ToolInfo(
                    name=definition.name,
                    description=definition.description,
                    parameters=definition.parameters,
                )
            )

    async def execute(name: str, arguments: Mapping[str, Any]) -> str:
        if name not in tools:
            raise CallFailedError(f"there is no tool {name}")
        try:
            return str(await tools[name](**arguments))
        # Tools refuse by ToolError, and by what Python raises for arguments they cannot use.
        except Exception as error:
            raise CallFailedError(str(error) or type(error).__name__) from None

    return infos, execute
