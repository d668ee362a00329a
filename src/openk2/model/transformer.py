"""`K2Model`: embedding, decoder layers, final norm, head. Report section 2.3."""

from collections.abc import Callable, Iterable
from functools import partial

import torch
from torch import Tensor, nn

from openk2.architecture import ModelConfig
from openk2.kernels import PackedStack
from openk2.model.activations import Activations, Keeping
from openk2.model.attention import LatentAttention
from openk2.model.cache import AttendingCache, LatentCache
from openk2.model.context import KeysInCache, LayerContext, layer_context
from openk2.model.experts import Experts, MixtureOfExperts, RoutedExperts, Router, SwiGLU
from openk2.model.initial import initialise
from openk2.model.linear import Linear, WeightReader, own_weights
from openk2.model.norm import RMSNorm
from openk2.model.observation import Observation
from openk2.model.packed_layers import stack_of
from openk2.model.plain_serving import serve_layers


class DecoderLayer(nn.Module):
    """Pre-norm attention and MLP, each with a residual connection."""

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

        self._next: DecoderLayer | None = None

    def look_ahead(self, following: "DecoderLayer") -> None:
        """From now on, tell the next layer's streamed experts early what they may be asked for."""
        object.__setattr__(self, "_next", following)  # not a submodule

    def keep(self, keeping: Keeping) -> None:
        """Save activations for the backward pass as `keeping` says, from now on."""
        activations = Activations(keeping)
        for module in self.modules():
            if isinstance(module, DecoderLayer | LatentAttention | RMSNorm | SwiGLU | Experts):
                module.activations = activations

    def forward(self, x: Tensor, context: LayerContext) -> Tensor:
        """x [B, T, hidden] -> [B, T, hidden]."""
        with self.activations.layer():
            normed = self.input_layernorm(x)
            x = x + self.self_attn(normed, context)
            normed = self.post_attention_layernorm(x)
            meanwhile = None if self._next is None else partial(self._next.expect, x)
            if isinstance(self.mlp, MixtureOfExperts):
                x = x + self.mlp(normed, context.observation, meanwhile)
            else:
                if meanwhile is not None:
                    meanwhile()
                x = x + self.mlp(normed)
        return x

    def expect(self, x: Tensor) -> None:
        """x [B, T, hidden]: the residual stream a layer earlier. It changes little on the way, so
        this layer's router chooses mostly the same experts from it."""
        if isinstance(self.mlp, MixtureOfExperts):
            self.mlp.expect(self.post_attention_layernorm(x))


class Decoder(nn.Module):
    """Everything but the head, under the published prefix `model.`."""

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
        # Why a token of the last forward pass has no result, by its number in [B * T]: streamed
        # experts that could not be read. The caller takes them out.
        self.row_errors: dict[int, Exception] = {}
        self._stack: list[PackedStack | None] = []  # once it is made
        self.register_load_state_dict_post_hook(forget_stack)  # type: ignore[no-untyped-call]
        self.tie()

    def tie(self) -> None:
        """Make the head's weight the embedding's, if the config ties them.

        To be called again after anything that replaces parameters one by one, such as `to_empty`.
        """
        if self.config.tie_word_embeddings:
            self.lm_head.weight = self.model.embed_tokens.weight

    @property
    def decoder_layers(self) -> list[DecoderLayer]:
        """The layers that are held here, typed."""
        return [layer for layer in self.model.layers if isinstance(layer, DecoderLayer)]

    @property
    def packed(self) -> bool:
        """Whether `pack` was called."""
        return self.lm_head.packed is not None

    @property
    def stack(self) -> PackedStack | None:
        """All layers of a packed model for one call, made at first use: weights that `pack` leaves
        as they are may be loaded after it. None where `stack_of` gives none."""
        if not self._stack:
            self._stack.append(stack_of(self.decoder_layers))
        return self._stack[0]

    @torch.no_grad()
    def pack(self, read: WeightReader | None = None) -> "K2Model":
        """Pack the weights for serving over an `AttendingCache`; return self.

        read: gives each weight by its parameter's name (and expert), as it is stored elsewhere;
            embedding, norms and routers' biases are not asked for. Default: the model's own.
        Each weight is dropped when it is packed, so memory stays near one copy; a packed model can
        be neither trained nor saved. Sums then run in one order for every row, so a token's logits
        do not depend on what else is in its batch (docs/design/kernels.md).
        """
        read = read or own_weights(self)
        self._stack.clear()
        for name, module in list(self.named_modules()):
            if isinstance(module, RMSNorm):
                module.pack()
            elif isinstance(module, Linear | SwiGLU | Router | Experts | LatentAttention):
                module.pack(below(name, read))
        return self

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "K2Model":
        """As `nn.Module`: `.to` and its like replace norms and biases that `stack` knows."""
        self._stack.clear()
        return super()._apply(fn, recurse)  # type: ignore[no-untyped-call, no-any-return]

    def stream(self, routed: RoutedExperts) -> set[str]:
        """Have `routed`, called with a layer's number, make what computes its experts; to be called
        before `pack`. Returns the names of the parameters that are then not needed."""
        names = set()
        layers = self.decoder_layers
        for number, layer in enumerate(layers):
            if isinstance(layer.mlp, MixtureOfExperts):
                layer.mlp.experts.stream(routed(number))
                prefix = f"model.layers.{number}.mlp.experts."
                names |= {prefix + name for name, _ in layer.mlp.experts.named_parameters()}
                if number:
                    layers[number - 1].look_ahead(layer)
        return names

    @torch.no_grad()
    def initialize(self, seed: int) -> "K2Model":
        """Draw every matrix from normal(0, initializer_range), norms 1, bias 0; return self.

        Each is drawn from its own name, so a part of a network gets the same numbers as the whole.
        """
        for name, parameter in self.named_parameters():
            initialise(name, parameter, 0, len(parameter), seed, self.config.initializer_range)
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

        segments int64 [B, T]: packed documents; a token attends only to its own (default: one
            document a row). Padding has a negative segment and is not observed.
        positions int64 [B, T]: each token's position in its sequence (default 0..T-1). Required
            with a cache.
        cache: keys of positions up to the token's own are visible; see `LatentCache`. Over an
            `AttendingCache` nothing is saved for a backward pass.
        observation: records max logits and expert load.
        """
        x = self.model.embed_tokens(tokens)
        context = layer_context(
            self.config,
            x,
            segments=segments,
            positions=positions,
            cache=cache,
            observation=observation,
        )
        if isinstance(context.keys, KeysInCache) and not self.packed:
            x = serve_layers(self.decoder_layers, x, context.rotation, context.keys.cache)
        elif (paged := context.paged) is not None and (stack := self.stack) is not None:
            cos, sin = (part.flatten(0, 1) for part in context.rotation)
            x = stack(x.flatten(0, 1), cos, sin, paged).view_as(x)
        else:
            x = through_layers(self.model.layers, x, context)
        hidden: Tensor = self.model.norm(x)
        return hidden


def forget_stack(model: nn.Module, _: object) -> None:
    """Have a model that got other weights make its `stack` again."""
    assert isinstance(model, K2Model)
    model._stack.clear()


def below(module: str, read: WeightReader) -> WeightReader:
    """The reader of a module's own names, given one of the whole model's."""
    return lambda name, expert=None: read(f"{module}.{name}", expert)


def through_layers(layers: Iterable[nn.Module], x: Tensor, context: LayerContext) -> Tensor:
    """Hidden states [B, T, hidden] before some `DecoderLayer`s -> after them."""
    for layer in layers:
        x = layer(x, context)
    return x
