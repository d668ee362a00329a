"""`JsonBody`: a request's JSON, of which the choices of one request share all but the seed."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

# What is handed to a connection at a time: a large body is not copied into the buffers of each.
PIECE_BYTES = 64 * 1024


@dataclass(frozen=True)
class JsonBody:
    """begun: an object without its end. seed: its last member, None for none."""

    begun: bytes
    seed: int | None = None

    def with_seed(self, seed: int | None) -> "JsonBody":
        """The same with this seed; the bytes are shared."""
        return replace(self, seed=seed)

    @property
    def end(self) -> bytes:
        """What follows `begun`."""
        return b"}" if self.seed is None else b',"seed": %d}' % self.seed

    def __len__(self) -> int:
        return len(self.begun) + len(self.end)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self.begun), PIECE_BYTES):
            yield self.begun[start : start + PIECE_BYTES]
        yield self.end
