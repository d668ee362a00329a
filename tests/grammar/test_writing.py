"""Schemas are read in processes whose end, time and memory are nobody else's matter."""

import io
import json
import os
import pickle
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from openk2.grammar import GrammarError, writing
from openk2.grammar.course import WrittenSchema, written
from openk2.grammar.writing import SchemaWriter, SchemaWriters
from openk2.protocol import EngineBusyError

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}


def test_a_process_writes_what_this_one_would() -> None:
    writer = SchemaWriter()
    assert writer.write(json.dumps(SCHEMA)) == written(SCHEMA)
    writer.close()


def test_an_error_is_the_same_error() -> None:
    schema = {"properties": {"a": {"$dynamicRef": "#x"}}}
    with pytest.raises(GrammarError) as here:
        written(schema)
    writer = SchemaWriter()
    with pytest.raises(GrammarError) as there:
        writer.write(json.dumps(schema))
    writer.close()
    assert vars(here.value) == vars(there.value)
    assert here.value.pointer == "#/properties/a"


def test_a_process_that_dies_is_an_error_of_its_schema_and_the_next_has_another() -> None:
    writer = SchemaWriter()
    writer.write(json.dumps(SCHEMA))
    assert writer._process is not None
    os.kill(writer._process.pid, signal.SIGKILL)
    with pytest.raises(GrammarError, match="takes too much work"):
        writer.write(json.dumps(SCHEMA))
    assert isinstance(writer.write(json.dumps(SCHEMA)), WrittenSchema)
    writer.close()


def answered(monkeypatch, work: Callable[[Any], Any]) -> Any:
    """What a process whose work is this would send."""
    monkeypatch.setattr(writing, "written", work)
    answers = io.BytesIO()
    before = signal.signal(signal.SIGVTALRM, writing.out_of_time)
    try:
        writing.answer(json.dumps(SCHEMA), answers)
    finally:
        signal.signal(signal.SIGVTALRM, before)
    result, _ = pickle.loads(answers.getvalue())
    return result


@pytest.mark.skipif(sys.platform == "win32", reason="timers of POSIX")
def test_work_without_end_ends(monkeypatch) -> None:
    def endless(schema: Any) -> None:
        while True:
            try:
                sum(range(1000))
            except Exception:  # as reading goes on after an error
                continue

    monkeypatch.setattr(writing, "CPU_SECONDS", 0.2)
    began = time.process_time()
    assert "too much work" in answered(monkeypatch, endless)["problem"]
    assert time.process_time() - began < 1


def test_too_deep_and_too_large_are_errors_of_the_schema(monkeypatch) -> None:
    def deep(schema: Any) -> Any:
        return deep(schema)

    def large(schema: Any) -> Any:
        raise MemoryError

    assert answered(monkeypatch, deep) == {"problem": "nests too deep"}
    assert "too much work" in answered(monkeypatch, large)["problem"]
    assert answered(monkeypatch, lambda schema: 1 / 0) == "ZeroDivisionError: division by zero"


def test_who_waits_too_long_for_a_process_is_told_that_they_are_busy(monkeypatch) -> None:
    monkeypatch.setattr(writing, "WAIT_SECONDS", 0.05)
    writers = SchemaWriters()
    refused = pytest.raises(EngineBusyError, match="too many schemas")
    with writers.writer(), writers.writer(), refused, writers.writer():
        pass
    with writers.writer():
        pass
