"""`--memory`: a folder served with its experts on disk."""

import asyncio
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from openk2.architecture import ModelConfig
from openk2.cli.checkpoint import app
from openk2.cli.plan import app as plan
from openk2.kernels import native
from openk2.pretrained import LocalModel, LocalModelError, open_model
from openk2.protocol import SamplingParams

pytestmark = pytest.mark.skipif(
    not native.available(), reason="needs the native kernels: no C++ compiler when installed"
)
SMALL = ModelConfig(
    hidden_size=128,
    num_hidden_layers=3,
    num_attention_heads=2,
    q_lora_rank=32,
    kv_lora_rank=64,
    intermediate_size=128,
    moe_intermediate_size=64,
    n_routed_experts=8,
    num_experts_per_tok=2,
    max_position_embeddings=4096,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Written by the command, with a tokenizer."""
    place = tmp_path_factory.mktemp("synthetic")
    (place / "config.json").write_text(json.dumps(SMALL.to_dict()))
    done = CliRunner().invoke(
        app, ["synthesize", "--config", str(place / "config.json"), str(place / "k2")]
    )
    assert done.exit_code == 0, done.output
    return place / "k2"


def tokens(model: LocalModel) -> list[int]:
    async def read() -> list[int]:
        params = SamplingParams(max_tokens=8, temperature=0)
        return [i async for chunk in model.engine.generate([5, 6], params) for i in chunk.token_ids]

    return asyncio.run(read())


def test_a_served_model_streams_with_the_same_tokens(folder: Path) -> None:
    with open_model(folder) as resident:
        expected = tokens(resident)
    with open_model(folder, memory=1 << 30) as model:
        assert tokens(model) == expected
        assert model.experts is not None
        assert 0 < model.experts.stats().reads <= 16 + model.experts.stats().wrong
        assert "16 of 16 experts in memory" in model.summary


def test_too_little_memory_is_one_line(folder: Path) -> None:
    with pytest.raises(LocalModelError, match=r"need [\d,]+: raise --memory or lower"):
        open_model(folder, memory=1 << 20)
    with pytest.raises(LocalModelError, match="lower --memory"):
        open_model(folder, memory=1 << 50)


def test_plan_disk_measures_and_predicts(folder: Path) -> None:
    command = ["disk", str(folder), "--seconds", "0.1", "--json"]
    done = CliRunner().invoke(plan, command)
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert [each["depth"] for each in found["disk"]] == [1, 1, 2, 4, 8]
    assert all(each["rate"] > 0 for each in found["disk"])
    assert 0 < found["predicted"]["tokens_per_second"] < found["predicted"]["bound"]
    assert found["assumed"]["hit_rate"] == 0.5
