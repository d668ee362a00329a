"""`ExpertSlots`: packed experts in a fixed slab, replaced one by one while a model runs.

The products are those of `PackedExperts`, bit for bit, whatever slots the experts lie in, and also
where a row's terms are added in several calls, in the order of their experts' numbers.
"""

import mmap
from dataclasses import dataclass

import torch
from torch import Tensor

from openk2.kernels import native
from openk2.kernels.experts import Triple, check_choices, check_triple, swiglu_twin
from openk2.kernels.native.shared_library import EXPERTS, EXPERTS_CALL, type_of
from openk2.kernels.panels import HALF, PANEL, layout_of, pack_into
from openk2.kernels.quantized import Weight, form_of

ABSENT = -1  # in a table of slots: this expert's choices are left out


@dataclass(frozen=True)
class ExpertForm:
    """What one packed expert is like. sample: a weight of the same form, of any size."""

    hidden: int
    inner: int
    sample: Weight

    @property
    def part_bytes(self) -> tuple[int, int]:
        """Bytes of gate with up, and of down, once packed."""
        layout = layout_of(self.sample)
        first = -(-self.inner // HALF) * layout.panel_bytes(self.hidden)
        return first, -(-self.hidden // PANEL) * layout.panel_bytes(self.inner)

    @property
    def bytes(self) -> int:
        """Memory of a slot."""
        return sum(self.part_bytes)


class ExpertSlots:
    """`count` slots for packed experts of one form; slots are packed and read by different threads,
    a slot by one at a time, which the caller sees to."""

    def __init__(self, form: ExpertForm, experts: int, count: int, isa: str | None = None) -> None:
        """experts: of a layer, for the table of slots that a call gets.

        Raises MemoryError if the slab cannot be mapped.
        """
        self.form, self.experts, self.count = form, experts, count
        self._library = native.library()
        self._kind = form_of(form.sample)
        self._triples: dict[int, Triple] = {}
        if self._library is None:
            return
        layout = layout_of(form.sample)
        sizes = form.part_bytes
        try:
            # Mapped, not allocated: its pages take memory when a slot is first packed.
            self._slab = mmap.mmap(-1, count * form.bytes)
        except (OSError, ValueError) as error:
            raise MemoryError(f"{count} experts of {form.bytes:,} bytes: {error}") from error
        whole = torch.frombuffer(self._slab, dtype=torch.uint8)
        first, second = whole.split([count * size for size in sizes])
        self._first = first.view(count, -1, layout.panel_bytes(form.hidden))
        self._second = second.view(count, -1, layout.panel_bytes(form.inner))
        self.record = EXPERTS.pack(
            self._library.kernels(isa),
            self._first.data_ptr(),
            self._second.data_ptr(),
            experts,
            form.hidden,
            form.inner,
            layout.type,
            layout.group,
        )

    def pack(self, slot: int, triple: Triple) -> None:
        """Pack gate, up [inner, hidden] and down [hidden, inner] into a slot.

        The weights may be dropped then. Raises as `PackedExperts.pack`; the slot is useless after.
        """
        gate, up, down = check_triple(triple, self.form.hidden, self.form.inner, self._kind)
        if self._library is None:
            self._triples[slot] = (own(gate), own(up), own(down))
            return
        pack_into(self._library, gate, self._first[slot], up)
        pack_into(self._library, down, self._second[slot])

    def fill(self) -> None:
        """Put ones in all memory, for measuring: the numbers are of no use."""
        if self._library is not None:
            self._first.fill_(1)
            self._second.fill_(1)

    def add(
        self,
        x: Tensor,
        weights: Tensor,
        chosen: Tensor,
        slots: Tensor,
        out: Tensor,
        before: Tensor | None = None,
    ) -> Tensor:
        """x [M, hidden], weights float32 [M, K], chosen int64 [M, K] -> out [M, hidden], filled.

        slots int64 [experts]: where each expert lies, or ABSENT. before float32 [M, hidden]: sums
        so far, which the terms are added to; may be out. Errors: `PackedExperts.__call__`.
        """
        check_choices(x, weights, chosen, self.form.hidden)
        if self._library is None:
            return out.copy_(self._add_plainly(x, weights, chosen, slots, before))
        x, weights, chosen = (each.contiguous() for each in (x, weights, chosen))
        call = EXPERTS_CALL.pack(
            x.data_ptr(),
            x.stride(0),
            type_of(x, "x"),
            weights.data_ptr(),
            chosen.data_ptr(),
            out.data_ptr(),
            out.stride(0),
            type_of(out, "out"),
            *chosen.shape,
            slots.data_ptr(),
            0 if before is None else before.data_ptr(),
        )
        if self._library.experts(self.record, call):
            raise IndexError(f"a choice is not an expert's number: 0 to {self.experts - 1}")
        return out

    def _add_plainly(
        self, x: Tensor, weights: Tensor, chosen: Tensor, slots: Tensor, before: Tensor | None
    ) -> Tensor:
        """`add` by torch; see there for shapes."""
        total = torch.zeros(x.shape, dtype=torch.float32) if before is None else before.clone()
        for expert in chosen.unique().tolist():
            if (slot := int(slots[expert])) == ABSENT:
                continue
            rows, choice = (chosen == expert).nonzero(as_tuple=True)
            term = swiglu_twin(x[rows], *self._triples[slot])
            total.index_add_(0, rows, weights[rows, choice, None] * term)
        return total


def own(weight: Weight) -> Weight:
    """A weight of any shape in memory of its own."""
    if isinstance(weight, Tensor):
        return weight.detach().clone()
    copies = {name: part.clone() for name, part in vars(weight).items() if isinstance(part, Tensor)}
    return type(weight)(**{**vars(weight), **copies})
