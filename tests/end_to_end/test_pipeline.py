"""Every stage through the command line, at a size that teaches nothing: the seams hold."""

import json
from pathlib import Path

from typer.testing import CliRunner

from openk2.cli.main import app

SHAPE = """
[shape]
hidden_size = 32
num_hidden_layers = 2
num_attention_heads = 2
q_lora_rank = 16
intermediate_size = 48
moe_intermediate_size = 16
n_routed_experts = 4
num_experts_per_tok = 2
max_position_embeddings = 2048
"""
COMMON = """
tokenizer = "{0}/tokenizer"
rows = 2
micro_rows = 1
{1}

[optimization]
products = "float32"

[schedule]
peak = 1e-3
final = 1e-3
warmup = 1
stable = 2
decay = 0

[[data]]
path = "{0}/rows.safetensors"
weight = 1.0
"""


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_from_generated_data_to_an_answer(tmp_path: Path) -> None:
    chats, rows, tokenizer = (tmp_path / n for n in ("c.jsonl", "rows.safetensors", "tokenizer"))
    run("data", "synthesize", "--count", 40, "--out", chats)
    run("data", "tokenizer", chats, "--vocab-size", 700, "--out", tokenizer)
    run("data", "pack", "--tokenizer", tokenizer, "--chat", chats, "--length", 512, "--out", rows)

    (tmp_path / "base.toml").write_text(COMMON.format(tmp_path, "") + SHAPE)
    shown = run("pretrain", tmp_path / "base.toml", "--out", tmp_path / "base")
    assert "muon" in shown
    assert "lm_head.weight  (named *lm_head*)" in shown
    assert "3/3 loss" in shown
    start = f'start = "{tmp_path}/base/checkpoint"'
    (tmp_path / "sft.toml").write_text(COMMON.format(tmp_path, start))
    run("sft", tmp_path / "sft.toml", "--out", tmp_path / "instruct")

    source, exported = tmp_path / "instruct" / "checkpoint", tmp_path / "exported"
    run("checkpoint", "export", source, exported, "--dtype", "block-fp8")
    run("checkpoint", "info", exported, "--deep")
    answer = run("chat", "Hello!", "--model", exported, "--max-tokens", 8, "--json")
    assert json.loads(answer)["finish_reason"] in ("stop", "length")
    score = run("eval", "tools", chats, "--model", exported, "--limit", 6, "--json")
    assert json.loads(score)["turns"] == 6
