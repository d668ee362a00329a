"""A small tokenizer trained on the spot, and the real vocabulary where it is at hand."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from openk2.chat import Tokenizer, train_tokenizer

# How long an example takes on a busy machine says nothing about it; time has tests of its own.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")

TEXT = """The quick brown fox jumps over the lazy dog, then asks the weather service for Beijing.
{"type":"function","function":{"name":"get_weather","parameters":{"type":"object"}}}
functions.get_weather:0 {"city": "Beijing", "unit": "celsius"} ## Return of functions.search:12
def main():\n    return [number for number in range(100) if number % 3 == 0]\n
我能吞下玻璃而不伤身体。 Größe, façade, naïve; Привет, мир! 😀🎉 ١٢٣ don't we're they'll I'VE
"""


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    return train_tokenizer([TEXT] * 2, vocab_size=640)


@pytest.fixture(scope="session")
def real_tokenizer() -> Tokenizer:
    shared = os.environ.get("OPENK2_SHARED")
    root = Path(shared) if shared else Path(__file__).parents[2].parent / "shared"
    folder = root / "data" / "kimi-k2"
    if not (folder / "tiktoken.model").is_file():
        pytest.skip("needs the published vocabulary, data/kimi-k2/tiktoken.model of OPENK2_SHARED")
    return Tokenizer.load(folder)
