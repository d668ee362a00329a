"""`latent_attention`: absorbed multi-head latent attention over pages.

Queries are folded already: a head's query lies in the space of the cached latents, whose first
`rank` values are the values too (docs/design/model.md). A query's keys are summed in blocks of 64
from its sequence's start, so its bits depend on its own keys alone: not on what else is in the
call, how a prompt was cut, where pages lie or how many are handed over.
"""

import torch
from torch import Tensor

from openk2.kernels import native
from openk2.kernels.linear import keep
from openk2.kernels.native.shared_library import ATTENTION, TYPES, refuse_empty, type_of

REFUSALS = {
    1: "sequence holds a number that is no row of tables",
    2: "lengths holds a number below 0 or beyond what a row of tables reaches",
    3: "tables names a page that does not exist, within a query's length",
    4: "there are no heads, or pages hold nothing",
}


def latent_attention(
    q: Tensor,
    pages: Tensor,
    tables: Tensor,
    sequence: Tensor,
    lengths: Tensor,
    scale: float,
    rank: int,
    *,
    out_dtype: torch.dtype | None = None,
    out: Tensor | None = None,
    isa: str | None = None,
) -> Tensor:
    """T queries of H heads over their sequences' latents -> [T, H, rank] in out_dtype (q's).

    q: [T, H, latent_dim], float32 or bfloat16, dense in the last dimension. Queries of one
        sequence that follow each other read its keys together.
    pages: [P, page_size, latent_dim] float32 or bfloat16, contiguous.
    tables: int32 [S, width], the pages of each sequence in order; entries beyond what the lengths
        reach are not read, nor is what their pages hold.
    sequence: int32 [T], the row of tables of each query.
    lengths: int32 [T], how many keys each query sees, from its sequence's start; 0 gives zeros.
    scale: of the products, before the softmax.

    Softmax and sums are float32. Where q and pages are both bfloat16, products are bfloat16 and the
    weights are rounded to it before they meet the values; otherwise latents are widened.
    Raises ValueError for shapes and numbers that do not fit, TypeError for other dtypes.
    """
    check(q, pages, tables, sequence, lengths, rank)
    count, heads, width = q.shape
    if out is not None and (out.shape != (count, heads, rank) or out.stride(2) != 1):
        raise ValueError(f"out is {list(out.shape)}: these queries give {[count, heads, rank]}")
    library = native.library() if q.is_cpu else None
    if library is None:
        return keep(
            attention_twin(q, pages, tables, sequence, lengths, scale, rank, out_dtype), out
        )
    if out is None:
        out = torch.empty(count, heads, rank, dtype=out_dtype or q.dtype)
    tables = tables if tables.stride(1) == 1 else tables.contiguous()
    sequence, lengths = sequence.contiguous(), lengths.contiguous()
    call = ATTENTION.pack(
        library.kernels(isa),
        q.data_ptr(),
        q.stride(0),
        q.stride(1),
        pages.data_ptr(),
        pages.shape[0],
        pages.shape[1],
        width,
        rank,
        tables.data_ptr(),
        tables.shape[0],
        tables.shape[1],
        tables.stride(0),
        sequence.data_ptr(),
        lengths.data_ptr(),
        out.data_ptr(),
        out.stride(0),
        out.stride(1),
        count,
        heads,
        scale,
        type_of(q, "q"),
        type_of(pages, "pages"),
        type_of(out, "out"),
    )
    if refusal := library.attention(call):
        raise ValueError(REFUSALS[refusal])
    return out


def check(
    q: Tensor, pages: Tensor, tables: Tensor, sequence: Tensor, lengths: Tensor, rank: int
) -> None:
    """Raise for arguments that do not fit together; see `latent_attention` for their shapes."""
    if q.dim() != 3 or pages.dim() != 3 or q.shape[2] != pages.shape[2] or q.stride(2) != 1:
        raise ValueError(
            f"q is {list(q.shape)}, pages {list(pages.shape)}: [T, H, D] and [P, page_size, D] are "
            "wanted, q dense in D"
        )
    refuse_empty("q", q, 1)
    refuse_empty("pages", pages, 1)
    if not 0 < rank <= q.shape[2]:
        raise ValueError(f"rank is {rank}: latents are {q.shape[2]} wide")
    if not pages.is_contiguous():
        raise ValueError("pages are not contiguous")
    count = q.shape[0]
    if sequence.shape != (count,) or lengths.shape != (count,) or tables.dim() != 2:
        raise ValueError(
            f"sequence is {list(sequence.shape)}, lengths {list(lengths.shape)}, tables "
            f"{list(tables.shape)}: [{count}], [{count}] and [S, width] are wanted"
        )
    for name, tensor in (("tables", tables), ("sequence", sequence), ("lengths", lengths)):
        if tensor.dtype != torch.int32:
            raise TypeError(f"{name} is {tensor.dtype}: int32 is wanted")
    for name, tensor in (("q", q), ("pages", pages)):
        if tensor.dtype not in TYPES:
            raise TypeError(f"{name} is {tensor.dtype}: float32 or bfloat16 is wanted")


def attention_twin(
    q: Tensor,
    pages: Tensor,
    tables: Tensor,
    sequence: Tensor,
    lengths: Tensor,
    scale: float,
    rank: int,
    out_dtype: torch.dtype | None = None,
) -> Tensor:
    """The same by torch, in float32, one run of queries of a sequence after the other.

    See `latent_attention` for shapes.
    """
    result = torch.zeros(*q.shape[:2], rank, dtype=out_dtype or q.dtype, device=q.device)
    owners, seen = sequence.tolist(), lengths.tolist()
    start = 0
    while start < len(owners):
        end = start + 1
        while end < len(owners) and owners[end] == owners[start]:
            end += 1
        longest = max(seen[start:end])
        if longest > 0:
            used = tables[owners[start], : -(-longest // pages.shape[1])].long()
            keys = pages[used].flatten(0, 1)[:longest].float()
            logits = q[start:end].float() @ keys.T * scale
            visible = torch.arange(longest, device=q.device) < lengths[start:end, None]
            logits = logits.masked_fill(~visible[:, None], -torch.inf)
            weights = logits.softmax(dim=-1).nan_to_num(0.0)
            result[start:end] = (weights @ keys[:, :rank]).to(result.dtype)
        start = end
    return result
