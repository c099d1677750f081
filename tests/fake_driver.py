"""The fake driver of tests/fake_cuda, as the tests of a process that runs on it see it."""

import ctypes
import os

OUT_OF_MEMORY = 2
ILLEGAL_ADDRESS = 700


class Fake:
    """The fake driver, as tests see it."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(os.environ["OSTINATO_LIBCUDA"])
        self._library.fake_calls.restype = ctypes.c_char_p
        self._library.fake_races.restype = ctypes.c_char_p

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

    def lose_device(self, result: int = ILLEGAL_ADDRESS) -> None:
        """Every later call fails."""
        self._library.fake_lose_device(result)

    def recover(self) -> None:
        """No call fails any more."""
        self._library.fake_recover()

    def set_busy(self, busy: bool) -> None:
        """While busy, nothing is over before somebody waits for it."""
        self._library.fake_set_busy(int(busy))
