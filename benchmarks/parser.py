"""Tokens a second of `OutputParser` on one core, whole and as a stream of single tokens.

    python benchmarks/parser.py [TOKENIZER_FOLDER] [--repeats 7]

The goal is 200,000 tokens a second. The other side, in the same run, is the least that any server
must do to stream: decode each token's bytes incrementally. The vocabulary matters, as longer tokens
carry more text each. Process time, best of the repeats.
"""

import argparse
import codecs
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import openk2
from openk2.chat import OutputParser, Tokenizer, encode_chat
from openk2.record.machine import describe_machine

GOAL = 200_000
ROOT = Path(__file__).parents[1]
NANO = Path(openk2.__file__).parent / "assets" / "openk2-nano"


def outputs(tokenizer: Tokenizer) -> dict[str, list[int]]:
    """Output ids by kind: prose, a call with a file as its argument, many calls."""
    prose = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    source = (ROOT / "src/openk2/chat/rendering.py").read_text("utf-8")
    file_call = ("write_file", {"path": "rendering.py", "content": source})
    small_calls = [("search", {"query": f"paper {i}", "limit": i}) for i in range(300)]
    return {
        "content": answer(tokenizer, prose, []),
        "long argument": answer(tokenizer, "", [file_call]),
        "300 calls": answer(tokenizer, "", small_calls),
        "content and long argument": answer(tokenizer, prose, [file_call]),
    }


def answer(tokenizer: Tokenizer, content: str, calls: list[tuple[str, object]]) -> list[int]:
    """The ids that an assistant writes to say this."""
    tool_calls = [
        {"id": f"functions.{name}:{i}", "function": {"name": name, "arguments": json.dumps(value)}}
        for i, (name, value) in enumerate(calls)
    ]
    message = {"role": "assistant", "content": content, "tool_calls": tool_calls}
    encoded = encode_chat(tokenizer, [message], generation_prompt=False)
    return [i for i, mine in zip(encoded.token_ids, encoded.learned, strict=True) if mine]


def whole(tokenizer: Tokenizer, ids: list[int]) -> None:
    parser = OutputParser(tokenizer, ["search", "write_file"])
    parser.feed(ids)
    parser.finish()


def one_at_a_time(tokenizer: Tokenizer, ids: list[int]) -> None:
    parser = OutputParser(tokenizer, ["search", "write_file"])
    for token_id in ids:
        parser.feed((token_id,))
    parser.finish()


def decode_only(tokenizer: Tokenizer, ids: list[int]) -> None:
    utf8 = codecs.getincrementaldecoder("utf-8")("replace")
    for token_id in ids:
        utf8.decode(tokenizer.decode_bytes((token_id,)))


def rate(
    parse: Callable[[Tokenizer, list[int]], None],
    tokenizer: Tokenizer,
    ids: list[int],
    repeats: int,
) -> float:
    """Tokens a second of process time."""
    times = []
    for _ in range(repeats):
        began = time.process_time()
        parse(tokenizer, ids)
        times.append(time.process_time() - began)
    return len(ids) / min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tokenizer", nargs="?", type=Path, default=NANO)
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    tokenizer = Tokenizer.load(arguments.tokenizer)
    print(f"{describe_machine()}; vocabulary {tokenizer.vocab_size:,}")
    print("| output | tokens | whole | one at a time | decoding only | ratio |")
    print("|---|---|---|---|---|---|")
    slowest = float("inf")
    for name, ids in outputs(tokenizer).items():
        fast, stream, bare = (
            rate(parse, tokenizer, ids, arguments.repeats)
            for parse in (whole, one_at_a_time, decode_only)
        )
        slowest = min(slowest, fast, stream)
        print(
            f"| {name} | {len(ids):,} | {fast:,.0f} | {stream:,.0f} | {bare:,.0f} "
            f"| {stream / bare:.2f} |"
        )
    print(f"slowest {slowest:,.0f} tokens/s (goal: at least {GOAL:,})")
    sys.exit(slowest < GOAL)


if __name__ == "__main__":
    main()
