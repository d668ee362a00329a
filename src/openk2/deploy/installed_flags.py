"""The flags of an engine that is installed, from its own argument parser.

The engine has an interpreter of its own, whose packages are not ours: a short program runs there
and prints what the parser has.
"""

import json
import subprocess
from datetime import date
from pathlib import Path

from openk2.deploy.error import DeployError
from openk2.deploy.flags import EngineFlags, FlagValues, recorded_flags

SECONDS = 300  # an engine imports torch and its kernels
# Makes `parser` and `version`; engines move their parsers from version to version.
PARSERS = {
    "vllm": """
try:
    from vllm.entrypoints.launchers.cli_args import make_arg_parser
except ModuleNotFoundError:
    from vllm.entrypoints.openai.cli_args import make_arg_parser
try:
    from vllm.utils.argparse_utils import FlexibleArgumentParser
except ModuleNotFoundError:
    from vllm.utils import FlexibleArgumentParser
import vllm
parser, version = make_arg_parser(FlexibleArgumentParser()), vllm.__version__
""",
    "sglang": """
import argparse, sglang
from sglang.srt.server_args import ServerArgs
parser, version = argparse.ArgumentParser(), sglang.__version__
ServerArgs.add_cli_args(parser)
""",
}
PARSERS["ktransformers"] = PARSERS["sglang"]
REPORT = """
import argparse, json
takes = {"none": [], "one": [], "many": [], "optional": []}
for action in parser._actions:
    kind = "one"
    if action.nargs == 0 or isinstance(action, argparse.BooleanOptionalAction):
        kind = "none"
    elif action.nargs == "?":
        kind = "optional"
    elif action.nargs is not None:
        kind = "many"
    takes[kind] += action.option_strings
print("\\n" + json.dumps({"version": str(version), "takes": takes}))
"""


def installed_flags(engine: str, python: Path) -> EngineFlags:
    """What the engine in `python`'s environment takes. Values are checked as recorded.

    Raises DeployError if it is not installed there, or shows no parser.
    """
    if engine not in PARSERS:
        raise DeployError(f"{engine} shows no parser: leave --python out to use its table")
    try:
        done = subprocess.run(
            [python, "-c", PARSERS[engine] + REPORT],
            capture_output=True, text=True, timeout=SECONDS, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DeployError(f"--python {python} cannot be run: {error}") from error
    said = [line for line in done.stdout.splitlines() if line.startswith('{"version"')]
    if done.returncode or not said:
        reason = (done.stderr.strip().splitlines() or ["no error message"])[-1]
        raise DeployError(f"{engine} cannot be used in {python}: {reason}")
    found = json.loads(said[-1])
    takes = FlagValues(**{kind: tuple(flags) for kind, flags in found["takes"].items()})
    known = recorded_flags(engine)
    return EngineFlags(
        engine, found["version"], date.today().isoformat(), f"its own parser in {python}", takes,
        known.choices, known.aliases,
    )  # fmt: skip
