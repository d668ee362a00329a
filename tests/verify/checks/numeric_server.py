"""A small model that copies, behind the real server, and the faults that are planted in it.

The model has heads that copy, written by hand (`CopyingStart`), so that it finds a code of its
prompt again and that its rope matters, without training; and a rope scaled by YaRN from a window
of 128 tokens.
"""

import torch

from openk2.architecture import ModelConfig, Yarn
from openk2.chat import Tokenizer, train_tokenizer
from openk2.engine import Engine
from openk2.generation import K2Format, PromptCoder, RawCompletion, RenderedChat
from openk2.model import K2Model
from openk2.model.copying_start import CopyingStart
from openk2.model.experts import Experts
from openk2.model.initial import initialise
from openk2.protocol import TokenGenerator
from openk2.server import create_app
from openk2.verify.passages import passage

CONTEXT = 512
ORIGINAL = 128
STD = 0.5
NAME = "copier"
EXPERT = 2  # the one whose contribution is lost


def trained_tokenizer() -> Tokenizer:
    return train_tokenizer([passage("vocabulary", 20_000)], 660)


def config_for(tokenizer: Tokenizer) -> ModelConfig:
    return ModelConfig(
        vocab_size=tokenizer.vocab_size,
        hidden_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        q_lora_rank=48,
        kv_lora_rank=96,
        qk_nope_head_dim=48,
        qk_rope_head_dim=32,
        v_head_dim=48,
        intermediate_size=64,
        moe_intermediate_size=32,
        n_routed_experts=4,
        num_experts_per_tok=2,
        max_position_embeddings=CONTEXT,
        rope_theta=1000.0,
        rope_scaling=Yarn(4.0, ORIGINAL, beta_fast=64, beta_slow=32, mscale=1, mscale_all_dim=1),
    )


@torch.no_grad()
def copying_model(config: ModelConfig) -> K2Model:
    circuit = CopyingStart(config, "induction", STD)
    model = K2Model(config)
    for name, parameter in model.named_parameters():
        # Experts that matter, but leave the heads their say.
        drawn = 0.1 if "experts" in name else config.initializer_range
        deviation = STD if "embed_tokens" in name else drawn
        initialise(name, parameter, 0, len(parameter), 0, deviation)
        if circuit.writes(name):
            circuit.write(name, parameter)
    for buffer in model.buffers():
        buffer.zero_()
    model.lm_head.weight.copy_(0.32 * model.model.embed_tokens.weight)
    return model.eval().pack()


class Served:
    """The model's engine, and what stands between it and the server.

    chat_tokens, raw_tokens: what chat and completions read: the engine, unless a fault replaces it.
    """

    def __init__(self, tokenizer: Tokenizer, model: K2Model) -> None:
        self.tokenizer, self.model = tokenizer, model
        self.engine = self.new_engine()
        self.chat_tokens: TokenGenerator = self.engine
        self.raw_tokens: TokenGenerator = self.engine
        self.raw = RawCompletion
        self.format = K2Format(tokenizer)

    def new_engine(self) -> Engine:
        engine = Engine(self.model, pages=1024, page_size=16, max_batch=32, context_length=CONTEXT)
        engine.start()
        return engine

    @property
    def experts(self) -> Experts:
        return self.model.decoder_layers[1].mlp.experts

    def app(self):
        stops = self.tokenizer.stop_ids
        return create_app(
            RenderedChat(self.tokenizer, self.chat_tokens, stops, None, self.format),
            model=NAME,
            completion=self.raw(self.tokenizer, self.raw_tokens, stops),
            coder=PromptCoder(self.tokenizer, CONTEXT, self.format),
        )

    def close(self) -> None:
        self.engine.stop()
