"""A checkpoint that takes no time to open."""

from dataclasses import replace
from pathlib import Path

import pytest

from openk2.chat import Tokenizer
from openk2.checkpoint import save_model
from openk2.model import K2Model
from tiny import TINY


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint folder: one id a byte plus the specials, random weights."""
    folder = tmp_path_factory.mktemp("local") / "tiny"
    tokenizer = Tokenizer([bytes([byte]) for byte in range(256)])
    config = replace(
        TINY,
        vocab_size=tokenizer.vocab_size,
        kv_lora_rank=16,
        moe_intermediate_size=24,
        max_position_embeddings=512,
        eos_token_id=tokenizer.special("[EOS]"),
        initializer_range=0.02,
    )
    save_model(K2Model(config).initialize(1), folder)
    tokenizer.save(folder)
    return folder
