"""What a bisection finds."""

from __future__ import annotations

from dataclasses import dataclass

from ...passes.trail import Application
from .cut import Small
from .judge import Apart

NO_OP = "no op of its own"
"""Stands for the op where what is wrong is not of one."""


@dataclass(frozen=True)
class Finding:
    """What is to blame: the place, a pass or `codegen` or `op table`, what is done there, the op
    that it is done to and the user's lines. `apart` says what is wrong then, `small` is a module
    that shows it. Where it is an application of a rewrite, `number` is that among all, and of a
    fusion `choice` is the application but for which it would have other members and be right."""

    place: str
    rewrite: str
    op: str
    lines: tuple[str, ...]
    apart: Apart
    small: Small | None = None
    number: int | None = None
    choice: Application | None = None

    def __str__(self) -> str:
        number = "" if self.number is None else f", application {self.number}"
        told = (
            f"pass     {self.place}{number}\nrewrite  {self.rewrite}\nop       {self.op}\n"
            f"line     {', '.join(self.lines) or 'unknown'}\nthen     {self.apart.told}"
        )
        if self.choice is None:
            return told
        lines = ", ".join(self.choice.lines)
        return f"{told}\nchoice   right where {self.choice.op} is not merged, {lines}"
