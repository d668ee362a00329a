import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from openk2.cli.main import app
from openk2.plan.serving.this_machine import DriverGpu
from openk2.pretrained import assets_folder

NANO = str(assets_folder() / "openk2-nano")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built-in model's small files, as of bf16 weights, which any number of GPUs serves."""
    folder = tmp_path_factory.mktemp("plain")
    for file in Path(NANO).iterdir():
        if not file.name.startswith("model"):
            (folder / file.name).write_bytes(file.read_bytes())
    config = json.loads((folder / "config.json").read_text())
    del config["quantization_config"]
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def run(*arguments: str) -> tuple[int, str, str]:
    """Exit status, output and errors of `openk2 deploy`."""
    result = CliRunner().invoke(app, ["deploy", *arguments])
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("vllm", "k2", "--machine", "h200", "--gpus", "8"), "vllm: NOT on 8 GPU(s); only with"),
        (("vllm", "k2", "--machine", "h200", "--layout", "TP64"), "no layout 'TP64' for vllm: the"),
        (
            ("vllm", "k2", "--machine", "h200", "--gpus", "32", "--layout", "TP32"),
            "TP32 does not fit: intermediate_size 18,432 / 32 = 576: not a multiple of the 128",
        ),
        (("vllm", "k2"), "give one of --machine NAME and --this-machine"),
        (("vllm", "k3", "--machine", "h200"), "k3 is no file, folder or preset"),
        (
            ("tensorrt-llm", "k2-thinking", "--machine", "b200"),
            "it reads bf16, block-fp8, nvfp4, not int4: its guide serves Kimi-K2-Thinking from an",
        ),
        (("tensorrt-llm", "k2", "--machine", "mi300x"), "it is for NVIDIA, mi300x has AMD"),
        (
            ("ktransformers", "k2", "--machine", "workstation"),
            "experts in RAM do not fit: RAM: 1,0",
        ),
        (
            (
                "ktransformers",
                "k2-thinking",
                "--machine",
                "h200",
                "--weights",
                "nvfp4",
                "--model-path",
                "/k2",
            ),
            "reads int4, block-fp8, bf16 of a checkpoint as it is, not nvfp4",
        ),
        (
            ("ktransformers", "k2-thinking", "--machine", "rtx4090-48"),
            "kt-kernel reads a folder, not moonshotai/Kimi-K2-Thinking: `openk2 checkpoint",
        ),
        (
            ("vllm", "k2", "--machine", "h200", "--", "--seeed", "1"),
            "no flag --seeed, did you mean",
        ),
        (
            ("vllm", "k2", "--machine", "h200", "--name", "-x"),
            "--name is '-x': engines take it for",
        ),
        (("vllm", "k2", "--machine", "h200", "--port", "8001"), "ports 8000, 8001, 29500, 6379 mu"),
        (("vllm", "k2", "--machine", "h200", "--model-path", "k2"), "give an absolute path"),
        (("vllm", "k2", "--machine", "h200", "--python", "/nope"), "--python /nope cannot be run"),
        (
            ("vllm", "k2", "--machine", "h200", "--gpus", "8", "--weights", "int4"),
            "k2 is block-fp8: leave --weights out, or for int4 weights give the path of such a",
        ),
        (
            ("vllm", NANO, "--machine", "h100", "--gpus", "1", "--weights", "bf16"),
            "openk2-nano is block-fp8: leave --weights out, or for bf16",
        ),
        (
            ("vllm", NANO, "--machine", "h100", "--weights", "bf16", "--model-path", NANO),
            "openk2-nano is block-fp8: leave --weights out, or for bf16",
        ),
        (("vllm", NANO, "--run", "--weights", "int4"), "openk2-nano is block-fp8: leave"),
        (("vllm", NANO, "--detach", "--machine", "h200"), "--detach is for --run"),
        (("vllm", "k2", "--machine", "h200", "--dtype", "float16"), "--dtype is for --run"),
        (("vllm", "k2", "--machine", "h200", "--log", "x.log"), "--log is for --run"),
        (
            ("vllm", "k2", "--machine", "h200", "--gpu-experts", "9"),
            "--gpu-experts has no effect for vllm: leave it out",
        ),
        (
            ("ktransformers", "k2-thinking", "--machine", "rtx4090-48", "--sequences", "5"),
            "--sequences has no effect for ktransformers: leave it out",
        ),
        (("sglang", NANO, "--run"), "--run starts vllm only"),
        (("vllm", NANO, "--run", "--out", "x"), "--out has no effect with --run"),
        (("vllm", "k2", "--run"), "--run needs the checkpoint's folder, not moonshotai/Kimi-K2"),
        (("stop", "--port", "9"), "nothing that openk2 deploy started listens on port 9"),
    ],
)
def test_what_cannot_be_deployed_is_one_line_with_the_reason(
    arguments: tuple[str, ...], message: str
) -> None:
    if "8001" in arguments:
        message = "the ports 8001, 8001, 29500, 6379 must differ"
    code, out, err = run(*arguments)
    assert code == 1, (out, err)
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert message in err


def test_run_on_cpus_asks_for_no_gpu_that_the_catalogue_knows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gpus = [DriverGpu("Tesla T4", 15.0), DriverGpu("NVIDIA H200", 140.4)]
    monkeypatch.setattr("openk2.plan.serving.this_machine.driver_gpus", lambda: gpus)
    code, _, err = run("vllm", NANO, "--run", "--python", "/nope")
    assert (code, "--python /nope cannot be run" in err) == (1, True), err


def test_json_has_commands_files_and_the_sizes_of_the_plan(tmp_path: Path) -> None:
    folder = tmp_path / "launch"
    code, out, err = run("vllm", "k2", "--machine", "h200", "--layout", "tp8-pp2", "--context",
                         "65536", "--json", "--out", str(folder))  # fmt: skip
    assert code == 0, err
    found = json.loads(out)
    assert found["sizes"] == {"tp": 8, "dp": 1, "pp": 2, "dcp": 1, "ep": 1}
    assert found["nodes"] == 2
    assert found["context"] == 65536
    assert found["commands"]["node 1"][-1] == "--headless"
    assert {path.name: path.read_text() for path in folder.iterdir()} == found["files"]
    assert (folder / "node-0.sh").stat().st_mode & 0o111


def test_the_checkpoints_own_files_say_how_it_talks(plain: Path) -> None:
    """The built-in model writes K2's sections, needs no remote code, and is served by its path."""
    code, out, err = run("sglang", str(plain), "--machine", "h100", "--gpus", "1", "--json")
    assert code == 0, err
    words = json.loads(out)["commands"]["node 0"]
    assert words[words.index("--model-path") + 1] == str(plain)
    assert words[words.index("--tool-call-parser") + 1] == "kimi_k2"
    assert "--reasoning-parser" not in words
    assert "--trust-remote-code" not in words
    gateway = json.loads(out)["commands"]["gateway, on node 0"]
    assert gateway[gateway.index("--tokenizer") + 1] == str(plain)


def test_kt_kernel_is_given_the_folder_that_nodes_have() -> None:
    words = ("ktransformers", "k2-thinking", "--machine", "rtx4090-48", "--model-path", "/k2")
    code, out, err = run(*words, "--json")
    assert code == 0, err
    command = json.loads(out)["commands"]["node 0"]
    assert command[command.index("--kt-weight-path") + 1] == "/k2"


def test_a_snapshot_of_the_hubs_cache_is_mounted_with_what_it_links_to(
    plain: Path, tmp_path: Path
) -> None:
    storage = tmp_path / "models--moonshotai--Kimi-Nano"
    snapshot = storage / "snapshots" / ("0123456789" * 4)
    for folder in (storage / "blobs", snapshot):
        folder.mkdir(parents=True)
    for number, file in enumerate(plain.iterdir()):
        (storage / "blobs" / f"{number}").write_bytes(file.read_bytes())
        (snapshot / file.name).symlink_to(f"../../blobs/{number}")
    words = ("vllm", str(snapshot), "--machine", "h100", "--gpus", "1", "--json")
    code, out, err = run(*words)
    assert code == 0, err
    found = json.loads(out)
    command = found["commands"]["node 0"]
    assert command[command.index("--served-model-name") + 1] == "kimi-nano"
    assert str(snapshot) in command
    for service in yaml.safe_load(found["files"]["compose.yaml"])["services"].values():
        assert service["volumes"][0]["source"] == service["volumes"][0]["target"] == str(storage)
    for each in yaml.safe_load_all(found["files"]["kubernetes.yaml"]):
        if each["kind"] == "Deployment":
            pod = each["spec"]["template"]["spec"]
            paths = [v["hostPath"]["path"] for v in pod["volumes"] if "hostPath" in v]
            mounts = [m["mountPath"] for m in pod["containers"][0]["volumeMounts"]]
            assert paths == [str(storage)]
            assert str(storage) in mounts


def test_links_out_of_the_folder_are_not_mounted_and_a_note_says_so(
    plain: Path, tmp_path: Path
) -> None:
    (tmp_path / "c").mkdir()
    for file in plain.iterdir():
        (tmp_path / "c" / file.name).symlink_to(file)
    words = ("vllm", str(tmp_path / "c"), "--machine", "h100", "--gpus", "1")
    code, out, err = run(*words, "--json")
    assert code == 0, err
    found = json.loads(out)
    assert "node-0.sh" in found["files"]
    assert not {"compose.yaml", "kubernetes.yaml"} & found["files"].keys()
    assert any("chat_template.jinja is a link out of" in note for note in found["notes"])


def test_a_folder_without_the_code_that_it_names_is_refused(plain: Path, tmp_path: Path) -> None:
    folder = tmp_path / "c"
    folder.mkdir()
    for file in plain.iterdir():
        (folder / file.name).symlink_to(file)
    (folder / "tokenizer_config.json").unlink()
    named = {"AutoTokenizer": ["tokenization_kimi.TikTokenTokenizer", None], "x": "a/b--c.D"}
    (folder / "tokenizer_config.json").write_text(json.dumps({"auto_map": named}))
    words = ("vllm", str(folder), "--machine", "h100", "--gpus", "1", "--json")
    code, _, err = run(*words)
    assert code == 1
    assert "tokenizer_config.json names tokenization_kimi.py (auto_map), which is not there" in err
    assert f"openk2 checkpoint convert {folder} OUT" in err
    code, _, err = run(*words, "--model-path", "/models/whole")
    assert code == 0, err
    (folder / "tokenization_kimi.py").write_text("")
    code, out, err = run(*words)
    assert code == 0, err
    assert "--trust-remote-code" in json.loads(out)["commands"]["node 0"]


def test_another_checkpoint_than_the_preset_may_have_another_format() -> None:
    words = ("vllm", "k2", "--machine", "h200", "--gpus", "8", "--weights", "int4", "--json")
    code, out, err = run(*words, "--model-path", "/models/k2-int4")
    assert code == 0, err
    assert "/models/k2-int4" in json.loads(out)["commands"]["node 0"]
    code, _, err = run(*words)
    assert (code, "k2 is block-fp8" in err) == (1, True)


def test_a_thinking_model_gets_its_parsers_and_prompts() -> None:
    code, out, err = run("vllm", "k2-thinking", "--machine", "h200", "--json")
    assert code == 0, err
    commands = json.loads(out)["commands"]
    words, gateway = commands["node 0"], commands["gateway, on node 0"]
    assert words[words.index("--reasoning-parser") + 1] == "kimi_k2"
    assert "--trust-remote-code" in words
    assert gateway[gateway.index("--tokenizer") + 1] == "moonshotai/Kimi-K2-Thinking"
    assert "--upstream-mode" not in gateway


def test_the_gateways_command_is_one_that_openk2_takes() -> None:
    """Its flags are those of `openk2 serve`."""
    import typer

    from openk2.cli.serve import serve

    taken = typer.Typer()
    taken.command()(serve)
    options = {o for p in typer.main.get_command(taken).params for o in p.opts}
    for model in ("k2", "k2.5"):
        code, out, err = run("vllm", model, "--machine", "b200", "--json")
        assert code == 0, err
        gateway = json.loads(out)["commands"]["gateway, on node 0"]
        assert {word for word in gateway if word.startswith("--")} <= options
