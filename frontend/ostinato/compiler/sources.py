"""Where a number that user code gives to an op comes from: a literal, or a path to read again."""

from __future__ import annotations

import ast
import linecache
import sys
import textwrap
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from ..ir.errors import CaptureError
from ..runtime import _C
from .bytecode import Position
from .live import LiveNumber, current_session, live_number

_PACKAGE = str(Path(__file__).parents[1])


def is_ours(code: CodeType) -> bool:
    """Whether `code` belongs to this package."""
    return code.co_filename.startswith(_PACKAGE)


def find_source(number: Any) -> Any:
    """The operand for a number given to an op in a capture: a tensor, or None for a constant.

    CaptureError where user code gives a number that is no literal and no attribute, global or
    closure variable: a replay could not know it.
    """
    if isinstance(number, LiveNumber):
        return number.operand()
    if not isinstance(number, (int, float)) or current_session() is None:
        return None
    frame = sys._getframe(1)
    return None if is_ours(frame.f_code) else _source_in(frame, number)


def given_number(number: Any) -> Any:
    """A number that user code gave to a function of this package, as what is to be computed with:
    the number itself, or in a capture the tensor that `find_source` gives for it."""
    if isinstance(number, LiveNumber):
        return number.operand()
    if current_session() is None:
        return number
    frame = sys._getframe(1)
    while is_ours(frame.f_code) and frame.f_back is not None:
        frame = frame.f_back
    found = _source_in(frame, number)
    return number if found is None else found


def _source_in(frame: FrameType, number: Any) -> Any:
    if _is_literal(number, frame.f_code):
        return None
    with _unwatched():
        for node, path, read in _paths(frame):
            if _reads(read, number):
                _note_live(frame, node)
                return live_number(path, read).operand()
        if not _holds_numbers(frame):
            return None  # computed by calls from literals and guarded values alone
    raise CaptureError(
        f"capture: the number {number!r} at {frame.f_code.co_filename}:{frame.f_lineno} is neither "
        "a literal nor read from an argument, attribute or global, so a replay could not know it; "
        "pass it as an argument"
    )


def _note_live(frame: FrameType, found: ast.AST) -> None:
    """Where the expression has the number as an operand, it needs no guard."""
    session = current_session()
    if session is None or session.reads is None:
        return
    wanted = ast.dump(found)
    for parent in _expression(frame):
        if not isinstance(parent, _TAKES_OPERANDS):
            continue
        for child in ast.iter_child_nodes(parent):
            if ast.dump(child) == wanted and isinstance(child, ast.expr):
                session.reads.note_live(frame.f_code, position_of(child))


_TAKES_OPERANDS = (
    ast.BinOp, ast.Call, ast.keyword, ast.AugAssign, ast.Tuple, ast.List, ast.Starred, ast.Expr,
    ast.Assign, ast.Return,
)  # fmt: skip


@contextmanager
def _unwatched() -> Generator[None]:
    """The profile hook of the capture looks at user code, not at this search."""
    hook = sys.getprofile()
    sys.setprofile(None)
    try:
        yield
    finally:
        sys.setprofile(hook)


def _holds_numbers(frame: FrameType) -> bool:
    """Whether the running expression reads a plain number, or cannot be looked at."""
    nodes = list(_expression(frame))
    for node in nodes:
        if not isinstance(node, (ast.Name, ast.Attribute)):
            continue
        try:
            value = eval(compile(ast.Expression(node), "<source>", "eval"),
                         frame.f_globals, frame.f_locals)  # fmt: skip
        except Exception:
            return True
        if isinstance(value, (int, float)):
            return True
    return not nodes


def _reads(read: _C.Path, number: Any) -> bool:
    try:
        found = read()
    except (AttributeError, KeyError, NameError):
        return False
    return found is number or (type(found) is type(number) and found == number)


def _is_literal(number: Any, code: CodeType) -> bool:
    def among(constants: tuple[Any, ...]) -> bool:
        return any(
            among(c)  # pyright: ignore[reportUnknownArgumentType]
            if isinstance(c, tuple)
            else type(c) is type(number) and abs(c) == abs(number)
            for c in constants
            if isinstance(c, (tuple, int, float))
        )

    return among(code.co_consts) or (isinstance(number, bool))


def _paths(frame: FrameType) -> Generator[tuple[ast.AST, Any, _C.Path]]:
    """(node, key, how to read it) for the names and attribute chains of the running expression."""
    for node in _expression(frame):
        if isinstance(node, ast.Attribute):
            chain: list[str] = []
            inner: ast.expr = node
            while isinstance(inner, ast.Attribute):
                chain.append(inner.attr)
                inner = inner.value
            if isinstance(inner, ast.Name):
                root = _root(frame, inner.id)
                if root is not None:
                    yield node, (id(root), *chain), _attribute_path(root, chain[::-1])
        elif isinstance(node, ast.Name):
            for key, path in _name_path(frame, node.id):
                yield node, key, path


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
    """The cell of a closure variable: of the running function, found among its referrers."""
    import gc
    from types import FunctionType

    for owner in gc.get_referrers(frame.f_code):
        if isinstance(owner, FunctionType) and owner.__closure__:
            cell = owner.__closure__[frame.f_code.co_freevars.index(name)]
            if cell.cell_contents is frame.f_locals.get(name):
                return cell
    return None
