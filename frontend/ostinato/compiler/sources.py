"""Where a number that user code gives to an op comes from: a literal, or a path to read again."""

from __future__ import annotations

import ast
import linecache
import sys
import textwrap
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from types import CodeType, FrameType
from typing import Any, cast

from ..runtime import _C
from .assigned import OPERATORS, Seen, is_read_once, only_value
from .bytecode import Position
from .frames import is_boundary, is_ours, unwatched, user_frame
from .live import LiveNumber, Session, current_session, live_number


def find_source(number: Any) -> Any:
    """The operand for a number given to an op in a capture: a tensor, or None for a constant.

    A capture is given up where user code gives a number that is no literal and no attribute, global
    or closure variable: a replay could not know it.
    """
    if isinstance(number, LiveNumber):
        return number.operand()
    session = current_session()
    if session is None:
        return None
    if session.following and not isinstance(number, (int, float)) and hasattr(number, "item"):
        number = number.item()  # of NumPy
    if not isinstance(number, (int, float)):
        return None
    frame = sys._getframe(1)
    return None if is_ours(frame.f_code) else _source_in(frame, number)


def literals_here() -> list[int | float]:
    """The numbers that the running expression of the caller has as literals."""
    return list(_numbers_in(_literals(sys._getframe(1))))


def given_number(number: Any) -> Any:
    """A number that user code gave to a function of this package, as what is to be computed with:
    the number itself, or in a capture the tensor that `find_source` gives for it."""
    if isinstance(number, LiveNumber):
        return number.operand()
    if current_session() is None:
        return number
    found = _source_in(user_frame()[0], number)
    return number if found is None else found


def live_given(number: Any) -> Any:
    """A number that user code gave to a function of this package which reads it for each replay: a
    LiveNumber where it can change, else the number itself."""
    if isinstance(number, LiveNumber):
        return number
    session = current_session()
    if session is None or session.following:
        return number
    live = _live_in(user_frame()[0], session, number)
    return number if live is None else live


def _source_in(frame: FrameType, number: Any) -> Any:
    session = current_session()
    if session is not None and session.following:
        is_literal = isinstance(number, bool) or _is_among(_literals(frame), number)
        return None if is_literal else session.add_input(number)
    live = _live_in(frame, session, number)
    return None if live is None else live.operand()


def _live_in(frame: FrameType, session: Session | None, number: Any) -> LiveNumber | None:
    """What is read again for `number`; None where it is a constant. Gives the capture up where it
    is neither."""
    with unwatched():
        if _is_literal(frame, number):
            return None
        found = _matches(frame, number)
        if session is None or session.reads is None:
            return None  # of a region that runs once
        if len(found) == 1:
            live, nodes = next(iter(found.values()))
            for node in nodes:
                session.reads.note_live(frame.f_code, position_of(node))
            return live
        if found or not _holds_numbers(frame) or _is_seen(frame):
            return None  # follows from literals and guarded values alone
    assert session.give_up is not None, "what is replayed is given up where it cannot be"
    session.give_up(
        f"capture: the number {number!r} at {frame.f_code.co_filename}:{frame.f_lineno} is neither "
        "a literal nor read from an argument, attribute or global, so a replay could not know it; "
        "pass it as an argument"
    )
    return None


def _matches(frame: FrameType, number: Any) -> dict[str, tuple[LiveNumber, list[ast.expr]]]:
    """The parts of the running expression that are `number` and can be read again, each with what
    is read for it. Of several it cannot be told which one was given."""
    found: dict[str, tuple[LiveNumber, list[ast.expr]]] = {}
    inside: set[int] = set()
    for node in _operands(next(_expression(frame), ast.Module([], []))):
        reads: list[ast.expr] = []
        live = None if id(node) in inside else _live_value(frame, node, reads)
        if isinstance(live, LiveNumber) and _is_same(live.value, number):
            found.setdefault(ast.dump(node), (live, []))[1].extend(reads)
            inside.update(map(id, ast.walk(node)))
    return found


def _is_same(found: Any, number: Any) -> bool:
    return found is number or (type(found) is type(number) and found == number)


def _live_value(frame: FrameType, node: ast.expr, reads: list[ast.expr]) -> Any:
    """What `node` computes from numbers that are read again, a LiveNumber or number; None where it
    is anything else. `reads` gets the nodes whose numbers need no guard then."""
    if isinstance(node, ast.Constant):
        return node.value if type(node.value) in (int, float) else None
    if isinstance(node, (ast.BinOp, ast.UnaryOp)):
        sides = [node.left, node.right] if isinstance(node, ast.BinOp) else [node.operand]
        values = [_live_value(frame, side, reads) for side in sides]
        compute = OPERATORS.get(type(node.op))
        if compute is None or any(v is None for v in values):
            return None
        try:
            return compute(*values)
        except ArithmeticError:
            return None
    for key, path in _paths_of(frame, node):
        with suppress(AttributeError, KeyError, NameError):
            if type(path()) in (int, float):
                reads.append(node)
                return live_number(key, path)
    if isinstance(node, ast.Name) and (value := only_value(frame, node.id)) is not None:
        once = is_read_once(frame.f_code, node.id)
        return _live_value(frame, value, reads if once else [])
    return None


def _is_seen(frame: FrameType) -> bool:
    """Whether the numbers of the running expression follow from the source and from guarded reads,
    and so do those that the function was called with."""

    def given() -> bool:
        back = frame.f_back
        while back is not None and is_ours(back.f_code):
            if is_boundary(back.f_code):
                return True  # of the captured function: a default
            back = back.f_back
        return back is not None and _is_seen(back)

    seen = Seen(frame, given)
    parts = [n for n in _expression(frame) if isinstance(n, (ast.Name, ast.Attribute))]
    return bool(parts) and all(seen(n) for n in parts if not _is_callee(frame, n))


def _is_callee(frame: FrameType, node: ast.AST) -> bool:
    """Whether the running expression calls what `node` names, or finds that in it."""
    callees = [n.func for n in _expression(frame) if isinstance(n, ast.Call)]
    wanted = ast.dump(node)
    return any(ast.dump(n) == wanted for callee in callees for n in ast.walk(callee))


def _operands(node: ast.AST, top: bool = True) -> Iterator[ast.expr]:
    """The parts of an expression that may be what an op in it is given."""
    if isinstance(node, ast.expr):
        yield node
    signed = isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd))
    if isinstance(node, _TAKES_OPERANDS) or signed or (top and isinstance(node, ast.Compare)):
        for child in ast.iter_child_nodes(node):
            yield from _operands(child, top and not isinstance(node, ast.expr))


_TAKES_OPERANDS = (
    ast.BinOp, ast.Call, ast.keyword, ast.AugAssign, ast.Tuple, ast.List, ast.Starred, ast.Expr,
    ast.Assign, ast.Return, ast.Module,
)  # fmt: skip


def _holds_numbers(frame: FrameType) -> bool:
    """Whether the running expression reads a plain number, or cannot be looked at."""
    nodes = list(_expression(frame))
    for node in nodes:
        if not isinstance(node, (ast.Name, ast.Attribute)):
            continue
        if any(isinstance(n, ast.Call) for n in ast.walk(node)):  # which has run already
            if _is_callee(frame, node):
                continue
            return True
        try:
            value = eval(compile(ast.Expression(node), "<source>", "eval"),
                         frame.f_globals, frame.f_locals)  # fmt: skip
        except Exception:
            return True
        if isinstance(value, (int, float)):
            return True
    return not nodes


def _is_literal(frame: FrameType, number: Any) -> bool:
    """Whether the running expression, or the code where that is unknown, has it as a literal."""
    return isinstance(number, bool) or _is_among(_literals(frame), number)


def _literals(frame: FrameType) -> Sequence[Any]:
    place = (frame.f_code, frame.f_lasti)
    found = _known_literals.get(place)
    if found is None:
        if len(_known_literals) >= _MOST_LITERALS:
            _known_literals.clear()
        nodes = list(_expression(frame))
        found = [n.value for n in nodes if isinstance(n, ast.Constant)]
        found = _known_literals[place] = found if nodes else frame.f_code.co_consts
    return found


_known_literals: dict[tuple[CodeType, int], Sequence[Any]] = {}
_MOST_LITERALS = 4096


def _is_among(constants: Sequence[Any], number: Any) -> bool:
    return any(type(c) is type(number) and abs(c) == abs(number) for c in _numbers_in(constants))


def _numbers_in(constants: Sequence[Any]) -> Iterator[int | float]:
    for constant in constants:
        if isinstance(constant, tuple):
            yield from _numbers_in(cast("tuple[Any, ...]", constant))
        elif isinstance(constant, (int, float)):
            yield constant


def _paths_of(frame: FrameType, node: ast.AST) -> Generator[tuple[Any, _C.Path]]:
    """(key, how to read it) for a name or a chain of attributes."""
    if isinstance(node, ast.Attribute):
        chain: list[str] = []
        inner: ast.expr = node
        while isinstance(inner, ast.Attribute):
            chain.append(inner.attr)
            inner = inner.value
        if isinstance(inner, ast.Name):
            root = _root(frame, inner.id)
            if root is not None:
                yield (id(root), *chain), _attribute_path(root, chain[::-1])
    elif isinstance(node, ast.Name):
        yield from _name_path(frame, node.id)


def _expression(frame: FrameType) -> Iterator[ast.AST]:
    positions = next(islice(frame.f_code.co_positions(), frame.f_lasti // 2, None), None)
    if positions is None or positions[0] is None or positions[1] is None:
        return
    lines = linecache.getlines(frame.f_code.co_filename)[positions[0] - 1 : positions[1]]
    if not lines:
        return
    if len(lines) == 1 and positions[2] is not None and positions[3] is not None:
        encoded = lines[0].encode()
        text, column = encoded[positions[2] : positions[3]].decode(), positions[2]
    else:
        dedented = textwrap.dedent("".join(lines))
        text, column = dedented.strip(), len(lines[0]) - len(dedented.splitlines(True)[0])
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return
    nodes = list(ast.walk(tree))
    for node in nodes:
        if isinstance(node, ast.expr):
            _shift(node, positions[0] - 1, column)
    yield from nodes


def _shift(node: ast.expr, lines: int, columns: int) -> None:
    """The node of a piece of text gets its place in the file."""
    node.lineno += lines
    node.col_offset += columns
    node.end_lineno = (node.end_lineno or node.lineno) + lines
    node.end_col_offset = (node.end_col_offset or 0) + columns


def position_of(node: ast.expr) -> Position:
    """The place of a node, as that of an instruction."""
    return node.lineno, node.end_lineno, node.col_offset, node.end_col_offset


def _root(frame: FrameType, name: str) -> Any:
    if name in frame.f_locals:
        return frame.f_locals[name]
    return frame.f_globals.get(name)


def _attribute_path(root: Any, chain: list[str]) -> _C.Path:
    path = _C.Path(root)
    for name in chain:
        path = path.attribute(name)
    return path


def _name_path(frame: FrameType, name: str) -> Iterator[tuple[Any, _C.Path]]:
    if name in frame.f_code.co_freevars:
        cell = _cell(frame, name)
        if cell is not None:
            yield ("cell", id(cell)), _C.Path(cell).attribute("cell_contents")
    elif name not in frame.f_locals and name in frame.f_globals:
        space = frame.f_globals
        yield ("global", id(space), name), _C.Path(space).item(name)


def _cell(frame: FrameType, name: str) -> Any:
    """The cell of a closure variable, where it can be told which one it is."""
    session = current_session()
    if session is None or session.reads is None:
        return None
    cells = session.reads.cells(frame.f_code, name, frame.f_locals.get(name))
    return cells[0] if len(cells) == 1 else None
