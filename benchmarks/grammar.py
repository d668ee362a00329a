"""The Enforcer measured: what it accepts and refuses, compile and mask times; libraries beside it.

    python benchmarks/grammar.py --suite JSON-Schema-Test-Suite/tests/draft2020-12 \
        --schemas vendor-schemas.jsonl --vocabulary tiktoken.model

Each part is left out, and says so, when what it reads is not given. llguidance alone is measured
with its defaults; xgrammar is left out where it is not installed (it needs torch and
transformers). A row of the first table is one test of the draft's own suite: a library that
refuses the schema is asked nothing about its values.
"""

import argparse
import itertools
import json
import random
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from openk2.chat import Tokenizer
from openk2.grammar import DeclaredTool, Enforcer, GrammarError, JsonContent, ToolCalls
from openk2.record.machine import describe_machine

BUILT_IN = Path(__file__).parents[1] / "src" / "openk2" / "assets" / "openk2-nano"
ROWS = 32
Accepts = Callable[[str], bool]
Side = Callable[[Any], Accepts]


@dataclass
class Score:
    """What one side did.

    keywords: those that it refused, as far as it names them. wrong: invalid values that it
    accepted, by the file of the test.
    """

    refused: int = 0
    compiled: int = 0
    seconds: list[float] = field(default_factory=list)
    valid: int = 0
    valid_accepted: int = 0
    invalid: int = 0
    keywords: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)

    def row(self) -> str:
        """Columns of a table."""
        worst = ", ".join(f"{name} {count}" for name, count in self.wrong.most_common(6))
        return (
            f"{self.compiled} | {self.refused} | {self.valid_accepted}/{self.valid} | "
            f"{sum(self.wrong.values())}/{self.invalid} | {worst or '-'} | "
            f"{statistics.median(self.seconds) * 1e3:.2f}"
        )


def openk2_side(tokenizer: Tokenizer) -> Side:
    """The room itself: a value is accepted if a mask leads through it to a stop token."""
    enforcer = Enforcer(tokenizer)
    stop = tokenizer.special("<|im_end|>")
    words = np.zeros((tokenizer.vocab_size + 31) // 32, dtype=np.int32)
    single = {tokenizer.tokens[i]: i for i in range(len(tokenizer.tokens))}

    def compiled(schema: Any) -> Accepts:
        demand = JsonContent(schema)
        enforcer.shortest(demand)

        def accepts(text: str) -> bool:
            mask = enforcer.mask(demand, max_tokens=1 << 20)
            try:
                for byte in text.encode():
                    mask.accept(single[bytes([byte])])
            except ValueError:
                return False
            mask.fill(words)
            return bool(words[stop // 32] >> (stop % 32) & 1)

        return accepts

    return compiled


def llguidance_side() -> Side:
    """llguidance with a schema as it is."""
    from llguidance import LLMatcher, LLTokenizer

    def compiled(schema: Any) -> Accepts:
        grammar = LLMatcher.grammar_from_json_schema(json.dumps(schema))
        start = LLMatcher(LLTokenizer("byte"), grammar, log_level=0)
        if start.is_error():
            raise ValueError(start.get_error())

        def accepts(text: str) -> bool:
            matcher, data = start.deep_copy(), list(text.encode())
            return matcher.try_consume_tokens(data) == len(data) and matcher.is_accepting()

        return accepts

    return compiled


def xgrammar_side() -> Side | None:
    """xgrammar with a schema as it is; None where it is not installed."""
    try:
        import xgrammar
    except ImportError as error:
        print(f"xgrammar is left out: {error}")
        return None
    vocabulary = [bytes([byte]) for byte in range(256)] + [b"</s>"]
    info = xgrammar.TokenizerInfo(vocabulary, stop_token_ids=[256])

    def compiled(schema: Any) -> Accepts:
        compiler = xgrammar.GrammarCompiler(info, cache_enabled=False)
        grammar = compiler.compile_json_schema(json.dumps(schema), strict_mode=False)

        def accepts(text: str) -> bool:
            matcher = xgrammar.GrammarMatcher(grammar)
            return bool(matcher.accept_string(text) and matcher.accept_token(256))

        return accepts

    return compiled


def suite_tests(folder: Path) -> Iterator[tuple[str, Any, list[dict[str, Any]]]]:
    """(file, schema, tests) of the draft's own keyword tests."""
    for path in sorted(folder.glob("*.json")):
        for group in json.loads(path.read_text()):
            yield path.stem, group["schema"], group["tests"]


def spellings(value: Any) -> Iterator[str]:
    """The value's JSON with the keys of the outer object in every order, up to 24."""
    if isinstance(value, dict):
        for order in itertools.islice(itertools.permutations(value), 24):
            ordered = {key: value[key] for key in order}
            yield json.dumps(ordered, ensure_ascii=False, separators=(",", ":"))
    else:
        yield json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def score(side: Side, folder: Path) -> Score:
    """One side on the whole suite."""
    total = Score()
    for name, schema, tests in suite_tests(folder):
        started = time.perf_counter()
        try:
            accepts = side(schema)
        except (ValueError, RuntimeError) as error:
            total.refused += 1
            if isinstance(error, GrammarError):
                total.keywords[error.keyword or error.problem] += 1
            continue
        total.seconds.append(time.perf_counter() - started)
        total.compiled += 1
        for test in tests:
            accepted = any(accepts(text) for text in spellings(test["data"]))
            if test["valid"]:
                total.valid += 1
                total.valid_accepted += accepted
            else:
                total.invalid += 1
                total.wrong[name] += accepted
    total.wrong += Counter()
    return total


def report_suite(folder: Path, tokenizer: Tokenizer) -> None:
    """The first table."""
    print(
        "\n| side | compiled | refused | valid accepted | invalid accepted | where | compile ms |"
    )
    print("|---|---|---|---|---|---|---|")
    sides = {"openk2": openk2_side(tokenizer), "llguidance alone": llguidance_side()}
    beside = xgrammar_side()
    refused: list[str] = []
    for name, side in (sides | ({"xgrammar alone": beside} if beside else {})).items():
        total = score(side, folder)
        print(f"| {name} | {total.row()} |", flush=True)
        refused += [f"{keyword} {count}" for keyword, count in total.keywords.most_common()]
    print(f"\nopenk2 refused: {', '.join(refused)}")


def report_times(schemas: list[Any], tokenizer: Tokenizer) -> None:
    """Compile, mask and accept times of calls with random tokens, for one vocabulary."""
    started = time.perf_counter()
    enforcer = Enforcer(tokenizer)
    enforcer.shortest(JsonContent())
    print(f"\nvocabulary {tokenizer.vocab_size}: trie {time.perf_counter() - started:.2f} s")
    compiling: list[float] = []
    demands: list[ToolCalls] = []
    for schema in schemas:
        demand = ToolCalls((DeclaredTool("tool", schema),), required=True, parallel=False)
        started = time.perf_counter()
        try:
            enforcer.shortest(demand)
        except GrammarError as error:
            print(f"refused: {error}")
            continue
        compiling.append(time.perf_counter() - started)
        demands.append(demand)
    filling, accepting = masked(enforcer, demands, tokenizer)
    print(f"| schemas | {len(demands)} of {len(schemas)} compiled |")
    print(f"| compile, ms | {in_ms(compiling)} |")
    print(f"| fill, ms for {ROWS} rows | {in_ms(filling)} |")
    print(f"| accept, ms for {ROWS} rows | {in_ms(accepting)} |", flush=True)


def masked(
    enforcer: Enforcer, demands: list[ToolCalls], tokenizer: Tokenizer
) -> tuple[list[float], list[float]]:
    """Seconds of filling and of accepting for one batch, step by step; new rows follow old."""
    chooser = random.Random(0)
    words = np.zeros((ROWS, (tokenizer.vocab_size + 31) // 32), dtype=np.int32)
    queue = [enforcer.mask(demand, max_tokens=512) for demand in demands * 2]
    rows = [queue.pop() for _ in range(ROWS)]
    filling: list[float] = []
    accepting: list[float] = []
    while len(queue) > ROWS:
        started = time.perf_counter()
        for row, mask in enumerate(rows):
            mask.fill(words[row])
        filling.append(time.perf_counter() - started)
        bits = np.unpackbits(words.view(np.uint8), axis=1, bitorder="little")
        chosen = [int(chooser.choice(np.flatnonzero(bits[row]))) for row in range(ROWS)]
        started = time.perf_counter()
        for row, mask in enumerate(rows):
            mask.accept(chosen[row])
        accepting.append(time.perf_counter() - started)
        for row, token_id in enumerate(chosen):
            if token_id in tokenizer.stop_ids:
                rows[row] = queue.pop()
    return filling, accepting


def in_ms(seconds: list[float]) -> str:
    """Median, 90th percentile and largest."""
    ordered = sorted(seconds)
    tenth = ordered[int(len(ordered) * 0.9)]
    return (
        f"median {statistics.median(ordered) * 1e3:.2f}, p90 {tenth * 1e3:.2f}, "
        f"max {ordered[-1] * 1e3:.2f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--suite", type=Path, help="draft2020-12 folder of JSON-Schema-Test-Suite")
    parser.add_argument("--schemas", type=Path, help="JSONL with a `schema` of JSON text a line")
    parser.add_argument("--vocabulary", type=Path, help="a second vocabulary: tiktoken.model")
    arguments = parser.parse_args()
    print(describe_machine())
    tokenizer = Tokenizer.load(BUILT_IN)
    if arguments.suite:
        report_suite(arguments.suite, tokenizer)
    if arguments.schemas:
        lines = arguments.schemas.read_text().splitlines()
        schemas = [json.loads(json.loads(line)["schema"]) for line in lines]
        report_times(schemas, tokenizer)
        if arguments.vocabulary:
            report_times(schemas, Tokenizer.load(arguments.vocabulary))


if __name__ == "__main__":
    main()
