"""Packages that need no tensors start without torch, each in a fresh interpreter."""

import subprocess
import sys
from pathlib import Path

import pytest

import openk2

MAY_IMPORT_TORCH = {
    "cli",
    "studies",
    "rl",
    "pretrained",
    "plan",
    "train",
    "engine",
    "streaming",
    "parallel",
    "data",
    "checkpoint",
    "model",
    "kernels",
    "optim",
}
HEAVY = ("torch", "transformers", "openai")
ROOMS = sorted(init.parent.name for init in Path(openk2.__file__).parent.glob("*/__init__.py"))
IMPORT_ALL = """
import importlib, pkgutil, sys
room = importlib.import_module(sys.argv[1])
for module in pkgutil.walk_packages(room.__path__, sys.argv[1] + "."):
    importlib.import_module(module.name)
"""


def heavy_modules_after(code: str, *arguments: str) -> list[str]:
    """Which of HEAVY a fresh interpreter has imported after running the code."""
    report = f"\nimport sys; print(*(name for name in {HEAVY!r} if name in sys.modules))"
    command = [sys.executable, "-c", code + report, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\n")[-2].split()


@pytest.mark.parametrize("room", sorted(set(ROOMS) - MAY_IMPORT_TORCH))
def test_a_torch_free_room_leaves_torch_alone(room):
    assert heavy_modules_after(IMPORT_ALL, f"openk2.{room}") == []


@pytest.mark.parametrize("module", ["main", "serve", "chat", "plan"])
def test_the_command_starts_without_torch(module):
    assert heavy_modules_after(f"import openk2.cli.{module}") == []


FETCH_CONFIG = """
from pathlib import Path
from types import SimpleNamespace
from openk2.pretrained.hub import HubName, fetch
fetch.hub_library = fetch.cached_snapshot = fetch.check_disk = lambda *_: None
fetch.is_offline = lambda: False
fetch.list_files = lambda name: SimpleNamespace(files=["config.json", "LICENSE", "a.safetensors"])
fetch.download_files = lambda listing, names, progress: print(names) or Path()
fetch.fetch_config(HubName("org/tiny"))
"""


def test_the_small_files_of_a_hub_model_are_fetched_without_torch():
    assert heavy_modules_after(FETCH_CONFIG) == []


def test_the_overview_of_commands_is_printed_without_torch():
    code = "import openk2.cli.main as m; m.app(['--help'], standalone_mode=False)"
    assert heavy_modules_after(code) == []
