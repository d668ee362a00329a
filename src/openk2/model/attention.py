"""Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434; K2 report section 2.3).

Equations are those of DeepSeek-V3 (arXiv 2412.19437), section 2.1.1.

The same product has two forms. *Expanded*: keys and values are computed from the latents through
kv_b_proj, for training and prefill. *Absorbed*: the key half of kv_b_proj is folded into the query
and its value half into the output, so that attention runs over the 576-wide latents themselves,
for decoding. Both give the same numbers; a test compares them.

A model packed for serving computes the absorbed form over the cache's pages, for prompts and for
decoding, so that a token's bits do not depend on which of the two computed it.
"""

from functools import partial

import torch
from torch import Tensor, nn

from openk2.architecture import ModelConfig
from openk2.kernels import PackedHeads, plain
from openk2.kernels import rotate as rotate_rows
from openk2.model.activations import Activations, compute_dtype
from openk2.model.cache import AttendingCache
from openk2.model.context import KeysInCache, LayerContext, OwnKeys
from openk2.model.core_attention import AttentionWeights, CoreAttention, plain_attention
from openk2.model.linear import Linear, WeightReader, forgotten, own_weights
from openk2.model.norm import RMSNorm
from openk2.model.observation import Observation
from openk2.model.rope import rotate
from openk2.model.spans import Span


class LatentAttention(nn.Module):
    """One layer's attention. Shapes: B sequences, T new tokens, S keys, H heads.

    core: what computes attention over expanded keys; another `CoreAttention` can replace it.
    """

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.config, self.layer = config, layer
        heads, hidden = config.num_attention_heads, config.hidden_size
        self.q_proj: Linear | None = None
        self.q_a_proj: Linear | None = None
        if config.q_lora_rank is None:
            self.q_proj = Linear(hidden, heads * config.qk_head_dim)
        else:
            self.q_a_proj = Linear(hidden, config.q_lora_rank)
            self.q_a_layernorm = RMSNorm(config.q_lora_rank, config.rms_norm_eps)
            self.q_b_proj = Linear(config.q_lora_rank, heads * config.qk_head_dim)
        self.kv_a_proj_with_mqa = Linear(hidden, config.latent_dim)
        self.kv_a_layernorm = RMSNorm(config.kv_lora_rank, config.rms_norm_eps)
        self.kv_b_proj = nn.Linear(
            config.kv_lora_rank, heads * (config.qk_nope_head_dim + config.v_head_dim), bias=False
        )
        self.o_proj = Linear(heads * config.v_head_dim, hidden)
        self.weigh = AttentionWeights(config.softmax_scale, layer)
        self.core: CoreAttention = plain_attention
        self.packed: tuple[PackedHeads, PackedHeads] | None = None
        self.activations = Activations()

    def forward(self, x: Tensor, context: LayerContext) -> Tensor:
        """x [B, T, hidden] -> [B, T, hidden], dtype of x (DeepSeek-V3, equations 1 to 11)."""
        keys, rotation = context.keys, context.rotation
        if isinstance(keys, KeysInCache):
            return self.over_pages(x, rotation, keys.cache)
        narrow = self.activations.compute("norms", compute_dtype, x)
        q_nope, q_rope = self.queries(narrow, rotation)
        latents = self.latents(narrow, rotation)
        mask, seen = keys.mask[:, None], context.observation
        if isinstance(keys, OwnKeys):
            heads = self.expanded(q_nope, q_rope, latents, mask, seen, keys.spans)
        else:
            latents = keys.cache.extend(self.layer, latents, keys.positions).to(x.dtype)
            form = self.absorbed if x.shape[1] == 1 else self.expanded
            heads = form(q_nope, q_rope, latents, mask, seen)
        result: Tensor = self.o_proj(heads.transpose(1, 2).flatten(2))
        return result

    @property
    def query_up(self) -> Linear:
        """The last projection of the queries, with a row for each value of each head."""
        return self.q_b_proj if self.q_proj is None else self.q_proj

    def query_latent(self, x: Tensor) -> Tensor:
        """What `query_up` reads: x [..., hidden] -> [..., q_lora_rank]; x itself without it."""
        if self.q_a_proj is None:
            return x
        latent: Tensor = self.q_a_layernorm(self.q_a_proj(x))
        return latent

    def pack(self, read: WeightReader | None = None) -> None:
        """Pack both halves of kv_b_proj for `over_pages` (see `Linear.pack`); it is dropped.

        A quantized one is dequantized: its key half is read across the groups that share a
        multiplier (docs/design/kernels.md).
        """
        heads, nope = self.config.num_attention_heads, self.config.qk_nope_head_dim
        weight = (read or own_weights(self))("kv_b_proj.weight")
        key_up, value_up = (
            plain(weight, self.kv_b_proj.weight.dtype)
            .unflatten(0, (heads, -1))
            .split_with_sizes([nope, self.config.v_head_dim], dim=1)
        )
        self.packed = PackedHeads.pack(key_up.mT), PackedHeads.pack(value_up)
        self.kv_b_proj.weight = forgotten(self.kv_b_proj.weight)

    def over_pages(
        self, x: Tensor, rotation: tuple[Tensor, Tensor], cache: AttendingCache
    ) -> Tensor:
        """Store the latents of x [B, T, hidden] and attend over all of them: [B, T, hidden].

        It computes what `queries`, `latents` and `absorbed` do, in place.
        """
        assert self.packed is not None
        key_up, value_up = self.packed
        config = self.config
        rank, nope = config.kv_lora_rank, config.qk_nope_head_dim
        rows = x.flatten(0, 1)
        cos, sin = (part.flatten(0, 1) for part in rotation)

        q: Tensor = self.query_up(self.query_latent(rows))
        q = q.unflatten(-1, (config.num_attention_heads, config.qk_head_dim))
        query = q.new_empty(*q.shape[:2], config.latent_dim)
        key_up(q[..., :nope], out=query[..., :rank])
        rotate_rows(q[..., nope:], cos, sin, out=query[..., rank:])

        latents: Tensor = self.kv_a_proj_with_mqa(rows)
        self.kv_a_layernorm(latents[:, :rank], out=latents[:, :rank])
        shared = latents[:, None, rank:]
        rotate_rows(shared, cos, sin, out=shared)
        cache.store(self.layer, latents.view(*x.shape[:2], -1))

        mixed = cache.attend(self.layer, query, config.softmax_scale, rank)
        result: Tensor = self.o_proj(value_up(mixed).flatten(1))
        return result.view_as(x)

    def queries(self, x: Tensor, rotation: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """x [B, T, hidden] -> positionless [B, H, T, nope], rotated [B, H, T, rope]; eq. 6 to 8."""
        return self.activations.compute("mla_up", self.up_query, self.query_latent(x), *rotation)

    def up_query(self, latent: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor]:
        """The query's latent [B, T, q_lora_rank or hidden] -> both parts of `queries`."""
        config = self.config
        q: Tensor = self.query_up(latent)
        q = q.unflatten(-1, (config.num_attention_heads, config.qk_head_dim)).transpose(1, 2)
        nope, rope = q.split([config.qk_nope_head_dim, config.qk_rope_head_dim], dim=-1)
        return nope, rotate(rope, cos[:, None], sin[:, None])

    def latents(self, x: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
        """x [B, T, hidden] -> latent and rotated key, as cached [B, T, latent_dim]; eq. 1, 3."""
        return self.activations.compute(
            "norms", self.normalise, self.kv_a_proj_with_mqa(x), *rotation
        )

    def normalise(self, latents: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Normalise the latent and rotate the key of `latents` [B, T, latent_dim]."""
        config = self.config
        latent, rope = latents.split([config.kv_lora_rank, config.qk_rope_head_dim], dim=-1)
        return torch.cat((self.kv_a_layernorm(latent), rotate(rope, cos, sin)), dim=-1)

    def expanded(
        self,
        q_nope: Tensor,
        q_rope: Tensor,
        latents: Tensor,
        mask: Tensor,
        observation: Observation | None = None,
        spans: list[list[Span]] | None = None,
    ) -> Tensor:
        """Attention over expanded keys and values, equation 10: [B, H, T, v_head_dim].

        latents [B, S, latent_dim]; mask bool [B or 1, 1, T, S].
        """
        query, key, v = self.activations.compute("mla_up", self.up_heads, q_nope, q_rope, latents)
        weigh = partial(self.weigh, observation=observation)
        return self.core(query, key, v, mask, spans, weigh)

    def up_heads(
        self, q_nope: Tensor, q_rope: Tensor, latents: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Every head's query [B, H, T, D], key [B, H, S, D], value [B, H, S, V]; eq. 2, 4, 5, 9."""
        config = self.config
        latent, k_rope = latents.split([config.kv_lora_rank, config.qk_rope_head_dim], dim=-1)
        kv: Tensor = self.kv_b_proj(latent)
        kv = kv.unflatten(-1, (config.num_attention_heads, -1)).transpose(1, 2)
        k_nope, v = kv.split([config.qk_nope_head_dim, config.v_head_dim], dim=-1)
        shared = k_rope[:, None].expand(-1, config.num_attention_heads, -1, -1)
        return torch.cat((q_nope, q_rope), -1), torch.cat((k_nope, shared), -1), v

    def absorbed(
        self,
        q_nope: Tensor,
        q_rope: Tensor,
        latents: Tensor,
        mask: Tensor,
        observation: Observation | None = None,
    ) -> Tensor:
        """The result of `expanded`, computed over the latents themselves: [B, H, T, v_head_dim]."""
        config = self.config
        heads, rank = config.num_attention_heads, config.kv_lora_rank
        batch, _, length, _ = q_nope.shape
        up = self.kv_b_proj.weight.view(heads, -1, rank).to(q_nope.dtype)
        key_up, value_up = up.split([config.qk_nope_head_dim, config.v_head_dim], dim=1)
        # Fold heads into the rows of one product over the shared latents, and sequences into the
        # rows of one product a head: broadcasting would copy latents per head and weights per
        # sequence.
        folded = torch.bmm(q_nope.transpose(0, 1).flatten(1, 2), key_up)
        folded = folded.unflatten(1, (batch, length)).transpose(0, 1)
        query = torch.cat((folded, q_rope), dim=-1).flatten(1, 2)
        products = torch.bmm(latents, query.transpose(1, 2)).transpose(1, 2)
        products = products.unflatten(1, (heads, length))
        weights = self.weigh(products, mask, observation=observation)
        mixed = torch.bmm(weights.flatten(1, 2), latents[..., :rank])
        mixed = mixed.unflatten(1, (heads, length)).transpose(0, 1).flatten(1, 2)
        out: Tensor = torch.bmm(mixed, value_up.transpose(1, 2))
        out = out.unflatten(1, (batch, length)).transpose(0, 1)
        return out
