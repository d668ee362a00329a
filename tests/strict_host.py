"""The strict host of benchmarks/strict_host.py, for tests."""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

NAME = "strict_host"
FILE = Path(__file__).parents[1] / "benchmarks" / f"{NAME}.py"

spec = spec_from_file_location(f"benchmarks_{NAME}", FILE)
assert spec is not None
assert spec.loader is not None
module = module_from_spec(spec)
sys.modules[spec.name] = module
spec.loader.exec_module(module)

StrictHost, thought, MISSING = module.StrictHost, module.thought, module.MISSING
