"""`K2Model`: embedding, decoder layers, final norm, head. Report section 2.3."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from openk2.architecture import ModelConfig
from openk2.model.activations import Activations, Keeping
from openk2.model.attention import LatentAttention
from openk2.model.cache import AttendingCache, LatentCache
from openk2.model.experts import Experts, MixtureOfExperts, Router, SwiGLU
from openk2.model.initial import start
from openk2.model.linear import Linear
from openk2.model.norm import RMSNorm
from openk2.model.observation import Observation
from openk2.model.rope import inverse_frequencies, rotation
from openk2.model.spans import Span, document_spans


class DecoderLayer(nn.Module):
    """Pre-norm attention and MLP with residuals."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.activations = Activations()
        self.input_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.self_attn = LatentAttention(config, layer)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.mlp: MixtureOfExperts | SwiGLU = (
            MixtureOfExperts(config, layer)
            if config.is_moe(layer)
            else SwiGLU(config.hidden_size, config.intermediate_size)
        )

    def keep(self, keeping: Keeping) -> None:
        """Keep activations for the backward pass in this way from now on."""
        activations = Activations(keeping)
        for module in self.modules():
            if isinstance(module, DecoderLayer | LatentAttention | RMSNorm | SwiGLU | Experts):
                module.activations = activations

    def forward(
        self,
        x: Tensor,
        rotation: tuple[Tensor, Tensor],
        mask: Tensor | None,
        cache: LatentCache | AttendingCache | None,
        positions: Tensor,
        observation: Observation | None,
        spans: list[list[Span]] | None,
    ) -> Tensor:
        """x [B, T, hidden] -> [B, T, hidden]."""
        with self.activations.layer():
            normed = self.input_layernorm(x)
            x = x + self.self_attn(normed, rotation, mask, cache, positions, observation, spans)
            normed = self.post_attention_layernorm(x)
            if isinstance(self.mlp, MixtureOfExperts):
                x = x + self.mlp(normed, observation)
            else:
                x = x + self.mlp(normed)
        return x


class Decoder(nn.Module):
    """The published `model.` prefix: everything but the head."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        # A given table: nn.Embedding's own initialisation costs a second of imports on meta.
        table = torch.empty(config.vocab_size, config.hidden_size)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size, _weight=table)
        self.layers = nn.ModuleList(
            DecoderLayer(config, layer) for layer in range(config.num_hidden_layers)
        )
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)


class K2Model(nn.Module):
    """The whole network. Parameters are uninitialised until `initialize` or a checkpoint read."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.model = Decoder(config)
        self.lm_head = Linear(config.hidden_size, config.vocab_size)

    @property
    def decoder_layers(self) -> list[DecoderLayer]:
        """The layers, typed."""
        return [layer for layer in self.model.layers if isinstance(layer, DecoderLayer)]

    @property
    def packed(self) -> bool:
        """Whether `pack` was called."""
        return self.lm_head.packed is not None

    @torch.no_grad()
    def pack(self) -> "K2Model":
        """Make the weights ready for serving over an `AttendingCache`; return self.

        They are forgotten as they are packed, so memory stays near one copy: a packed model can
        be neither trained nor saved. Sums then run in one order for every row (docs/design/
        kernels.md): a token's logits do not depend on what shares its step.
        """
        for module in list(self.modules()):
            if isinstance(module, Linear | RMSNorm | SwiGLU | Router | Experts | LatentAttention):
                module.pack()
        return self

    def require_packed(self) -> None:
        """Raise ValueError unless the model is packed, as an `AttendingCache` needs."""
        if not self.packed:
            raise ValueError("this cache attends by itself: call pack() on the model first")

    @torch.no_grad()
    def initialize(self, seed: int) -> "K2Model":
        """Draw every matrix from normal(0, initializer_range), norms 1, bias 0; return self.

        Each is drawn by its name: a network that lacks some gets the same numbers in the others.
        """
        for name, parameter in self.named_parameters():
            start(name, parameter, 0, len(parameter), seed, self.config.initializer_range)
        for buffer in self.buffers():
            buffer.zero_()
        return self

    def forward(
        self,
        tokens: Tensor,
        *,
        segments: Tensor | None = None,
        positions: Tensor | None = None,
        cache: LatentCache | AttendingCache | None = None,
        observation: Observation | None = None,
    ) -> Tensor:
        """tokens int64 [B, T] -> final hidden states [B, T, hidden], for `lm_head`.

        segments [B, T]: packed documents; a token sees only its own (default: one document).
            Padding has a negative segment and is not observed.
        positions [B, T]: each token's place in its sequence (default 0..T-1); with packing they
            restart at each document. Required with a cache.
        cache: keys of positions up to the token's own are visible; see `LatentCache`.
        observation: filled with max logits and expert load.
        """
        if isinstance(cache, AttendingCache):
            self.require_packed()
        x = self.model.embed_tokens(tokens)
        x = through_layers(
            self.config,
            self.model.layers,
            x,
            segments=segments,
            positions=positions,
            cache=cache,
            observation=observation,
        )
        hidden: Tensor = self.model.norm(x)
        return hidden


def through_layers(
    config: ModelConfig,
    layers: Iterable[nn.Module],
    x: Tensor,
    *,
    segments: Tensor | None = None,
    positions: Tensor | None = None,
    cache: LatentCache | AttendingCache | None = None,
    observation: Observation | None = None,
) -> Tensor:
    """Hidden states [B, T, hidden] before some `DecoderLayer`s -> after them.

    The rest as in `K2Model.forward`.
    """
    batch, length = x.shape[:2]
    if positions is None:
        if cache is not None:
            raise ValueError("positions is None: a forward pass with a cache needs them")
        positions = torch.arange(length, device=x.device).expand(batch, length)
    turns = rotation(config, inverse_frequencies(config).to(x.device), positions)
    mask: Tensor | None = None
    if cache is None:
        mask = causal_mask(length, segments, x.device)
    elif not isinstance(cache, AttendingCache):
        keys = torch.arange(int(positions.max()) + 1, device=x.device)
        mask = keys <= positions[..., None]
    if observation is not None:
        observation.see_only(None if segments is None else segments >= 0)
    spans = document_spans(segments) if segments is not None and cache is None else None
    for layer in layers:
        x = layer(x, turns, mask, cache, positions, observation, spans)
    return x


def causal_mask(length: int, segments: Tensor | None, device: torch.device) -> Tensor:
    """True where a key is visible [B or 1, T, T]: earlier in the row and of the same segment."""
    causal = torch.ones(length, length, dtype=torch.bool, device=device).tril()[None]
    return causal if segments is None else causal & (segments[:, :, None] == segments[:, None, :])
