"""The caching allocator against a plain model of it, on random work."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest

import ostinato as ot
from fake_driver import Fake

KIB, MIB = 1 << 10, 1 << 20
CAPACITY = 256 * MIB


@dataclass(eq=False)
class Block:
    """A piece of a segment: where it lies, and who may use it."""

    offset: int
    size: int
    requested: int = 0
    state: str = "free"
    freed: int = 0
    users: set[int] = field(default_factory=set[int])


@dataclass(eq=False)
class Segment:
    """What the driver gave at once."""

    stream: int
    size: int
    small: bool
    blocks: list[Block]
    idle: int = 0


class Model:
    """What the allocator should hold, by searching lists."""

    def __init__(self) -> None:
        self.segments: list[Segment] = []
        # Of each stream: blocks that wait for it, and how many of them it is known to be done with.
        self.waiting: list[list[Block]] = [[], []]
        self.passed = [0, 0]
        self.clock = 0  # of segments that became idle
        self.order = 0  # of blocks that became free
        self.peak = 0
        self.retries = self.failures = 0

    def sum(self, *states: str) -> int:
        return sum(b.size for s in self.segments for b in s.blocks if b.state in states)

    @property
    def reserved(self) -> int:
        return sum(s.size for s in self.segments)

    def allocate(self, count: int, stream: int) -> Block | None:
        needed = max(512, -(-count // 512) * 512)
        self._release_passed()
        found = self._fitting(needed, stream) or self._grown(needed, stream)
        if found is None:
            self.failures += 1
            return None
        segment, block = found
        rest = block.size - needed
        if rest and (segment.small or rest > MIB):
            block.size = needed
            made = Block(block.offset + needed, rest)
            segment.blocks.insert(segment.blocks.index(block) + 1, made)
            self._mark(made)
        block.state, block.requested = "used", count
        self.peak = max(self.peak, self.sum("used"))
        return block

    def free(self, block: Block) -> None:
        block.state = "waiting"
        for user in block.users:
            self.waiting[user].append(block)
        if not block.users:
            self._release(block)

    def settle(self) -> None:
        """Every stream is done."""
        self.passed = [len(blocks) for blocks in self.waiting]

    def _release_passed(self) -> None:
        for user, count in enumerate(self.passed):
            for _ in range(count):
                self._release(self.waiting[user].pop(0))
        self.passed = [0, 0]

    def _mark(self, block: Block) -> None:
        self.order += 1
        block.freed = self.order

    def _fitting(self, needed: int, stream: int) -> tuple[Segment, Block] | None:
        fits = [
            (b.size, -b.freed, s, b)
            for s in self.segments
            for b in s.blocks
            if s.stream == stream and s.small == (needed <= MIB)
            if b.state == "free" and b.size >= needed
        ]
        return min(fits, key=lambda f: f[:2])[2:] if fits else None

    def _grown(self, needed: int, stream: int) -> tuple[Segment, Block] | None:
        wanted = 2 * MIB if needed <= MIB else 20 * MIB
        if needed >= 10 * MIB:
            wanted = -(-needed // (2 * MIB)) * 2 * MIB
        self._drop(self.reserved + wanted - int(CAPACITY * 0.9))
        if self.reserved + wanted > CAPACITY:
            self.retries += 1
            self.settle()
            self._release_passed()
            if found := self._fitting(needed, stream):
                return found
            self._drop(CAPACITY)
            if self.reserved + wanted > CAPACITY:
                wanted = needed
            if self.reserved + wanted > CAPACITY:
                return None
        block = Block(0, wanted)
        segment = Segment(stream, wanted, needed <= MIB, [block])
        self.segments.append(segment)
        return segment, block

    def _drop(self, enough: int) -> None:
        idle = [s for s in self.segments if len(s.blocks) == 1 and s.blocks[0].state == "free"]
        for s in sorted(idle, key=lambda s: s.idle):
            if enough <= 0:
                return
            enough -= s.size
            self.segments.remove(s)
            self.settle()  # the driver waits for the device

    def _release(self, block: Block) -> None:
        segment = next(s for s in self.segments if block in s.blocks)
        block.state, block.requested = "free", 0
        block.users.clear()
        at = segment.blocks.index(block)
        near = [b for b in segment.blocks[max(at - 1, 0) : at + 2] if b.state == "free"]
        near[0].size = sum(b.size for b in near)
        for b in near[1:]:
            segment.blocks.remove(b)
        self._mark(near[0])
        if len(segment.blocks) == 1:
            self.clock += 1
            segment.idle = self.clock


def shown(model: Model) -> list[tuple[int, bool, list[tuple[int, int, str]]]]:
    """The segments of the model, as a snapshot shows them, in any order."""
    return sorted(
        (s.size, s.small, [(b.size, b.requested, b.state) for b in s.blocks])
        for s in model.segments
    )


def seen() -> list[tuple[int, bool, list[tuple[int, int, str]]]]:
    return sorted(
        (
            s["total_size"],
            s["segment_type"] == "small",
            [(b["size"], b["requested_size"], b["state"]) for b in s["blocks"]],
        )
        for s in ot.cuda.memory_snapshot()
    )


def some_size(rng: random.Random) -> int:
    limit = rng.choice([600, 16 * KIB, MIB, 3 * MIB, 9 * MIB, 40 * MIB])
    return rng.randrange(limit)


@pytest.mark.parametrize("seed", range(12))
def test_random_work(seed: int, fake: Fake) -> None:
    rng, model = random.Random(seed), Model()
    before = ot.cuda.memory_stats()
    streams = [ot.cuda.current_stream(), ot.cuda.Stream()]
    for at in range(2):  # so that events of the first stream are asked for first
        with ot.cuda.stream(streams[1 - at]):
            ot.empty(1, device="cuda").record_stream(streams[at])
    ot.cuda.empty_cache()
    held: list[tuple[ot.Tensor, Block, int]] = []
    fake.set_busy(True)
    for step in range(400):
        action = rng.choices(["make", "free", "use", "wait"], [5, 5 if held else 0, 2, 1])[0]
        if action == "make":
            at, count = rng.randrange(2), some_size(rng)
            block = model.allocate(count, at)
            with ot.cuda.stream(streams[at]):
                if block is None:
                    with pytest.raises(ot.OutOfMemoryError):
                        ot.empty(count, dtype=ot.uint8, device="cuda")
                else:
                    held.append((ot.empty(count, dtype=ot.uint8, device="cuda"), block, at))
        elif action == "free":
            tensor, block, _ = held.pop(rng.randrange(len(held)))
            del tensor
            model.free(block)
        elif action == "use" and held:
            tensor, block, at = rng.choice(held)
            tensor.record_stream(streams[1 - at])
            block.users.add(1 - at)
        elif action == "wait":
            ot.cuda.synchronize()
            model.settle()
            block = model.allocate(1, 0)
            if block is not None:
                held.append((ot.empty(1, dtype=ot.uint8, device="cuda"), block, 0))
        assert seen() == shown(model), f"step {step}: {action}"
    now = ot.cuda.memory_stats()
    assert now["allocated_bytes.all.current"] == model.sum("used")
    assert now["active_bytes.all.current"] == model.sum("used", "waiting")
    assert now["allocated_bytes.all.peak"] == model.peak
    assert now["reserved_bytes.all.current"] == model.reserved
    for key, count in (("num_alloc_retries", model.retries), ("num_ooms", model.failures)):
        assert now[key] - before[key] == count
