import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from openk2.cli.main import app
from openk2.plan.serving.this_machine import DriverGpu


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["plan", "serve", *arguments])
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.parametrize(
    ("arguments", "status", "verdict"),
    [
        (("k2", "--machine", "h200"), 0, "YES: fits on 16 GPUs"),
        (("k2-thinking", "--machine", "h200", "--gpus", "8"), 0, "YES: fits on 8 GPUs"),
        (
            ("k2", "--machine", "h200", "--gpus", "8"),
            4,
            "NOT on 8 GPU(s); only with experts in RAM",
        ),
        (
            ("k2", "--machine", "workstation", "--weights", "bf16", "--gpus", "1"),
            3,
            "NO: no layout",
        ),
    ],
)
def test_the_status_and_the_first_words_are_the_answer(
    arguments: tuple[str, ...], status: int, verdict: str
) -> None:
    code, out, _ = run(*arguments)
    assert code == status
    assert verdict in out


def test_json_has_every_layout_with_its_reasons_and_agrees_with_the_table() -> None:
    arguments = ("k2", "--machine", "h200", "--gpus", "8,32", "--price", "2.3")
    code, out, _ = run(*arguments, "--json")
    data = json.loads(out)
    assert code == 0
    assert data["model"]["cache_bytes_a_token"] == 70272
    assert data["model"]["scale_bytes"] > 0
    for layout in data["layouts"]:
        assert layout["fits"] == (not layout["reasons"])
        assert bool(layout["rates"]) == bool(layout["price"]) == layout["fits"]
    _, text, _ = run(*arguments)
    assert "18,432 / 32 = 576" in text.replace("\n", " ")
    assert data["verdict"] in text


def test_the_page_is_one_file_without_scripts_and_escapes_what_it_shows(tmp_path: Path) -> None:
    machine = tmp_path / "m.toml"
    machine.write_text(
        '[[node]]\nid = "<script>x</script>"\ngpu = "h200"\ngpus = 8\nnetwork = 50\nhost = 50\n'
        'ram = 2000\nram_bandwidth = 600\ndisk = 5\nsource = "s"\n'
    )
    page = tmp_path / "plan.html"
    code, _, _ = run("k2", "--machine", str(machine), "--html", str(page))
    text = page.read_text()
    assert code == 0
    assert "<script" not in text
    assert "http" not in text.replace("http-equiv", "")
    assert text.count('class="bar"') > 8
    assert "Does not fit" in text


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("k2",), "--machine"),
        (("k2", "--machine", "h200", "--this-machine"), "--machine"),
        (("k2", "--machine", "h200", "--gpus", "eight"), "--gpus"),
        (("k2", "--machine", "h200", "--gpus", "12"), "--gpus"),
        (("k2", "--machine", "h200", "--cache", "int4"), "--cache"),
        (("k2", "--machine", "h200", "--weights", "int3"), "int3"),
        (("nowhere", "--machine", "h200"), "nowhere"),
        (("k2", "--machine", "h200", "--utilization", "2"), "utilization"),
    ],
)
def test_wrong_input_is_one_line_and_status_1(arguments: tuple[str, ...], named: str) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (1, "")
    assert len(err.splitlines()) == 1
    assert named in err


def test_this_machine_is_planned_without_gpus_where_it_has_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("openk2.plan.serving.this_machine.driver_gpus", list)
    code, out, _ = run("src/openk2/assets/openk2-nano", "--this-machine", "--json")
    data = json.loads(out)
    assert code == 0
    assert data["model"]["bytes_from"] == "headers"
    assert data["verdict"].startswith("YES: fits with experts in RAM, no GPU")


def test_gpus_0_plans_this_machine_without_the_gpu_that_nobody_knows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gpus = [DriverGpu("Tesla T4", 15.0)]
    monkeypatch.setattr("openk2.plan.serving.this_machine.driver_gpus", lambda: gpus)
    model = ("src/openk2/assets/openk2-nano", "--this-machine")
    assert "does not know the GPU 'Tesla T4'" in run(*model)[2]
    code, out, err = run(*model, "--gpus", "0")
    assert code == 0, err
    assert "YES: fits with experts in RAM, no GPU" in out


def test_plan_disk_takes_int4_only_where_no_config_says_the_format() -> None:
    result = CliRunner().invoke(app, ["plan", "disk", "src/openk2/assets/openk2-nano", "--int4"])
    assert (result.exit_code, result.stdout) == (1, "")
    assert "has a config.json, which says the format: leave --int4 out" in result.stderr
