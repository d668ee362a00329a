import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
import uvicorn
from fastapi import FastAPI

from openk2.chat import train_tokenizer
from openk2.data import pack_stream, pack_whole
from openk2.data.chat_dataset import chat_documents, text_documents
from openk2.synthesis import generate

# Every server of a test is on the loopback and speaks no TLS. Without the web's certificates, which
# take 25 ms to read, an HTTP client is there at once; the processes that tests start inherit it.
os.environ.pop("SSL_CERT_FILE", None)
os.environ["SSL_CERT_DIR"] = str(Path(__file__).parent)

RECIPE = """
tokenizer = "{folder}/tokenizer"
rows = 4
micro_rows = 2
checkpoint_every = 2
seed = 3

[shape]
hidden_size = 32
num_hidden_layers = 2
num_attention_heads = 2
q_lora_rank = 16
kv_lora_rank = 24
qk_nope_head_dim = 8
qk_rope_head_dim = 4
v_head_dim = 8
intermediate_size = 48
moe_intermediate_size = 16
n_routed_experts = 4
num_experts_per_tok = 2
max_position_embeddings = 256

[optimization]
tau = 0.038
products = "float32"

[schedule]
peak = 1e-2
final = 1e-3
warmup = 2
stable = {stable}
decay = 2

[[data]]
path = "{folder}/text.safetensors"
weight = 0.5

[[data]]
path = "{folder}/chat.safetensors"
weight = 0.5
"""


@pytest.fixture(scope="session")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tokenizer, packed text, packed conversations and the recipe of a tiny run."""
    folder = tmp_path_factory.mktemp("material")
    conversations = list(generate(0, 60, "train"))
    texts = [json.dumps(conversation) for conversation in conversations]
    tokenizer = train_tokenizer(texts, 700)
    (folder / "tokenizer").mkdir()
    tokenizer.save(folder / "tokenizer")
    pad = tokenizer.special("[PAD]")
    pack_stream(text_documents(texts, tokenizer), 96, pad).save(folder / "text.safetensors")
    documents = chat_documents(conversations, tokenizer)
    pack_whole(documents, 96, pad).save(folder / "chat.safetensors")
    (folder / "pretrain.toml").write_text(RECIPE.format(folder=folder, stable=4))
    return folder


@contextmanager
def running(app: FastAPI) -> Iterator[str]:
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="on"))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            deadline = time.monotonic() + 30
            while not server.started:
                assert time.monotonic() < deadline, "the server did not start"
                time.sleep(0.005)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(10)


@pytest.fixture(scope="session")
def run_app() -> Callable[[FastAPI], AbstractContextManager[str]]:
    """An application on a loopback port, as a context manager that gives its address."""
    return running
