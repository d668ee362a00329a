"""The rows with their protocol, where their data is found, and the published figure of Kimi K2."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openk2.eval.catalogue import NoSuchRowError, Row
from openk2.eval.locate import DataUnavailableError, locate
from openk2.record import Table

if TYPE_CHECKING:
    from openk2.eval.benchmark import Benchmark, Protocol


@dataclass(frozen=True)
class Listed:
    """A row, its protocol in a few words, and where its data is or how to get it."""

    row: Row
    protocol: str
    data: str
    available: bool

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return {
            "row": self.row.name,
            "table": self.row.table,
            "section": self.row.section,
            "title": self.row.title,
            "metric": self.row.metric,
            "protocol": self.protocol,
            "data": self.data,
            "available": self.available,
            "kimi_k2": self.row.kimi,
        }


def list_rows(rows: Sequence[Row], data: Path | None = None) -> list[Listed]:
    """Each row. data: the folder of --data. Asks no network: of the hub only its cache here."""
    return [listed(row, data) for row in rows]


def listed(row: Row, data: Path | None) -> Listed:
    """One row; one whose task is not installed says so."""
    try:
        benchmark = row.benchmark
    except NoSuchRowError as error:
        return Listed(row, "", str(error), False)
    state, available = data_state(benchmark, data)
    return Listed(row, protocol_words(benchmark.protocol), state, available)


def data_state(benchmark: "Benchmark", data: Path | None) -> tuple[str, bool]:
    """Where the data is, or what to do for it; whether a run would find it without the network."""
    if benchmark.external:
        return f"its own harness, {benchmark.external}: {benchmark.source.obtain}", False
    try:
        return str(locate(benchmark.source, data, download=False)), True
    except DataUnavailableError:
        source = benchmark.source
        if source.hub and not source.gated:
            return f"hub {source.hub}, or {source.obtain}", False
        return f"not available: {source.obtain}", False


def protocol_words(protocol: "Protocol") -> str:
    """Such as `chat, Avg@64, temperature 0.6, 8,192 tokens`."""
    words: list[str] = [protocol.asks]
    if protocol.shots:
        words.append(f"{protocol.shots}-shot")
    if protocol.samples > 1:
        words.append(f"Avg@{protocol.samples}")
    if protocol.asks != "options":
        words.append(f"temperature {protocol.temperature:g}")
        words.append(f"{protocol.max_tokens:,} tokens")
    if protocol.groups:
        words.append(f"{len(protocol.groups)} weighted groups")
    words += [f"{role} model" for role in protocol.roles]
    if protocol.runs_code:
        words.append(f"runs {', '.join(protocol.runs_code)}")
    return ", ".join(words)


def listing_table(rows: Sequence[Listed]) -> Table:
    """For a reader."""
    header = ("row", "table", "title", "metric", "protocol", "data", "Kimi K2")
    return Table(
        header,
        tuple(
            (
                entry.row.name,
                entry.row.table,
                entry.row.title,
                entry.row.metric,
                entry.protocol,
                entry.data,
                "-" if entry.row.kimi is None else f"{entry.row.kimi:.1f}",
            )
            for entry in rows
        ),
    )
