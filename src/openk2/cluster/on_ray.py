"""Workers on a Ray cluster, which the user starts (`ray start`).

Needs `openk2[cluster]`, on every node the same version of openk2, and paths that mean the same on
every node (a shared file system).
"""

import contextlib
import logging
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from openk2.cluster.workers import R, T, WorkerError

TRIES = 3


def apply(function: Callable[[T], R], item: T) -> R:
    """What a Ray worker runs: Ray itself takes no builtin and no partial."""
    return function(item)


@dataclass(frozen=True)
class RayCluster:
    """The cluster at `address` (`auto`, or `host:port`); one item takes `cores` of a node's cores.

    Ray runs a lost node's items again elsewhere, each at most 3 times more.
    """

    address: str = "auto"
    cores: float = 1.0

    def map(self, function: Callable[[T], R], items: Sequence[T]) -> Iterator[tuple[int, R]]:
        """Results as they finish; twice as many items as the cluster has cores are in flight."""
        ray = self._join()
        from ray.exceptions import RayError, RayTaskError

        task = ray.remote(apply).options(
            num_cpus=self.cores, max_retries=TRIES, scheduling_strategy="SPREAD"
        )
        waiting = iter(range(len(items)))
        flying: dict[Any, int] = {}
        try:
            while True:
                for index in waiting:
                    flying[task.remote(function, items[index])] = index
                    if len(flying) >= self._room(ray):
                        break
                if not flying:
                    return
                done, _ = ray.wait(list(flying), num_returns=1)
                for reference in done:
                    yield flying.pop(reference), ray.get(reference)
        except RayTaskError as error:
            # What the function itself raised, not Ray's wrapping with two stacks in it.
            raise error.cause from error
        except RayError as error:
            raise WorkerError(f"Ray gave an item up: {str(error).splitlines()[0]}") from error
        finally:
            for reference in flying:
                with contextlib.suppress(RayError):
                    ray.cancel(reference, force=True)

    def _join(self) -> Any:
        try:
            import ray
        except ImportError as error:
            raise WorkerError("Ray is not installed: pip install 'openk2[cluster]'") from error
        if ray.is_initialized():
            joined = ray.get_runtime_context().gcs_address
            if self.address not in ("auto", joined):
                raise WorkerError(
                    f"this process is in the Ray cluster at {joined}: leave it (ray.shutdown) to "
                    f"join {self.address}"
                )
            return ray
        try:
            self._knock()
            ray.init(address=self.address, log_to_driver=False, logging_level=logging.WARNING)
        except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            raise WorkerError(
                f"no Ray cluster at {self.address}: {error}; start one with `ray start --head`"
            ) from error
        return ray

    def _knock(self) -> None:
        """Raise OSError if nothing listens at the address: Ray itself would try for minutes."""
        host, colon, port = self.address.rpartition(":")
        if colon and port.isdigit() and "/" not in host:
            socket.create_connection((host, int(port)), timeout=10).close()

    def _room(self, ray: Any) -> int:
        """How many items may be in flight: asked anew, as nodes come and go."""
        return max(1, int(2 * ray.cluster_resources().get("CPU", 1) / self.cores))
