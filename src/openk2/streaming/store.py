"""`ExpertStore`: a fixed slab of experts, filled by threads that read ahead of the computation.

A read is requested (the router chose the expert) or guessed (an earlier layer's hidden state, put
through this layer's router). Requests go first. A guess changes no result: it only fills a slot.

What must not be dropped, from the weakest claim to the strongest: guesses for a layer that is still
to come; experts of the step at hand, which are computed in the order of their numbers, so that the
highest is dropped first where they do not all fit; a slot that is being filled.
"""

import heapq
import mmap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from threading import Condition, Thread
from time import perf_counter

import torch

from openk2.checkpoint import CheckpointError
from openk2.kernels import ExpertSlots
from openk2.streaming.direct_file import AbandonedError
from openk2.streaming.policy import AgedFrequency
from openk2.streaming.reader import ExpertReader

REQUESTED, GUESSED = 0, 1
Key = int  # layer * experts + expert


@dataclass(frozen=True)
class StreamingStats:
    """Counts since the store was made.

    requests: experts that steps asked for, once a layer and step. hits: of these, those in memory
    when they were asked for; guessed: of the hits, those that a guess had read. late: were being
    read by then. wrong: guessed reads that were dropped unused. read_seconds: time in which at
    least one read was under way; waited_seconds: the part in which the computation stood still.
    """

    requests: int = 0
    hits: int = 0
    guessed: int = 0
    late: int = 0
    wrong: int = 0
    reads: int = 0
    bytes_read: int = 0
    read_seconds: float = 0.0
    waited_seconds: float = 0.0
    failures: int = 0

    def counts(self) -> dict[str, float]:
        """All of them, by the names of the server's metrics."""
        return {f"expert_{name}": value for name, value in vars(self).items()}

    @property
    def hit_rate(self) -> float:
        """Share of the experts asked for that were in memory."""
        return self.hits / max(1, self.requests)


class ExpertStore:
    """Serves one engine thread; reads with `threads` of its own until `close`."""

    def __init__(
        self,
        reader: ExpertReader,
        slots: ExpertSlots,
        layers: int,
        *,
        threads: int = 4,
        policy: AgedFrequency | None = None,
        look_ahead: bool = True,
    ) -> None:
        """layers: numbers of layers are below it. look_ahead: whether guesses are read.

        Raises ValueError if the slots are fewer than threads + 1.
        """
        if slots.count <= threads:
            raise ValueError(f"{slots.count} slots for {threads} threads: one more at least")
        self.slots = slots
        self._reader, self._experts = reader, slots.experts
        self._policy = policy or AgedFrequency(layers * slots.experts)
        self._look_ahead = look_ahead
        self._change = Condition()
        self._free = list(range(slots.count))
        self._slot_of: dict[Key, int] = {}  # ready to be computed with
        self._reading: set[Key] = set()
        self._queue: list[tuple[int, int, Key]] = []
        self._wanted: dict[Key, int] = {}  # queued, with the priority that counts
        self._needed: dict[Key, int] = {}  # of the step at hand, with the number of their tokens
        self._expected: dict[int, set[Key]] = {}  # by layer
        self._unused: set[Key] = set()  # read for a guess, not asked for yet
        self._abandoned: set[Key] = set()  # being read for a guess that was wrong
        self._errors: dict[Key, CheckpointError] = {}
        self._stats = StreamingStats()
        self._order = 0  # of guesses
        self._last_layer = layers
        self._under_way, self._since = 0, 0.0
        self._closed = False
        self._threads = [
            Thread(target=self._work, name=f"openk2-experts-{number}", daemon=True)
            for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def stats(self) -> StreamingStats:
        """Counts so far."""
        with self._change:
            return self._stats

    def close(self) -> None:
        """End the threads, after the reads that are under way, and close the shards."""
        with self._change:
            self._closed = True
            self._change.notify_all()
        for thread in self._threads:
            thread.join()
        self._reader.close()

    def request(self, layer: int, counts: dict[int, int], tokens: int) -> None:
        """Begin to read what a step needs of a layer. counts: tokens that chose each expert."""
        with self._change:
            if layer <= self._last_layer:  # a step of the model begins
                self._policy.advance(tokens)
            self._last_layer = layer
            self._errors.clear()
            guesses = self._expected.pop(layer, set())
            self._needed = {self._key(layer, each): counts[each] for each in sorted(counts)}
            for key in guesses - self._needed.keys():
                self._wanted.pop(key, None)
                if key in self._reading:
                    self._abandoned.add(key)
            self._abandoned -= self._needed.keys()
            hits = guessed = late = 0
            for key, times in self._needed.items():
                self._policy.use(key, times)
                hits += key in self._slot_of
                late += key in self._reading
                guessed += key in self._slot_of and key in self._unused
                self._unused.discard(key)
                self._enqueue(key, REQUESTED)
            self._count(requests=len(counts), hits=hits, guessed=guessed, late=late)
            self._change.notify_all()

    def expect(self, layer: int, experts: Sequence[int]) -> None:
        """Read what a later step of this layer may need, the likeliest first; no more than half of
        the slots are filled for a guess."""
        if not self._look_ahead:
            return
        with self._change:
            for key in self._expected.pop(layer, set()):
                self._wanted.pop(key, None)
            keys = [self._key(layer, each) for each in experts[: self.slots.count // 2]]
            self._expected[layer] = set(keys)
            for key in keys:
                self._enqueue(key, GUESSED)
            self._change.notify_all()

    def ready(
        self, layer: int
    ) -> Iterator[tuple[dict[int, int], dict[int, CheckpointError], bool]]:
        """The requested experts in the order of their numbers, as they become ready.

        Yields the slots of some experts, which hold until the next is asked for, the errors of
        those that could not be read, and whether these were the last.
        """
        waiting = list(self._needed)
        while waiting:
            with self._change:
                self._wait_for(waiting[0])
                some: dict[int, int] = {}
                errors: dict[int, CheckpointError] = {}
                while waiting and (waiting[0] in self._slot_of or waiting[0] in self._errors):
                    key = waiting.pop(0)
                    expert = key % self._experts
                    if key in self._errors:
                        errors[expert] = self._errors.pop(key)
                        self._needed.pop(key)
                    else:
                        some[expert] = self._slot_of[key]
            yield some, errors, not waiting
            with self._change:
                for expert in some:
                    self._needed.pop(self._key(layer, expert))
                self._change.notify_all()

    def _wait_for(self, key: Key) -> None:
        """Until an expert is ready or failed; what was dropped for want of slots is read again."""
        begun = perf_counter()
        while key not in self._slot_of and key not in self._errors:
            if self._closed:
                raise RuntimeError("the expert store is closed")
            self._enqueue(key, REQUESTED)
            self._change.wait()
        self._count(waited_seconds=perf_counter() - begun)

    def _key(self, layer: int, expert: int) -> Key:
        return layer * self._experts + expert

    def _enqueue(self, key: Key, priority: int) -> None:
        here = key in self._slot_of or key in self._reading or key in self._errors
        if here or self._wanted.get(key, GUESSED + 1) <= priority:
            return
        self._wanted[key] = priority
        self._order += 1
        # Requests in the order of computation: the lowest can always have the slot of a higher one.
        heapq.heappush(self._queue, (priority, key if priority == REQUESTED else self._order, key))
        self._change.notify_all()

    def _count(self, **more: float) -> None:
        old = self._stats
        self._stats = replace(old, **{name: getattr(old, name) + by for name, by in more.items()})

    def _work(self) -> None:
        """A reading thread."""
        memory = mmap.mmap(-1, self._reader.buffer_bytes)
        buffer = torch.frombuffer(memory, dtype=torch.uint8)
        while (task := self._next_task()) is not None:
            key, slot = task
            error: CheckpointError | None = None
            abandoned = False
            layer, expert = divmod(key, self._experts)
            proceed = partial(self._proceed, key)
            try:
                triple = self._reader.read(layer, expert, buffer, proceed)
                self.slots.pack(slot, triple)
                del triple
            except AbandonedError:
                abandoned = True
            except CheckpointError as failed:
                error = failed
            except Exception as failed:  # the kernels do not know names; the request must end
                error = CheckpointError(f"{self._reader.name(layer, expert)}: {failed}")
                error.__cause__ = failed
            with self._change:
                self._finish(key, slot, abandoned, error)

    def _proceed(self, key: Key, size: int) -> bool:
        """Whether a read is still wanted; asked by its thread before each piece of size bytes."""
        with self._change:
            wanted = key not in self._abandoned
            if wanted:
                self._count(bytes_read=size)
            return wanted

    def _finish(self, key: Key, slot: int, abandoned: bool, error: CheckpointError | None) -> None:
        """A read has ended."""
        self._reading.discard(key)
        self._abandoned.discard(key)
        self._under_way -= 1
        busy = 0.0 if self._under_way else perf_counter() - self._since
        self._count(reads=1, read_seconds=busy, failures=error is not None)
        if abandoned:
            self._unused.discard(key)
            self._count(wrong=1)
            self._free.append(slot)
        elif error is None:
            self._slot_of[key] = slot
        else:
            self._free.append(slot)
            if key in self._needed:
                self._errors[key] = error
        self._change.notify_all()

    def _next_task(self) -> tuple[Key, int] | None:
        """An expert to read and the slot for it; None once the store is closed."""
        with self._change:
            while not self._closed:
                while self._queue:
                    priority, _, key = self._queue[0]
                    if self._wanted.get(key) == priority:
                        break
                    heapq.heappop(self._queue)  # cancelled, or queued anew as a request
                if self._queue and (slot := self._slot_for(key, priority)) is not None:
                    heapq.heappop(self._queue)
                    del self._wanted[key]
                    self._reading.add(key)
                    if priority == GUESSED:
                        self._unused.add(key)
                    if not self._under_way:
                        self._since = perf_counter()
                    self._under_way += 1
                    return key, slot
                self._change.wait()
        return None

    def _slot_for(self, key: Key, priority: int) -> int | None:
        """A free slot, or that of an expert that may be dropped; None if there is none now."""
        if self._free:
            return self._free.pop()
        expected = set().union(*self._expected.values()) if self._expected else set()
        idle = [each for each in self._slot_of if each not in self._needed and each not in expected]
        victim = self._policy.least(idle)
        if victim is None and priority == REQUESTED:
            victim = self._policy.least(each for each in self._slot_of if each not in self._needed)
        if victim is None and priority == REQUESTED:
            victim = max((each for each in self._slot_of if each > key), default=None)
        if victim is None:
            return None
        if victim in self._unused:
            self._unused.discard(victim)
            self._count(wrong=1)
        return self._slot_of.pop(victim)
