"""The fake driver of tests/fake_cuda, as the tests of a process that runs on it see it."""

import ctypes
import os
import time
from dataclasses import dataclass, field

OUT_OF_MEMORY = 2
ILLEGAL_ADDRESS = 700


@dataclass
class Node:
    """Of a graph: a kernel, or a child with the kernels, copies and sets of a library call. Of a
    kernel programs, threads of one, and shared memory."""

    number: int
    name: str
    before: list[int]
    pointers: list[int]
    children: list[str] = field(default_factory=list[str])
    launch: tuple[int, int, int] | None = None


class Fake:
    """The fake driver, as tests see it."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(os.environ["OSTINATO_LIBCUDA"])
        self._library.fake_calls.restype = ctypes.c_char_p
        self._library.fake_races.restype = ctypes.c_char_p
        self._library.fake_graph.restype = ctypes.c_char_p
        self._library.fake_live.restype = ctypes.c_char_p

    def calls(self, *names: str) -> list[str]:
        """The calls since the last time, without the prefix `cu`; of all, or of `names`."""
        lines = self._library.fake_calls().decode().splitlines()
        found = [line.removeprefix("cu") for line in lines]
        return [c for c in found if not names or c.split()[0] in names]

    def work(self) -> list[str]:
        """The calls that queue work or wait for it."""
        return [c for c in self.calls() if c.split()[0] not in ("CtxSetCurrent", "EventDestroy")]

    def races(self) -> list[str]:
        """Accesses to the same bytes that nothing orders, since the last time."""
        return self._library.fake_races().decode().splitlines()

    def fail(self, function: str, nth: int = 1, result: int = OUT_OF_MEMORY, every: bool = False):
        """The `nth` next call of `function` fails, and with `every` all later ones too."""
        self._library.fake_fail(f"cu{function}".encode(), nth, result, int(every))

    def hold(self, function: str) -> None:
        """The next call of `function` stops, with all locks that it is made under."""
        self._library.fake_hold(f"cu{function}".encode())

    def wait_for_held(self) -> None:
        """Until that call has come."""
        while not self._library.fake_is_holding():
            time.sleep(0.001)

    def let_go(self) -> None:
        """That call goes on."""
        self._library.fake_let_go()

    def lose_device(self, result: int = ILLEGAL_ADDRESS) -> None:
        """Every later call fails."""
        self._library.fake_lose_device(result)

    def recover(self) -> None:
        """No call fails any more."""
        self._library.fake_recover()

    def set_busy(self, busy: bool) -> None:
        """While busy, nothing is over before somebody waits for it."""
        self._library.fake_set_busy(int(busy))

    def live(self) -> dict[str, int]:
        """How many graphs, modules, events and so on there are."""
        lines = self._library.fake_live().decode().splitlines()
        return {kind: int(count) for kind, count in (line.split() for line in lines)}

    def lose_edge(self, nth: int) -> None:
        """Of the edges that come with nodes of graphs from now on, the `nth` is lost."""
        self._library.fake_lose_edge(nth)

    def graph(self) -> list[Node]:
        """The graph that was instantiated last and is still there, as it would run now."""
        nodes: list[Node] = []
        for line in self._library.fake_graph().decode().splitlines():
            head, _, what = line.partition(": ")
            number, _, before = head.partition(" after")
            if line.startswith(" "):
                nodes[-1].children.append(what)
                continue
            name, _, rest = what.partition(" grid ")
            words = rest.split()  # of `1 1 1 block 32 1 1 shared 0 ...`
            made = Node(
                int(number), name, [int(n) for n in before.split()], [int(p) for p in words[9:]]
            )
            if words:
                made.launch = int(words[0]), int(words[4]), int(words[8])
            nodes.append(made)
        return nodes
