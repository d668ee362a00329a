"""Compose files against compose_spec, a parser of the Compose Specification."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from deployed import HOSTILE, deployed
from openk2.deploy import ChatStyle, DeployedModel, deployment_files

CASES = [
    ("vllm", "k2-thinking", "h200", "TP8"),
    ("vllm", "k2", "h200", "DP16 EP16"),
    ("sglang", "k2", "mi300x", "TP8"),
    ("tensorrt-llm", "k2", "b200", "TP8"),
    ("ktransformers", "k2-thinking", "rtx4090-48", None),
]


def composed(*case: str | None, **changes: object) -> dict[str, str]:
    """The compose files of a deployment."""
    files = deployment_files(deployed(*case, image="engine:1", **changes))  # type: ignore[arg-type]
    return {name: text for name, text in files.items() if name.startswith("compose")}


def interpolated(value: object, environment: dict[str, str]) -> object:
    """What compose makes of `$$` and of `${NAME:?...}`. Any other `$` fails."""
    if isinstance(value, dict):
        return {key: interpolated(each, environment) for key, each in value.items()}
    if isinstance(value, list):
        return [interpolated(each, environment) for each in value]
    if not isinstance(value, str):
        return value
    pattern = r"\$\$|\$\{(\w+):\?[^}]*\}|\$"
    return re.sub(pattern, lambda m: "$" if m[0] == "$$" else environment[m[1]], value)


@pytest.mark.parametrize("case", CASES, ids=lambda case: " ".join(map(str, case)))
def test_every_file_is_one_that_compose_reads(case: tuple[str, ...]) -> None:
    parser = pytest.importorskip("compose_spec").PyCompose
    files = composed(*case)
    nodes = deployed(*case).nodes
    assert len(files) == nodes
    for number, text in enumerate(files.values()):
        read = parser.from_yaml(text)
        read.validate()
        assert sorted(read.service_names()) == ["engine", "gateway"][: 1 + (number == 0)]


def test_the_hubs_cache_is_the_volume_that_is_mounted() -> None:
    for text in composed(*CASES[0]).values():
        for service in yaml.safe_load(text)["services"].values():
            [home] = [each for each in service["environment"] if each.startswith("HF_HOME=")]
            assert home.removeprefix("HF_HOME=") in [each["target"] for each in service["volumes"]]


def test_the_parser_refuses_a_key_that_is_none() -> None:
    parser = pytest.importorskip("compose_spec").PyCompose
    text = next(iter(composed(*CASES[0]).values()))
    with pytest.raises(ValueError, match="imgae"):
        parser.from_yaml(text.replace("image:", "imgae:", 1))


def test_a_hostile_path_arrives_as_it_is_and_no_secret_is_written(tmp_path: Path) -> None:
    model = DeployedModel(HOSTILE, "a 'b' $(id)", ChatStyle.instruct)
    texts = composed("vllm", "k2", "h200", "DP16 EP16", changed=model)
    (tmp_path / "vllm").write_text('#!/bin/bash\nprintf "%s\\0" "$@"\n')
    (tmp_path / "vllm").chmod(0o755)
    environment = {"HEAD_ADDRESS": "10.0.0.1", "OPENK2_API_KEY": "s3cret"}
    for text in texts.values():
        assert "s3cret" not in text
        services = interpolated(yaml.safe_load(text), environment)["services"]  # type: ignore[index]
        engine = services["engine"]
        assert engine["volumes"][0]["source"] == HOSTILE
        command = [*engine["entrypoint"], *engine["command"]]
        variables = {"PATH": f"{tmp_path}:/usr/bin:/bin", "HEAD_ADDRESS": "10.0.0.1"}
        done = subprocess.run(command, env=variables, capture_output=True, check=True)
        words = done.stdout.decode().split("\0")[:-1]
        assert words[:4] == ["serve", HOSTILE, "--served-model-name", "a 'b' $(id)"]
        if "gateway" in services:
            assert HOSTILE in services["gateway"]["command"]
