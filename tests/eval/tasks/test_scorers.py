"""References of the real files replayed score 1, corrupted ones 0: a seeded part of
benchmarks/scorers.py."""

import os
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[3]
BESIDE = ROOT.parent / "shared"
DATA = Path(os.environ.get("OPENK2_SHARED", BESIDE)) / "data" / "benchmarks"


@pytest.fixture(scope="module")
def scorers() -> Iterator[ModuleType]:
    spec = spec_from_file_location("scorers", ROOT / "benchmarks" / "scorers.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    import sys

    sys.modules["scorers"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules["scorers"]


@pytest.mark.parametrize("number", range(7))
def test_references_count_and_corrupted_ones_do_not(number: int, scorers: ModuleType) -> None:
    replay = scorers.REPLAYS[number]
    if not (DATA / replay.benchmark.source.folder).is_dir():
        pytest.skip(f"{replay.benchmark.title} is not at hand: set OPENK2_SHARED")
    assert list(scorers.replayed(replay, DATA, 40, scorers.SEED)) == []
