"""Headless Chromium, driven through the pipe of its own protocol: no driver is installed for it."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
from collections.abc import Generator
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import Any

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--remote-debugging-pipe", "--window-size=1440,900", "--host-resolver-rules=MAP * ~NOTFOUND",
)  # fmt: skip
KEYS = {"?": 191, "/": 191, "Enter": 13, "Escape": 27, "ArrowRight": 39, "ArrowLeft": 37,
        "ArrowUp": 38, "ArrowDown": 40, "Tab": 9, "Backspace": 8}  # fmt: skip


def find_browser() -> str | None:
    """A Chromium on the path, if there is any."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class Page:
    """A tab of a running browser. `trouble` has what the console called an error, exceptions that
    nothing caught, and requests for anything but the page itself."""

    def __init__(self, commands: int, answers: int) -> None:
        self._commands, self._answers = commands, answers
        self._left, self._number, self._session = b"", 0, ""
        self.trouble: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> Any:
        """Sends a command and returns its answer; what happens meanwhile is noted."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer["error"]
                return answer["result"]
            self._note(answer)

    def open(self, address: str) -> None:
        """Goes to an address, and waits until all of it is loaded."""
        self.call("Page.navigate", url=address)
        self.wait_for("Page.loadEventFired")

    def wait_for(self, event: str) -> None:
        while True:
            message = self._next()
            self._note(message)
            if message.get("method") == event:
                return

    def js(self, expression: str) -> Any:
        """The value of a JavaScript expression."""
        done = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    def press(self, key: str, shift: bool = False) -> None:
        """Presses a key as a person would."""
        code = KEYS.get(key, ord(key[0].upper()))
        text = "\r" if key == "Enter" else key if len(key) == 1 else ""
        at = {"key": key, "windowsVirtualKeyCode": code, "modifiers": 8 if shift else 0}
        self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **at)
        self.call("Input.dispatchKeyEvent", type="keyUp", **at)

    def click(self, selector: str, count: int = 1) -> None:
        """Clicks the middle of an element, which has to be in sight and on top."""
        quoted = json.dumps(selector)
        x, y, hit = self.js(
            f"(() => {{ const e = document.querySelector({quoted}); "
            "e.scrollIntoView({block: 'nearest'}); const r = e.getBoundingClientRect(); "
            "const x = r.x + Math.min(r.width, innerWidth - r.x) / 2, y = r.y + r.height / 2; "
            "const hit = document.elementFromPoint(x, y); "
            "return [x, y, e.contains(hit) || hit?.contains(e)]; })()"
        )
        assert hit, f"{selector} is covered at {x}, {y}"
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left",
                      clickCount=count)  # fmt: skip

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._left:
            read = os.read(self._answers, 1 << 20)
            assert read, "the browser has ended"
            self._left += read
        message, _, self._left = self._left.partition(b"\0")
        return json.loads(message)

    def _note(self, message: dict[str, Any]) -> None:
        method, params = message.get("method"), message.get("params", {})
        if method == "Runtime.exceptionThrown":
            self.trouble.append(json.dumps(params["exceptionDetails"]))
        if method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning"):
            self.trouble.append(json.dumps(params["args"]))
        if method == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.trouble.append(params["entry"]["text"])
        if method == "Network.requestWillBeSent":
            address: str = params["request"]["url"]
            if not address.startswith(("file:", "data:", "about:")):
                self.trouble.append(f"asked for {address}")


@contextmanager
def browser(program: str) -> Generator[Page]:
    """A page of a fresh browser."""
    (theirs_in, ours_out), (ours_in, theirs_out) = os.pipe(), os.pipe()
    with TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = _start([program, *FLAGS, f"--user-data-dir={profile}"], theirs_in, theirs_out)
        os.close(theirs_in)
        os.close(theirs_out)
        try:
            yield Page(ours_out, ours_in)
        finally:
            # All of its processes: the children of one that is killed go on writing.
            os.killpg(process, signal.SIGKILL)
            os.waitpid(process, 0)
            os.close(ours_out)
            os.close(ours_in)


def _start(command: list[str], commands: int, answers: int) -> int:
    """A browser in a session of its own, which reads commands from 3 and writes answers to 4."""
    # Neither may be 3 or 4 already, which the other would overwrite.
    above = [fcntl.fcntl(each, fcntl.F_DUPFD_CLOEXEC, 10) for each in (commands, answers)]
    quiet = [(os.POSIX_SPAWN_OPEN, n, os.devnull, os.O_WRONLY, 0) for n in (1, 2)]
    placed = [(os.POSIX_SPAWN_DUP2, each, n) for each, n in zip(above, (3, 4), strict=True)]
    try:
        return os.posix_spawn(
            command[0], command, os.environ, file_actions=[*quiet, *placed], setsid=True
        )
    finally:
        for each in above:
            os.close(each)
