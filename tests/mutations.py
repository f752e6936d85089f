"""Small wrong changes to a Python module: a piece of its text and what stands there instead."""

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass

COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
"""Each comparison's own boundary first, then its opposite."""

ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
}
PAIRS = (
    ("min", "max"), ("minimum", "maximum"), ("amin", "amax"), ("argmin", "argmax"),
    ("any", "all"), ("floor", "ceil"), ("first", "last"), ("left", "right"),
)  # fmt: skip
SWAPPED = dict(PAIRS) | {other: one for one, other in PAIRS}
"""Functions and what they are exchanged for."""

DROPPED = {"clamp", "clamp_", "clip", "abs", "round", "nan_to_num", "sorted", "clone", "flip"}
"""Calls that are left out; what they were called with stays as it is."""

UNMOVED = {"isinstance", "getattr", "hasattr", "zip", "cast", "field"}
"""Calls whose two first arguments are not exchanged: that fails at once."""

SYMMETRIC = {"min", "max", "minimum", "maximum", "hypot", "gcd", "isclose"}
"""Calls whose arguments may stand in any order."""


@dataclass(frozen=True, slots=True)
class Mutation:
    """One wrong change.

    Attributes:
        line: Where it begins, counted from 1.
        kind: What sort of mistake it is.
        start: First byte of the text that is replaced.
        end: The byte after its last.
        old: That text.
        new: What stands there instead.
    """

    line: int
    kind: str
    start: int
    end: int
    old: str
    new: str

    def applied(self, source: str) -> str:
        """The module with the change in it."""
        content = source.encode()
        return (content[: self.start] + self.new.encode() + content[self.end :]).decode()


def mutations(source: str) -> list[Mutation]:
    """Every mutation of a module, in the order of its text.

    Annotations, docstrings, texts, decorators and what is raised are left alone.
    """
    lines = [0]
    for line in source.encode().splitlines(keepends=True):
        lines.append(lines[-1] + len(line))
    found = []
    for node, returns in _nodes(ast.parse(source), None):
        for kind, new in _changed(node, returns):
            start = lines[node.lineno - 1] + node.col_offset
            end = lines[node.end_lineno - 1] + node.end_col_offset
            old = source.encode()[start:end].decode()
            text = ast.unparse(new) if isinstance(new, ast.Return) else f"({ast.unparse(new)})"
            found.append(Mutation(node.lineno, kind, start, end, old, text))
    return sorted(found, key=lambda one: (one.start, one.end, one.kind, one.new))


def _nodes(node: ast.AST, returns: ast.expr | None) -> Iterator[tuple[ast.AST, ast.expr | None]]:
    """What may be mutated below a node, each with what its function says that it returns."""
    if isinstance(node, ast.Raise):
        return
    if isinstance(node, ast.FunctionDef):
        returns = node.returns
    yield node, returns
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "bases"):
            continue
        # how a text is put together is a matter of words
        if isinstance(node, ast.JoinedStr):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from _nodes(child, returns)


def _changed(node: ast.AST, returns: ast.expr | None) -> Iterator[tuple[str, ast.AST]]:
    match node:
        case ast.Compare():
            yield from _compared(node)
        case ast.BinOp(op=op) if type(op) in ARITHMETIC and not _is_text(node):
            yield "arithmetic", _with(node, op=ARITHMETIC[type(op)]())
        case ast.BoolOp(op=op):
            yield "and/or", _with(node, op=ast.Or() if isinstance(op, ast.And) else ast.And())
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            yield "sign" if isinstance(node.op, ast.USub) else "not", operand
        case ast.Constant(value=bool(value)):
            yield "constant", ast.Constant(not value)
        case ast.Constant(value=int() | float()):
            for value in dict.fromkeys((node.value + 1, node.value - 1, node.value * 2)):
                if value != node.value:
                    yield "constant", ast.Constant(value)
        case ast.Call():
            yield from _called(node)
        case ast.IfExp(test=test):
            yield "condition", _with(node, test=ast.UnaryOp(ast.Not(), test))
        case ast.Return(value=ast.expr()) if not _is_none(node.value):
            yield "return", ast.Return(ast.Constant(None))
            if isinstance(returns, ast.Name) and returns.id == "float":
                yield "return", ast.Return(ast.parse('float("nan")', mode="eval").body)


def _compared(node: ast.Compare) -> Iterator[tuple[str, ast.AST]]:
    for place, op in enumerate(node.ops):
        for other in COMPARISONS[type(op)]:
            ops = [*node.ops[:place], other(), *node.ops[place + 1 :]]
            yield "comparison", _with(node, ops=ops)


def _called(node: ast.Call) -> Iterator[tuple[str, ast.AST]]:
    name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
    name = node.func.id if isinstance(node.func, ast.Name) else name
    if name in SWAPPED:
        changed = copy.deepcopy(node.func)
        setattr(changed, "attr" if isinstance(changed, ast.Attribute) else "id", SWAPPED[name])
        yield "min/max", _with(node, func=changed)
    if name in DROPPED:
        own = isinstance(node.func, ast.Attribute) and not (
            isinstance(node.func.value, ast.Name) and node.func.value.id in ("np", "torch")
        )
        if own:
            yield "dropped", node.func.value
        elif node.args:
            yield "dropped", node.args[0]
    plain = not any(isinstance(argument, ast.Starred) for argument in node.args[:2])
    if len(node.args) >= 2 and plain and name not in UNMOVED | SYMMETRIC:
        first, second, *rest = node.args
        if ast.dump(first) != ast.dump(second):
            yield "arguments", _with(node, args=[second, first, *rest])


def _with(node: ast.AST, **changes: object) -> ast.AST:
    changed = copy.copy(node)
    for name, value in changes.items():
        setattr(changed, name, value)
    return changed


def _is_text(node: ast.BinOp) -> bool:
    texts = (ast.JoinedStr, ast.Constant)
    return any(
        isinstance(side, texts) and isinstance(getattr(side, "value", ""), str)
        for side in (node.left, node.right)
    )


def _is_none(node: ast.AST | None) -> bool:
    return isinstance(node, ast.Constant) and node.value is None
