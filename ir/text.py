"""The text form of modules: with source lines, and the same bytes again when parsed and printed."""

from __future__ import annotations

import re
from collections.abc import Callable
from io import StringIO
from typing import Any

from xdsl.context import Context
from xdsl.dialects.builtin import LocationAttr, ModuleOp
from xdsl.ir import Attribute, Block, Dialect, Operation, SSAValue, TypeAttribute
from xdsl.ir.affine import (
    AffineBinaryOpExpr,
    AffineBinaryOpKind,
    AffineConstantExpr,
    AffineExpr,
    AffineMap,
)
from xdsl.parser import Parser
from xdsl.parser.affine_parser import AffineParser
from xdsl.parser.generic_parser import ParserState
from xdsl.printer import Printer
from xdsl.utils.exceptions import ParseError
from xdsl.utils.lexer import Input
from xdsl.utils.mlir_lexer import MLIRLexer, MLIRToken, MLIRTokenKind

from .errors import IRError

_LINE = r'"[^"\\\n]*":\d+:\d+'
_LOCATION = re.compile(rf"loc\((?:{_LINE}|fused\[{_LINE}(?:, {_LINE})*\])\)")
_TYPE = re.compile(r"(?:tensor|!kernel\.buffer)<[^<>\"]*>")
_MAP = re.compile(r"affine_map<[^<>\"]*->[^<>\"]*>")
_NUMBERED = re.compile(r"_\d+$")
_UNDEFINED = re.compile(r"values used but not defined: \[(%[^,\]]+)")


class _Lexer(MLIRLexer):
    """Strings are text: those with escapes too, and one that is not closed is seen in linear time.

    xDSL makes bytes of escaped text that is not ASCII, and its pattern for strings backtracks
    exponentially.
    """

    _unescaped_characters_regex = re.compile(r'"(?:[^"\\\n\v\f]|\\(?:["nt\\]|[0-9A-Fa-f]{2}))*"')

    def _lex_string_literal(self, start_pos: int) -> MLIRToken:
        token = super()._lex_string_literal(start_pos)
        if token.kind is MLIRTokenKind.BYTES_LIT:
            return MLIRToken(MLIRTokenKind.STRING_LIT, token.span)
        return token


class _Parser(Parser):
    """xDSL's parser over that lexer, which reads each text of a location, type or map once."""

    def __init__(self, text: str, name: str) -> None:
        super().__init__(context(), "", name)
        self._parser_state = ParserState(_Lexer(Input(text, name)))
        self._text = text
        self._seen: dict[str, Any] = {}
        self.starts: dict[Operation, int] = {}

    def parse_optional_location(self) -> LocationAttr | None:
        return self._once(_LOCATION, super().parse_optional_location)

    def parse_optional_type(self) -> TypeAttribute | None:
        return self._once(_TYPE, super().parse_optional_type)

    def parse_optional_attribute(self) -> Attribute | None:
        return self._once(_MAP, super().parse_optional_attribute)

    def _once(self, whole: re.Pattern[str], parse: Callable[[], Any]) -> Any:
        """What `parse` gives here; it runs once for each text that `whole` matches."""
        match = whole.match(self._text, self.pos)
        if match is None:
            return parse()
        if match[0] not in self._seen:
            self._seen[match[0]] = parse()
        else:
            self._resume_from(match.end())
        return self._seen[match[0]]

    def parse_operation(self) -> Operation:
        start = self._current_token.span.start
        op = super().parse_operation()
        self.starts[op] = start
        return op

    def parse_affine_map(self) -> AffineMap:
        return _OffsetParser(self._parser_state).parse_affine_map()


class _OffsetParser(AffineParser):
    """Parses offsets in which sizes, that are symbols, stand where xDSL takes numbers only."""

    def _create_binop_expr(self, lhs: AffineExpr, rhs: AffineExpr, binop: MLIRToken) -> AffineExpr:
        if isinstance(rhs, AffineConstantExpr) or binop.text not in _BY_SIZES:
            return super()._create_binop_expr(lhs, rhs, binop)
        return AffineBinaryOpExpr(_BY_SIZES[binop.text], lhs, rhs)


_BY_SIZES = {
    "*": AffineBinaryOpKind.Mul,
    "floordiv": AffineBinaryOpKind.FloorDiv,
    "mod": AffineBinaryOpKind.Mod,
}


def print_module(module: Operation) -> str:
    """The text of a module (or of any op), every op with its location."""
    plain_hints(module)
    stream = StringIO()
    Printer(stream, print_debuginfo=True).print_op(module)
    return f"{stream.getvalue()}\n"


def print_op(op: Operation) -> str:
    """One op on one line with its location; bodies are left out. For messages."""
    stream = StringIO()
    Printer(stream, print_debuginfo=True).print_op(op)
    lines = stream.getvalue().splitlines()
    return lines[0] if len(lines) == 1 else f"{lines[0]} ... {lines[-1].strip()}"


Where = Callable[[Operation], str]
"""What messages begin with that are of an op: `step.mlir:12: `, or nothing."""


def without_locations(text: str) -> str:
    """Printed text without the lines of the user that its ops name. For messages."""
    return re.sub(rf" {_LOCATION.pattern}", "", text)


def parse_module(text: str, name: str = "text") -> ModuleOp:
    """The module that `text` describes, not yet verified.

    IRError, with `name`, the line and what is wrong there, for text that is not a module.
    """
    return parse_placed(text, name)[0]


def parse_placed(text: str, name: str) -> tuple[ModuleOp, Where]:
    """The same, and where in the text its ops are."""
    at = 0
    try:
        parser = _Parser(text, name)
        try:
            module = parser.parse_module()
            return module, _Places(text, name, parser.starts)
        finally:
            at = parser.pos
    except ParseError as error:
        # xDSL sees only at the end that a value has no definition.
        unknown = _UNDEFINED.match(error.msg)
        start = text.find(unknown[1]) if unknown else error.span.start
        raise _refused(text, name, start, error.msg) from error
    except Exception as error:
        # xDSL verifies attributes while it parses, with exceptions of many classes.
        raise _refused(text, name, at, str(error)) from error


class _Places:
    """Where ops begin in a text; one that it does not spell out is where the op around it is."""

    def __init__(self, text: str, name: str, starts: dict[Operation, int]) -> None:
        self._text, self._name, self._starts = text, name, starts

    def __call__(self, op: Operation) -> str:
        found: Operation | None = op
        while found is not None and found not in self._starts:
            found = found.parent_op()
        return _place(self._text, self._name, 0 if found is None else self._starts[found])


def _place(text: str, name: str, position: int) -> str:
    line = text.count("\n", 0, position) + 1
    return f"{name}:{line}: "


def _refused(text: str, name: str, position: int, problem: str) -> IRError:
    return IRError(f"{_place(text, name, position)}{problem}")


def context() -> Context:
    """A context in which the dialects of every stage are known; each is loaded when met."""
    made = Context()
    for name, load in _DIALECTS.items():
        made.register_dialect(name, load)
    return made


def plain_hints(module: Operation) -> None:
    """Names that end in a number would lose it when parsed, since the printer appends its own."""

    def plain(value: SSAValue | Block) -> None:
        hint = value.name_hint
        while hint is not None and _NUMBERED.search(hint):
            hint = value.name_hint = _NUMBERED.sub("", hint) or None

    for op in module.walk():
        for result in op.results:
            plain(result)
        for region in op.regions:
            for block in region.blocks:
                plain(block)
                for argument in block.args:
                    plain(argument)


def _load_builtin() -> Dialect:
    from xdsl.dialects.builtin import Builtin

    return Builtin


def _load_func() -> Dialect:
    from xdsl.dialects.func import Func

    return Func


def _load_arith() -> Dialect:
    from xdsl.dialects.arith import Arith

    return Arith


def _load_math() -> Dialect:
    from xdsl.dialects.math import Math

    return Math


def _load_ot() -> Dialect:
    from .dialects.ot import dialect

    return dialect()


def _load_kernel() -> Dialect:
    from .dialects.kernel import Kernel

    return Kernel


def _load_program() -> Dialect:
    from .dialects.program import Program

    return Program


_DIALECTS: dict[str, Callable[[], Dialect]] = {
    "builtin": _load_builtin,
    "func": _load_func,
    "arith": _load_arith,
    "math": _load_math,
    "ot": _load_ot,
    "kernel": _load_kernel,
    "program": _load_program,
}
