"""The processes of a run, this one's coordinates in the layout, and messages between them.

Parallelism of report 2.4. torchrun starts them, PyTorch Distributed joins them. On a
CPU, two processes of one thread train faster than one of two threads: most of a small model's
operations do not use two threads well.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch import Tensor

from openk2.parallel.layout import Layout

if TYPE_CHECKING:
    from torch.distributed.device_mesh import DeviceMesh


class FleetError(RuntimeError):
    """Another process of the run has ended or does not answer; the message says what to do."""


@dataclass(frozen=True)
class Fleet:
    """This process, number `rank` from 0 of `count`, in a layout.

    Raises ValueError if the layout does not fit the number of processes.

    mesh: [pipeline, expert, copy], None for a process alone. The ranks of one `pipeline` place are
    its data ranks; of those, the ones with one `expert` place hold the same experts.
    """

    layout: Layout = field(default_factory=Layout)
    rank: int = 0
    count: int = 1
    mesh: "DeviceMesh | None" = None
    data_mesh: "DeviceMesh | None" = None

    def __post_init__(self) -> None:
        self.layout.data(self.count)

    @classmethod
    def join(cls, device: str, layout: Layout = Layout()) -> "Fleet":
        """Join the other processes that torchrun started; return when all have joined.

        Processes that have joined before get a new mesh. Raises ValueError if the layout does not
        fit their number.
        """
        from torch.distributed.device_mesh import DeviceMesh

        kind = torch.device(device).type
        count = int(os.environ["WORLD_SIZE"])
        data = layout.data(count)
        if kind == "cuda":
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        patience = timedelta(seconds=layout.patience)
        if not dist.is_initialized():
            dist.init_process_group("nccl" if kind == "cuda" else "gloo", timeout=patience)
        # Ranks that differ in their expert place alone are neighbours: [pipeline, copy, expert].
        places = torch.arange(count).view(layout.pipeline, data // layout.expert, layout.expert)
        places = places.transpose(1, 2)
        groups = [group_along(places, dimension, patience) for dimension in range(3)]
        names = ("pipeline", "expert", "copy")
        mesh = DeviceMesh.from_group(groups, kind, places, mesh_dim_names=names)
        stage = group_along(torch.arange(count).view(-1, data), 1, patience)
        return cls(layout, dist.get_rank(), count, mesh, DeviceMesh.from_group(stage, kind))

    @property
    def leads(self) -> bool:
        """Whether this process prints and completes what all processes wrote."""
        return self.rank == 0

    @property
    def data(self) -> int:
        """How many data ranks there are."""
        return self.layout.data(self.count)

    @property
    def data_rank(self) -> int:
        """This one's place among the data ranks."""
        return self.rank % self.data

    @property
    def pipeline_rank(self) -> int:
        """This one's place in the pipeline."""
        return self.rank // self.data

    @property
    def expert_rank(self) -> int:
        """Which share of the experts this one holds."""
        return self.rank % self.layout.expert

    def group(self, name: str) -> dist.ProcessGroup:
        """The ranks that differ from this one in one place: "pipeline", "data", "expert", "copy".

        Only in a fleet that was joined.
        """
        assert self.mesh is not None
        assert self.data_mesh is not None
        return self.data_mesh.get_group() if name == "data" else self.mesh.get_group(name)

    @property
    def everyone(self) -> dist.ProcessGroup | None:
        """All processes; None for one alone."""
        return dist.group.WORLD if self.mesh is not None else None

    def share(self, rows: Sequence[int]) -> Sequence[int]:
        """The rows of a step, by number, that this process computes."""
        return rows[self.data_rank :: self.data]

    def wait(self) -> None:
        """Barrier: return when every process has called it."""
        if self.count > 1:
            dist.barrier()

    def add(self, tensor: Tensor) -> None:
        """Replace `tensor` by its sum over the processes, everywhere the same to the last bit.

        tensor: of any shape, the same in every process.
        """
        if self.count > 1:
            dist.all_reduce(tensor, dist.ReduceOp.SUM)

    def add_over_data(self, tensor: Tensor) -> None:
        """Replace `tensor` by its sum over the data ranks of this one's place in the pipeline.

        tensor: of any shape, the same in each of them.
        """
        if self.data > 1:
            dist.all_reduce(tensor, dist.ReduceOp.SUM, group=self.group("data"))

    def maximum(self, tensor: Tensor) -> None:
        """Replace `tensor`, of any shape, by its largest values over the processes.

        A NaN becomes infinity, since a maximum with it is whatever the order of ranks makes it.
        """
        if self.count > 1:
            tensor.nan_to_num_(nan=torch.inf, posinf=torch.inf, neginf=-torch.inf)
            dist.all_reduce(tensor, dist.ReduceOp.MAX)

    @contextmanager
    def together(self) -> Iterator[None]:
        """Raise FleetError where a message to or from another process fails inside."""
        try:
            yield
        except RuntimeError as error:
            # Gloo raises nothing of its own class, but the path of its source.
            if not isinstance(error, dist.DistError) and "gloo" not in str(error):
                raise
            raise FleetError(
                f"rank {self.rank} lost another process ({str(error).splitlines()[0]}): see what "
                "that one said; the same command resumes from the last state"
            ) from error

    def gather(self, item: Any) -> list[Any]:
        """Every process's `item`, by rank. For words and numbers, not for tensors."""
        if self.count == 1:
            return [item]
        items: list[Any] = [None] * self.count
        dist.all_gather_object(items, item)
        return items


def group_along(places: Tensor, dimension: int, patience: timedelta) -> dist.ProcessGroup:
    """This rank's group of ranks that differ in one dimension of `places`.

    places: the numbers of all ranks, an integer tensor with a dimension for each kind of
    parallelism, as [pipeline, expert, data]. DeviceMesh makes such groups too, but they wait for
    half an hour.
    """
    rows = places.movedim(dimension, -1).reshape(-1, places.shape[dimension]).tolist()
    mine, _ = dist.new_subgroups_by_enumeration(rows, timeout=patience)
    assert isinstance(mine, dist.ProcessGroup)
    return mine


ALONE = Fleet()
