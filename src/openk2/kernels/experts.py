"""`PackedExperts`: the routed experts' part of a mixture, the same bits for a row in any batch."""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from openk2.kernels import native
from openk2.kernels.linear import keep, linear_twin
from openk2.kernels.native.shared_library import EXPERTS, EXPERTS_CALL, refuse_empty, type_of
from openk2.kernels.panels import empty_panels, layout_of, pack_into
from openk2.kernels.quantized import Weight, form_of, on_cpu, plain

Triple = tuple[Weight, Weight, Weight]


class PackedExperts:
    """E SwiGLUs: y = sum over a row's choices of weight * down(silu(gate x) * up x).

    A row's terms are float32 and added in the order of their experts' numbers. Sums and dtypes are
    those of `PackedLinear`; silu(gate x) * up x is rounded to bfloat16 where the second product is
    one of bfloat16 with bfloat16, and stays float32 otherwise.
    """

    def __init__(self, count: int, triple: Callable[[int], Triple], isa: str | None = None) -> None:
        """See `gather`."""
        if count < 1:
            raise ValueError("there are no experts: no dimension of their weights may be 0")
        first = triple(0)
        gate = first[0]
        refuse_empty("gate", gate)
        self.count, (self.inner, self.hidden) = count, gate.shape
        self._form = form_of(gate)
        self._library = native.library() if on_cpu(gate) else None
        if self._library is None:
            others = (triple(expert) for expert in range(1, count))
            self._triples = [self._checked(each) for each in (first, *others)]
            return
        layout = layout_of(gate)
        self._first = empty_panels(layout, count, self.inner, self.hidden, beside=True)
        self._second = empty_panels(layout, count, self.hidden, self.inner, beside=False)
        for expert in range(count):
            gate, up, down = self._checked(first if expert == 0 else triple(expert))
            pack_into(self._library, gate, self._first[expert], up)
            pack_into(self._library, down, self._second[expert])
        self.record = EXPERTS.pack(
            self._library.kernels(isa),
            self._first.data_ptr(),
            self._second.data_ptr(),
            count,
            self.hidden,
            self.inner,
            layout.type,
            layout.group,
        )

    def _checked(self, triple: Triple) -> Triple:
        return check_triple(triple, self.hidden, self.inner, self._form)

    @classmethod
    def pack(
        cls, gate: Tensor, up: Tensor, down: Tensor, isa: str | None = None
    ) -> "PackedExperts":
        """Pack gate and up [E, inner, hidden] and down [E, hidden, inner], all of one dtype.

        Raises ValueError for other shapes; see `PackedLinear.pack` for the rest.
        """
        if not len(gate) == len(up) == len(down):
            raise ValueError(f"there are {len(gate)} gates, {len(up)} ups and {len(down)} downs")
        return cls(len(gate), lambda expert: (gate[expert], up[expert], down[expert]), isa)

    @classmethod
    def gather(
        cls, count: int, triple: Callable[[int], Triple], isa: str | None = None
    ) -> "PackedExperts":
        """Pack expert by expert: one expert's weights are held beside the packed ones.

        triple: an expert's gate and up [inner, hidden] and down [hidden, inner], all in one form;
            it is called once for each number from 0 to count - 1, in order. Errors: see `pack`.
        """
        return cls(count, triple, isa)

    def __call__(
        self,
        x: Tensor,
        weights: Tensor,
        chosen: Tensor,
        out_dtype: torch.dtype | None = None,
        out: Tensor | None = None,
    ) -> Tensor:
        """x [M, hidden], weights float32 [M, K], chosen int64 [M, K] -> [M, hidden].

        x is float32 or bfloat16, the result in out_dtype (default: x's) or in `out`. Raises
        IndexError for a choice that is no expert's number, ValueError for other shapes.
        """
        check_choices(x, weights, chosen, self.hidden)
        if self._library is None:
            return keep(experts_twin(x, weights, chosen, self._triples, out_dtype), out)
        weights, chosen = weights.contiguous(), chosen.contiguous()
        y, refused = self._run(
            x, weights.data_ptr(), chosen.data_ptr(), chosen.shape[1], out_dtype, out
        )
        if refused:
            raise IndexError(f"a choice is not an expert's number: 0 to {self.count - 1}")
        return y

    def first_alone(
        self, x: Tensor, out_dtype: torch.dtype | None = None, out: Tensor | None = None
    ) -> Tensor:
        """Every row of x [M, hidden] through expert 0, with weight 1 -> [M, hidden]."""
        if self._library is None:
            return keep(swiglu_twin(x, *self._triples[0]).to(out_dtype or x.dtype), out)
        return self._run(x, None, None, 1, out_dtype, out)[0]

    def _run(
        self,
        x: Tensor,
        weights: int | None,
        chosen: int | None,
        choices: int,
        out_dtype: torch.dtype | None,
        out: Tensor | None,
    ) -> tuple[Tensor, int]:
        """The native call with the addresses of weights and chosen: the result, or a refusal."""
        assert self._library is not None
        if x.dim() != 2 or x.shape[1] != self.hidden:
            raise ValueError(f"x is {list(x.shape)}: these experts take [M, {self.hidden}]")
        if out is None:
            out = torch.empty(x.shape, dtype=out_dtype or x.dtype)
        elif out.shape != x.shape or out.stride(1) != 1:
            raise ValueError(f"out is {list(out.shape)}: x gives {list(x.shape)}")
        x = x if x.stride(1) == 1 else x.contiguous()
        call = EXPERTS_CALL.pack(
            x.data_ptr(),
            x.stride(0),
            type_of(x, "x"),
            weights or 0,
            chosen or 0,
            out.data_ptr(),
            out.stride(0),
            type_of(out, "out"),
            x.shape[0],
            choices,
            0,
            0,
        )
        return out, self._library.experts(self.record, call)


def check_triple(triple: Triple, hidden: int, inner: int, form: str) -> Triple:
    """The triple: gate, up [inner, hidden] and down [hidden, inner] in one `form_of`.

    Raises ValueError for other shapes, TypeError for other forms.
    """
    gate, up, down = triple
    shapes = tuple(tuple(weight.shape) for weight in triple)
    if shapes != ((inner, hidden), (inner, hidden), (hidden, inner)):
        raise ValueError(
            f"gate {list(gate.shape)}, up {list(up.shape)} and down {list(down.shape)} are not "
            "[inner, hidden], the same, and [hidden, inner], as the first expert's gate has it"
        )
    forms = [form_of(weight) for weight in triple]
    if set(forms) != {form}:
        raise TypeError(f"gate, up, down are {', '.join(forms)}, the first is {form}: one dtype")
    return triple


def check_choices(x: Tensor, weights: Tensor, chosen: Tensor, hidden: int) -> None:
    """Raise for what is not x [M, hidden], weights float32 [M, K] and chosen int64 [M, K].

    ValueError: shapes. TypeError: dtypes, or several devices.
    """
    if weights.shape != chosen.shape or weights.dim() != 2 or len(weights) != len(x):
        raise ValueError(
            f"x is {list(x.shape)}, weights {list(weights.shape)}, chosen {list(chosen.shape)}:"
            f" [M, {hidden}], [M, K] and [M, K] are wanted"
        )
    if weights.dtype != torch.float32 or chosen.dtype != torch.int64:
        raise TypeError(
            f"weights are {weights.dtype}, chosen {chosen.dtype}: float32 and int64 are wanted"
        )
    if not x.device == weights.device == chosen.device:
        raise TypeError(f"x, weights, chosen: {x.device}, {weights.device}, {chosen.device}")


def experts_twin(
    x: Tensor,
    weights: Tensor,
    chosen: Tensor,
    triples: Sequence[Triple],
    out_dtype: torch.dtype | None = None,
) -> Tensor:
    """The same by torch, expert by expert; see `PackedExperts.__call__` for shapes.

    triples: each expert's gate, up [inner, hidden] and down [hidden, inner].
    """
    total = torch.zeros(x.shape, dtype=torch.float32, device=x.device)
    for expert in chosen.unique().tolist():
        rows, choice = (chosen == expert).nonzero(as_tuple=True)
        term = swiglu_twin(x[rows], *triples[expert])
        total.index_add_(0, rows, weights[rows, choice, None] * term)
    return total.to(out_dtype or x.dtype)


def swiglu_twin(x: Tensor, gate: Weight, up: Weight, down: Weight) -> Tensor:
    """down(silu(gate x) * up x) by torch: x [M, hidden] -> float32 [M, hidden]."""
    gate, up, down = (plain(weight, torch.float32) for weight in (gate, up, down))
    gated = F.silu(linear_twin(x, gate, torch.float32)) * linear_twin(x, up, torch.float32)
    return linear_twin(gated.to(x.dtype), down, torch.float32)
