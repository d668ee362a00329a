"""Processes that join as those of torchrun do, for tests of several ranks.

torch is imported once for all of them, in the process that they are forked from, and the same
processes take part in one fleet after another.
"""

import multiprocessing
import os
from collections.abc import Callable, Sequence

import torch
import torch.distributed as dist
from torch.multiprocessing import start_processes

IMPORTED_ONCE = ["openk2.train.loop", "torch.distributed.tensor"]


def run_in_fleets(sizes: Sequence[int], act: Callable[..., object], *arguments: object) -> None:
    """Call `act(number, *arguments)` in each rank of fleet `number`, which has sizes[number] ranks.

    Raises what a rank raises, after ending the others.
    """
    # As after torchrun, the store is the parent's: no port stands free between choice and use.
    stores = [dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False) for _ in sizes]
    ports = [store.port for store in stores]
    multiprocessing.set_forkserver_preload(IMPORTED_ONCE)
    given = (sizes, ports, act, arguments)
    start_processes(take_part, given, max(sizes), start_method="forkserver")


def take_part(
    rank: int,
    sizes: Sequence[int],
    ports: Sequence[int],
    act: Callable[..., object],
    arguments: Sequence[object],
) -> None:
    """One process, a rank of each fleet that is large enough."""
    torch.set_num_threads(1)
    launched = {"TORCHELASTIC_RUN_ID": "tests", "TORCHELASTIC_USE_AGENT_STORE": "True"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", **launched}
    for number, (size, port) in enumerate(zip(sizes, ports, strict=True)):
        if rank < size:
            places = {"RANK": rank, "WORLD_SIZE": size, "MASTER_PORT": port}
            os.environ |= {name: str(value) for name, value in places.items()}
            try:
                act(number, *arguments)
            except SystemExit as ended:  # of a command, which must not keep the rest from running
                if ended.code:
                    raise RuntimeError(f"rank {rank} of {size} exited with {ended.code}") from ended
            if dist.is_initialized():
                dist.destroy_process_group()
