"""Schemas in files, such as JSONSchemaBench's: which are accepted, their cost, are answers valid.

    python benchmarks/real_schemas.py FOLDER [--limit 60] [--refusals 20]
    python benchmarks/real_schemas.py FOLDER --answers 200 [--max-tokens 512]

The first form compiles every *.json below FOLDER as a strict response format, each for at most
`--limit` seconds, and lists the keywords that were refused. The second asks a server of the
built-in model for answers at temperature 1 to schemas chosen at random, until so many of them were
accepted, one after another, and judges them by the validator of each schema's own draft. Exit
status 1 if an answer that finished does not validate, a request fails otherwise than by a refusal,
or one took the server over 20 s of processor time.
"""

import argparse
import json
import os
import random
import re
import signal
import statistics
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from jsonschema import Draft202012Validator
from jsonschema.validators import validator_for
from rich.progress import track
from served import Server, serving

from openk2.chat import Tokenizer
from openk2.grammar import Enforcer, GrammarError, JsonContent
from openk2.pretrained import find_folder
from openk2.record.machine import describe_machine

BUILT_IN = "openk2-nano"
SLOWEST = 20.0
# Compiled schemas of one Enforcer, which keeps them.
KEPT = 500


class SlowError(RuntimeError):
    """A schema that took longer than its limit."""


@dataclass
class Compiled:
    """seconds: of processor time, of every schema. refused: by keyword and reason."""

    seconds: list[tuple[float, str]] = field(default_factory=list)
    refused: Counter[tuple[str, str]] = field(default_factory=Counter)


def compile_all(files: list[Path], limit: float, show: bool) -> Compiled:
    """Compile every schema for the built-in model's vocabulary."""
    signal.signal(signal.SIGALRM, _ring)
    tokenizer, found = Tokenizer.load(find_folder(BUILT_IN)), Compiled()
    for number, file in enumerate(track(files, disable=not show)):
        if number % KEPT == 0:
            enforcer = Enforcer(tokenizer)
            enforcer.shortest(JsonContent())  # builds the vocabulary's trie
        schema, began = json.loads(file.read_text()), time.process_time()
        signal.setitimer(signal.ITIMER_REAL, limit)
        try:
            enforcer.shortest(JsonContent(schema))
        except GrammarError as error:
            shape = re.sub(r"'[^']*'|#\S*|[\d,.]+", "…", error.problem)
            found.refused[error.keyword or "-", shape[:70]] += 1
        except SlowError:
            found.refused["-", f"took over {limit:.0f} s"] += 1
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        found.seconds.append((time.process_time() - began, file.stem))
    return found


def _ring(*_: object) -> None:
    raise SlowError


def report_compiled(files: list[Path], found: Compiled, most: int) -> None:
    refused, seconds = found.refused.total(), sorted(found.seconds)
    share = 100 * (1 - refused / len(files))
    times = [one for one, _ in seconds]
    print(f"{len(files) - refused:,} of {len(files):,} accepted: {share:.2f} %")
    print(
        f"compile, ms of processor time: median {1e3 * statistics.median(times):.1f}, "
        f"p99 {1e3 * times[int(0.99 * len(times))]:.0f}, worst {1e3 * times[-1]:.0f} "
        f"({seconds[-1][1]})"
    )
    for (keyword, reason), count in found.refused.most_common(most):
        print(f"  {count:4} {keyword}: {reason}")


@dataclass
class Answered:
    """seconds, busy: of every answer, by the clock and of the server's processor time.

    wrong: files and what is wrong with their answers.
    """

    seconds: list[float] = field(default_factory=list)
    busy: list[float] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)
    wrong: list[tuple[str, str]] = field(default_factory=list)


def answer_all(server: Server, files: list[Path], options: argparse.Namespace) -> Answered:
    """Ask for an answer to one schema after another, until enough were accepted."""
    found = Answered()
    with httpx.Client(base_url=server.url, timeout=600) as http:
        for file in files:
            schema = json.loads(file.read_text())
            busy, began = processor_time(server.pid), time.monotonic()
            reply = http.post("chat/completions", json=body(schema, options))
            if reply.status_code == 400:
                found.seen["refused"] += 1
                continue
            found.seconds.append(time.monotonic() - began)
            found.busy.append(processor_time(server.pid) - busy)
            problem = judged(reply, schema, found.seen)
            if problem:
                found.wrong.append((file.stem, problem))
                print(f"  {file.stem}: {problem}", flush=True)
            if len(found.seconds) == options.answers:
                break
    return found


def processor_time(pid: int) -> float:
    """Seconds of processor time that a process has used (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def body(schema: Any, options: argparse.Namespace) -> dict[str, Any]:
    form = {"name": "answer", "schema": schema, "strict": True}
    return {
        "model": BUILT_IN,
        "messages": [{"role": "user", "content": "Answer with JSON."}],
        "response_format": {"type": "json_schema", "json_schema": form},
        "max_tokens": options.max_tokens,
        "temperature": 1.0,
        "seed": options.seed,
    }


def judged(reply: httpx.Response, schema: Any, seen: Counter[str]) -> str | None:
    """What is wrong with an answer; None if it is valid, or was cut and says so."""
    if reply.status_code != 200:
        return f"{reply.status_code}: {reply.text[:200]}"
    [choice], usage = reply.json()["choices"], reply.json()["usage"]
    seen["tokens"] += usage["completion_tokens"]
    seen[choice["finish_reason"]] += 1
    if choice["finish_reason"] == "length":
        return None
    text = choice["message"]["content"]
    try:
        validator = validator_for(schema, default=Draft202012Validator)(schema)
        error = next(validator.iter_errors(json.loads(text)), None)
    except ValueError as broken:
        return f"{text[:200]!r}: {broken}"
    return None if error is None else f"{text[:200]!r}: {error.message[:200]}"


def report_answers(found: Answered) -> None:
    count, seen = len(found.seconds), found.seen
    print(
        f"{count} answers ({seen['refused']} schemas refused beside): {seen['stop']} finished, "
        f"{len(found.wrong)} wrong, {seen['length']} cut ({100 * seen['length'] / count:.0f} %), "
        f"{seen['tokens']:,} tokens"
    )
    for name, times in (("the clock", found.seconds), ("processor time", found.busy)):
        print(f"s of {name}: median {statistics.median(times):.2f}, worst {max(times):.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--limit", type=float, default=60)
    parser.add_argument("--refusals", type=int, default=20)
    parser.add_argument("--answers", type=int, default=0)
    parser.add_argument("--max-tokens", type=int, default=512)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    files = sorted(options.folder.rglob("*.json"))
    print(describe_machine())
    if not options.answers:
        found = compile_all(files, options.limit, sys.stdout.isatty())
        report_compiled(files, found, options.refusals)
        return
    random.Random(options.seed).shuffle(files)
    with serving(BUILT_IN) as server:
        answered = answer_all(server, files, options)
    report_answers(answered)
    sys.exit(bool(answered.wrong) or max(answered.busy) > SLOWEST)


if __name__ == "__main__":
    main()
