import json
import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from openk2.chat import Tokenizer
from openk2.grammar import Enforcer
from openk2.protocol import TokenMask

REPOSITORY = Path(__file__).parents[2]
BUILT_IN = REPOSITORY / "src" / "openk2" / "assets" / "openk2-nano"

NODE = {
    "type": "object",
    "properties": {
        "value": {"type": ["string", "null"]},
        "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
    },
    "required": ["value", "children"],
    "additionalProperties": False,
}
SCHEMAS: dict[str, Any] = {
    "weather": {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "Where"},
            "unit": {"enum": ["celsius", "fahrenheit"]},
            "days": {"type": "integer", "minimum": 1, "maximum": 14},
        },
        "required": ["city"],
        "additionalProperties": False,
    },
    "anything": {"type": "object"},
    "tree": {"$ref": "#/$defs/node", "$defs": {"node": NODE}},
    "branches": {
        "oneOf": [
            {
                "type": "object",
                "properties": {"kind": {"const": "circle"}, "radius": {"type": "number"}},
                "required": ["kind", "radius"],
            },
            {
                "type": "object",
                "properties": {"kind": {"const": "square"}, "side": {"type": "number"}},
                "required": ["kind", "side"],
            },
        ]
    },
    "both": {
        "allOf": [
            {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
            {"properties": {"a": {"minimum": 7}, "b": {"type": "boolean"}}, "required": ["b"]},
        ]
    },
    "pattern": {
        "type": "array",
        "items": {"type": "string", "pattern": "^(ab|cd{9}|[0-9]{3,5}x)$"},
        "minItems": 2,
        "maxItems": 4,
    },
    "formats": {
        "type": "object",
        "properties": {"id": {"type": "string", "format": "uuid"}, "on": {"format": "date"}},
        "required": ["id"],
    },
    "keys": {
        "type": "object",
        "properties": {"x_known": {"type": "null"}},
        "patternProperties": {
            "^x_": {"type": ["null", "boolean"]},
            "^n[0-9]+$": {"type": "integer"},
        },
        "additionalProperties": {"type": "string"},
    },
    "dependent": {
        "type": "object",
        "properties": {"card": {"type": "string"}, "address": {"type": "string"}},
        "dependentRequired": {"card": ["address"]},
        "minProperties": 1,
        "additionalProperties": False,
    },
    "long": {"type": "string", "minLength": 60, "maxLength": 5_000_000},
    "numbers": {
        "type": "array",
        "prefixItems": [
            {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
            {"type": "integer", "multipleOf": 7, "minimum": 100},
            {"enum": [3.25, -2.0, 1]},
        ],
        "items": False,
        "minItems": 3,
    },
}


@dataclass(frozen=True)
class Output:
    """What came out of a mask: its ids, its text with specials by name."""

    ids: list[int]
    text: str
    stopped: bool

    def arguments(self) -> list[str]:
        """The argument strings of all calls."""
        parts = self.text.split("<|tool_call_argument_begin|>")[1:]
        return [part.partition("<|tool_call_end|>")[0] for part in parts]


Choose = Callable[[random.Random, NDArray[np.intp]], int]


def uniformly(chooser: random.Random, allowed: NDArray[np.intp]) -> int:
    """Any allowed id, as a model of random weights does."""
    return int(allowed[chooser.randrange(len(allowed))])


def allowed_ids(mask: TokenMask, tokenizer: Tokenizer) -> list[int]:
    """The ids that a mask allows."""
    return allowed_array(mask, tokenizer).tolist()


def allowed_array(mask: TokenMask, tokenizer: Tokenizer) -> NDArray[np.intp]:
    """The ids that a mask allows; the words that it writes were all ones before."""
    words = np.full((tokenizer.vocab_size + 31) // 32, -1, dtype=np.int32)
    assert mask.fill(words)
    bits = np.unpackbits(words.view(np.uint8), bitorder="little")
    return np.flatnonzero(bits)


def generate(
    mask: TokenMask, tokenizer: Tokenizer, max_tokens: int, seed: int, choose: Choose = uniformly
) -> Output:
    """An output under a mask, to its stop token or to max_tokens."""
    chooser = random.Random(seed)
    ids: list[int] = []
    while len(ids) < max_tokens:
        allowed = allowed_array(mask, tokenizer)
        assert len(allowed), "a mask has to allow an id"
        chosen = choose(chooser, allowed)
        if mask.accept(chosen):
            ids.append(chosen)
            if chosen in tokenizer.stop_ids:
                break
    stopped = bool(ids) and ids[-1] in tokenizer.stop_ids
    return Output(ids, tokenizer.decode(ids), stopped)


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    return Tokenizer.load(BUILT_IN)


@pytest.fixture(scope="session")
def enforcer(tokenizer: Tokenizer) -> Enforcer:
    return Enforcer(tokenizer)


@pytest.fixture(scope="session")
def vendor_schemas() -> list[Any]:
    """The vendor's 106 schemas, which are not part of the project."""
    folder = Path(os.environ.get("OPENK2_SHARED", REPOSITORY.parent / "shared"))
    file = folder / "data" / "tool-schemas" / "vendor-schemas.jsonl"
    if not file.exists():
        pytest.skip("the vendor's schemas are not at hand: set OPENK2_SHARED")
    return [json.loads(json.loads(line)["schema"]) for line in file.read_text().splitlines()]
