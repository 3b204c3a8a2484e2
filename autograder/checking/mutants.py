"""Wrong variants of a right function, one small change each, made from its syntax tree.

The tests use them to try the exercises' cases: every variant that is not equivalent must be refused. The
diagnosis uses them the other way round: a variant that answers as the learner's function does tells the mistake.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import itertools
import sys
import textwrap
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import backprop

OPERATORS = {
    "reduction-swapped": "sum ↔ mean ↔ max, max ↔ min, argmax ↔ argmin, maximum ↔ minimum, any ↔ all",
    "axis-swapped": "axis 0 ↔ 1, −1 ↔ 0; the axis left out",
    "reduction-left-out": "a sum, mean or maximum is not taken",
    "factor-left-out": "a * b becomes a or b; a / b becomes a; a ** b becomes a",
    "term-left-out": "a + b becomes a or b; a - b becomes a",
    "sign-flipped": "a + b ↔ a - b; a minus is lost",
    "times-for-over": "a * b ↔ a / b; a @ b becomes b @ a",
    "transpose-left-out": "a.T becomes a; two axes are not swapped",
    "comparison-turned": "> ↔ <, >= ↔ <=, == ↔ !=, > ↔ >=, < ↔ <=",
    "accumulation-lost": "+= becomes =, += ↔ -=",
    "statement-left-out": "a statement is skipped",
    "call-left-out": "f(a) becomes a, a.f() becomes a",
    "index-changed": "a[i, j] becomes a[i], a[j] or a[:, j]",
    "other-function": "exp ↔ log, sqrt ↔ square, sin ↔ cos, log becomes log2 or log10, outer becomes inner, relu "
    "becomes tanh, softmax becomes sigmoid, zeros ↔ ones",
    "order-swapped": "the mean of squares becomes the square of the mean, and so on for reductions and functions",
    "constant-changed": "0 ↔ 1, 1 → 2, 2 → 1 or 3, ½ → 1, another number n → 2n",
    "condition-changed": "if, while: the condition is negated; and ↔ or; a conditional expression takes one branch",
    "name-swapped": "one name stands where another one belongs",
    "outputs-swapped": "two results change places",
    "range-shortened": "a loop or a slice misses its first or its last element",
    "argument-left-out": "an optional argument is left out",
}
# Kept for diagnosis: on many functions these change nothing, and every such one would have to be listed by hand.
GUESSES = {
    "squared": "a becomes a ** 2",
    "negated": "a becomes -a",
    "made-absolute": "a becomes abs(a)",
    "complement": "a becomes 1 - a",
    "transposed": "a becomes a.T",
    "root-taken": "a becomes sqrt(a)",
    "centred": "a becomes a minus its mean",
    "one-less": "a size n becomes n - 1",
    "applied-twice": "f(a) becomes f(f(a))",
    "softmax-applied": "a becomes softmax(a)",
    "sigmoid-applied": "a becomes sigmoid(a)",
    "tanh-applied": "a becomes tanh(a)",
    "relu-applied": "a becomes relu(a)",
    "exp-applied": "a becomes exp(a)",
    "log-applied": "a becomes log(a)",
    "normalised": "a becomes a over its norm",
    "other-axis": "f(a) becomes f(a.T).T",
    "leaky": "maximum(a, 0) becomes maximum(a, a / 100), or / 10 or / 5",
    "doubled": "a becomes 2 a",
    "halved": "a becomes a / 2",
}
MOST_ROUNDS = 20_000
LONGEST_FRAGMENT = 9


@dataclass(frozen=True)
class Mutant:
    """A variant of a function.

    Attributes
    ----------
    function : the variant; it raises RuntimeError rather than loop for ever.
    operator : slug of the change, a key of OPERATORS or GUESSES.
    words : what was changed and where, in words that read well after "Consistent with".
    line : the changed statement, as source.
    """

    function: Callable
    operator: str
    words: str
    line: str


@dataclass(frozen=True)
class _Site:
    """A place in the tree: ``getattr(parent, field)``, or its entry ``index`` of a list, and the statement it is in."""

    parent: ast.AST
    field: str
    index: int | None
    statement: ast.stmt

    @property
    def node(self) -> ast.AST:
        value = getattr(self.parent, self.field)
        return value if self.index is None else value[self.index]

    def put(self, node: ast.AST) -> None:
        if self.index is None:
            setattr(self.parent, self.field, node)
        else:
            getattr(self.parent, self.field)[self.index] = node


Change = tuple[str, ast.AST, str]  # operator, what takes the node's place, words


def mutants(function: Callable, outputs: tuple[str, ...] = (), guesses: bool = False) -> Iterator[Mutant]:
    """Variants of a Python function, and of the functions of this project that it calls.

    Parameters
    ----------
    function : its source must be at hand; for others there are no variants.
    outputs : names of its results, for the words.
    guesses : True for the operators in GUESSES as well.

    Returns
    -------
    iterator of Mutant, the function's own variants first, operator by operator in the order of OPERATORS.
    """
    sources = _reachable(function)
    namespace: dict[str, Any] = dict(_BY_NAME)
    for f, _ in reversed(sources):
        namespace |= _scope(f)
    namespace["_tick"] = _tick_limit()
    if not inspect.isclass(function):  # for one that is called anew each time, and so begins to count anew
        for _, tree in sources:
            _guard_loops(tree)
    seen: set[tuple[int, str]] = set()  # two operators may make the same change
    top = function.__name__
    for f, tree in sources:
        found = [
            (operator, site, node, words)
            for site in _sites(tree.body[0])
            for operator, node, words in _changes(site, tree.body[0], guesses)
        ]
        order = list(OPERATORS) + list(GUESSES)
        found.sort(key=lambda change: order.index(change[0]))
        for operator, site, node, words in found:
            before = site.node
            site.put(node)
            try:
                ast.fix_missing_locations(tree)
                line = ast.unparse(node if isinstance(node, ast.stmt) else site.statement)
                if (id(site.statement), line) in seen:
                    continue
                seen.add((id(site.statement), line))
                code = compile(tree, f"<{f.__name__}, {operator}>", "exec")
            except (SyntaxError, ValueError, TypeError):
                continue
            finally:
                site.put(before)
            where = _where(site, tree.body[0], outputs if f is function else ())
            if f is not function:
                where = f"{where}, in `{f.__name__}`" if where else f"in `{f.__name__}`"
            if isinstance(site.node, ast.AugAssign | ast.Assign):
                where = "" if f is function else f"in `{f.__name__}`"
            make = _maker(top, namespace, sources, f, code)
            try:
                variant = make() if inspect.isclass(function) else _called_later(make, namespace["_tick"])
            except Exception:  # of a class, not even the definition goes through
                continue
            variant.__name__ = top
            yield Mutant(variant, operator, f"{words}, {where}" if where else words, line.split("\n")[0])


def _maker(top: str, namespace: dict, sources: list, changed: Callable, code: types.CodeType) -> Callable:
    """Makes the top function, or class, with the changed one in place."""

    def make() -> Callable:
        space = dict(namespace)
        for f, tree in reversed(sources):
            if f is not changed:
                exec(compile(ast.fix_missing_locations(tree), f"<{f.__name__}>", "exec"), space)
        exec(code, space)
        return space[top]

    return make


def _called_later(make: Callable, tick: Callable) -> Callable:
    """A function that is compiled when it is called first."""
    made: list[Callable] = []

    def variant(*args: Any) -> Any:
        if not made:
            made.append(make())
        tick.rounds = 0
        return made[0](*args)

    return variant


def _tick_limit() -> Callable[[], None]:
    def tick() -> None:
        tick.rounds += 1
        if tick.rounds > MOST_ROUNDS:
            raise RuntimeError("this variant loops too long")

    tick.rounds = 0
    return tick


def _reachable(function: Callable) -> list[tuple[Callable, ast.Module]]:
    """The function and those of this project that it calls by name, directly or not, each with its tree."""
    found: list[tuple[Callable, ast.Module]] = []
    waiting, names = [function], set()
    while waiting:
        f = waiting.pop(0)
        if f.__name__ in names:
            continue
        tree = _tree(f)
        if tree is None:
            continue
        names.add(f.__name__)
        found.append((f, tree))
        scope = _scope(f)
        for node in ast.walk(tree):
            callee = None
            if isinstance(node, ast.Name) and node.id != "_":  # the name for what nobody asks about
                callee = scope.get(node.id)
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                module = scope.get(node.value.id)
                if isinstance(module, types.ModuleType) and module.__name__.split(".")[0] == "backprop":
                    callee = getattr(module, node.attr, None)
                    if inspect.isfunction(callee):
                        node.value.id, node.attr = "_module", node.attr  # resolved below
            if inspect.isfunction(callee) and callee.__module__.split(".")[0] in ("backprop", "autograder"):
                waiting.append(callee)
        _call_by_name(tree)
        ast.fix_missing_locations(tree)
    return found


def _call_by_name(tree: ast.Module) -> None:
    """``backprop.softmax(Z)`` becomes ``softmax(Z)``, so that a variant of it can take its place."""
    for node in ast.walk(tree):
        for field, value in ast.iter_fields(node):
            if _is_module_member(value):
                setattr(node, field, ast.Name(value.attr, ast.Load()))
            elif isinstance(value, list):
                value[:] = [ast.Name(v.attr, ast.Load()) if _is_module_member(v) else v for v in value]


def _is_module_member(node: Any) -> bool:
    return isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "_module"


def _tree(f: Callable) -> ast.Module | None:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(f)))
    except (OSError, TypeError, SyntaxError):
        return None
    if len(tree.body) != 1 or not isinstance(tree.body[0], ast.FunctionDef | ast.ClassDef):
        return None
    tree.body[0].decorator_list = [d for d in tree.body[0].decorator_list if not _is_registration(d)]
    for definition in ast.walk(tree):
        if isinstance(definition, ast.FunctionDef):
            definition.returns = None
            for arg in (*definition.args.args, *definition.args.kwonlyargs):
                arg.annotation = None
        if isinstance(definition, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(definition) is not None:
            definition.body = definition.body[1:] or [ast.Pass()]
    return tree


def _is_registration(decorator: ast.expr) -> bool:
    """Whether it is ``@exercise.wheat``, ``@exercise.chaff(…)`` or ``@exercise.refer``, and so no part of an answer."""
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    return isinstance(called, ast.Attribute) and called.attr in ("wheat", "chaff", "refer")


def _scope(f: Callable) -> dict[str, Any]:
    if inspect.isclass(f):
        return dict(vars(sys.modules[f.__module__]))
    f = inspect.unwrap(f)
    return {**f.__globals__, **inspect.getclosurevars(f).nonlocals}


def _guard_loops(tree: ast.Module) -> None:
    for node in ast.walk(tree):
        if isinstance(node, ast.While | ast.For):
            node.body.insert(0, ast.Expr(ast.Call(ast.Name("_tick", ast.Load()), [], [])))


def _sites(definition: ast.FunctionDef) -> Iterator[_Site]:
    """Every expression and statement of a function, with the way to it; signatures and subscripted targets aside."""

    def walk(parent: ast.AST, statement: ast.stmt | None) -> Iterator[_Site]:
        for field, value in ast.iter_fields(parent):
            if field in ("args", "decorator_list") and isinstance(parent, ast.FunctionDef | ast.Lambda):
                continue
            entries = enumerate(value) if isinstance(value, list) else [(None, value)]
            for index, node in entries:
                if not isinstance(node, ast.AST):
                    continue
                inner = node if isinstance(node, ast.stmt) else statement
                if isinstance(node, ast.expr | ast.stmt | ast.keyword) and inner is not None:
                    yield _Site(parent, field, index, inner)
                yield from walk(node, inner)

    yield from walk(definition, None)


def _where(site: _Site, definition: ast.FunctionDef, outputs: tuple[str, ...]) -> str:
    statement = site.statement
    targets: list[ast.expr] = []
    if isinstance(statement, ast.Assign):
        targets = statement.targets
    elif isinstance(statement, ast.AugAssign | ast.AnnAssign):
        targets = [statement.target]
    if targets:
        return f"where `{ast.unparse(targets[0]).split('[')[0]}` is computed"
    if isinstance(statement, ast.Return) and outputs:
        if isinstance(statement.value, ast.Tuple | ast.List) and len(statement.value.elts) == len(outputs):
            for name, element in zip(outputs, statement.value.elts, strict=True):
                if any(node is site.parent or node is site.node for node in ast.walk(element)):
                    return f"where `{name}` is computed"
        return f"where `{outputs[0]}` is computed" if len(outputs) == 1 else ""
    if isinstance(statement, ast.For | ast.While):
        return "in the loop's head"
    if isinstance(statement, ast.If):
        return "in the condition"
    return ""


_SWAPS = {
    "sum": ("mean", "max", "prod"),
    "mean": ("sum", "max"),
    "max": ("min", "sum", "mean"),
    "min": ("max",),
    "var": ("std",),
    "std": ("var",),
    "argmax": ("argmin",),
    "argmin": ("argmax",),
    "maximum": ("minimum",),
    "minimum": ("maximum",),
    "any": ("all",),
    "all": ("any",),
}
_REDUCTIONS = {"sum", "mean", "max", "min", "prod", "var", "std", "any", "all"}
_OTHERS = {
    "exp": ("log", "expm1"),
    "log": ("log2", "log10", "log1p"),
    "sqrt": ("square",),
    "square": ("sqrt",),
    "log1p": ("log",),
    "expm1": ("exp",),
    "zeros": ("ones",),
    "ones": ("zeros",),
    "zeros_like": ("ones_like",),
    "ones_like": ("zeros_like",),
    "sin": ("cos",),
    "cos": ("sin",),
    "tanh": ("sinh",),
    "standard_normal": ("random",),
    "random": ("standard_normal",),
    "permutation": ("arange",),
    "real": ("imag",),
    "imag": ("real",),
    "outer": ("inner", "dot"),
    "relu": ("tanh", "sigmoid"),
    "softmax": ("sigmoid",),
    "sigmoid": ("tanh", "softmax"),
    "cumsum": ("sum",),
}
_BY_NAME = {name: getattr(backprop, name) for name in ("relu", "sigmoid", "softmax")} | {"tanh": np.tanh, "np": np}
_TURNED: dict[type, tuple[type, ...]] = {
    ast.Gt: (ast.Lt, ast.GtE),
    ast.Lt: (ast.Gt, ast.LtE),
    ast.GtE: (ast.LtE, ast.Gt),
    ast.LtE: (ast.GtE, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
}


def _changes(site: _Site, definition: ast.FunctionDef, guesses: bool) -> Iterator[Change]:
    node = site.node
    if isinstance(node, ast.stmt):
        yield from _of_statement(node, site)
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Tuple):
        yield from _of_index(node)
    if isinstance(node, ast.expr) and isinstance(getattr(node, "ctx", ast.Load()), ast.Load):
        yield from _of_expression(node)
        if isinstance(node, ast.Name):
            yield from _other_names(node, definition)
        if guesses and isinstance(node, ast.Name | ast.Call | ast.Subscript | ast.BinOp | ast.Attribute):
            yield from _guesses(node, site)


def _code(node: ast.AST, noun: str = "an expression") -> str:
    """The code of something short; of anything longer only what it is, since it may be half the formula."""
    text = ast.unparse(node)
    return f"`{text}`" if len(text) <= LONGEST_FRAGMENT and "@" not in text else noun


def _short(node: ast.Compare) -> str:
    """The comparison with what is long in it replaced by dots."""
    left, right = (_code(side, "`…`").strip("`") for side in (node.left, node.comparators[0]))
    return ast.unparse(ast.Compare(ast.Name("A"), node.ops, [ast.Name("B")])).replace("A", left).replace("B", right)


def _left_out(noun: str, node: ast.AST) -> str:
    code = _code(node, "")
    return f"the {noun} {code} is left out" if code else f"a {noun} is left out"


def _step_left_out(node: ast.stmt) -> str:
    targets = getattr(node, "targets", None) or [getattr(node, "target", None)]
    if targets[0] is None:
        return "a step is left out"
    name = ast.unparse(targets[0]).split("[")[0]
    return (
        f"a change of `{name}` is left out"
        if isinstance(node, ast.AugAssign)
        else f"a step that sets `{name}` is left out"
    )


def _name_of_call(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def _of_statement(node: ast.stmt, site: _Site) -> Iterator[Change]:
    if isinstance(node, ast.AugAssign):
        name = _code(node.target)
        yield (
            "accumulation-lost",
            ast.Assign([node.target], node.value),
            f"{name} is overwritten where it should be changed step by step",
        )
        if isinstance(node.op, ast.Add | ast.Sub):
            other = ast.Sub() if isinstance(node.op, ast.Add) else ast.Add()
            yield (
                "sign-flipped",
                ast.AugAssign(node.target, other, node.value),
                f"{name} is changed in the wrong direction",
            )
        if isinstance(node.op, ast.Mult | ast.Div):
            other = ast.Div() if isinstance(node.op, ast.Mult) else ast.Mult()
            yield (
                "times-for-over",
                ast.AugAssign(node.target, other, node.value),
                f"{name} is divided where it should be multiplied, or the reverse",
            )
    if isinstance(node, ast.AugAssign | ast.Assign | ast.Expr | ast.If) and not _is_tick(node):
        what = {
            ast.If: f"the case {_code(node.test, 'of an if')} is not treated" if isinstance(node, ast.If) else ""
        }.get(type(node))
        yield "statement-left-out", ast.Pass(), what or _step_left_out(node)
    if isinstance(node, ast.If | ast.While):
        negated = ast.UnaryOp(ast.Not(), node.test)
        yield (
            "condition-changed",
            type(node)(negated, node.body, node.orelse),
            f"the condition {_code(node.test, '')} is turned round".replace("  ", " "),
        )
    if isinstance(node, ast.For):
        for part, word in (
            (ast.Slice(ast.Constant(1)), "first"),
            (ast.Slice(None, ast.UnaryOp(ast.USub(), ast.Constant(1))), "last"),
        ):
            listed = ast.Call(ast.Name("list", ast.Load()), [node.iter], [])
            shorter = ast.Subscript(listed, part, ast.Load())
            yield (
                "range-shortened",
                ast.For(node.target, shorter, node.body, node.orelse),
                f"the loop over `{ast.unparse(node.target)}` misses its {word} element",
            )
        if isinstance(node.iter, ast.Call) and isinstance(node.iter.func, ast.Name) and node.iter.func.id == "reversed":
            yield (
                "call-left-out",
                ast.For(node.target, node.iter.args[0], node.body, node.orelse),
                "the loop runs in the wrong direction",
            )
        early = [*node.body, ast.Break()]
        yield (
            "range-shortened",
            ast.For(node.target, node.iter, early, node.orelse),
            "the loop ends after its first round",
        )
    if isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple):
        for i, j in itertools.combinations(range(len(node.value.elts)), 2):
            elements = list(node.value.elts)
            elements[i], elements[j] = elements[j], elements[i]
            yield "outputs-swapped", ast.Return(ast.Tuple(elements, ast.Load())), "two results have changed places"


def _is_tick(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and (not isinstance(node.value, ast.Call) or _name_of_call(node.value) == "_tick")


def _of_expression(node: ast.expr) -> Iterator[Change]:
    if isinstance(node, ast.BinOp):
        yield from _of_operation(node)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and not isinstance(node.operand, ast.Constant):
        yield "sign-flipped", node.operand, f"the minus before {_code(node.operand)} is lost"
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.Invert):
        yield "condition-changed", node.operand, f"{_code(node.operand)} is not negated"
    elif isinstance(node, ast.Compare) and len(node.ops) == 1:
        for other in _TURNED.get(type(node.ops[0]), ()):
            changed = ast.Compare(node.left, [other()], node.comparators)
            yield "comparison-turned", changed, f"a comparison is turned round (as in `{_short(changed)}`)"
    elif isinstance(node, ast.BoolOp):
        other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield "condition-changed", ast.BoolOp(other, node.values), "`and` stands for `or`, or the reverse"
        for i in range(len(node.values)):
            rest = node.values[:i] + node.values[i + 1 :]
            yield (
                "condition-changed",
                rest[0] if len(rest) == 1 else ast.BoolOp(node.op, rest),
                f"the condition {_code(node.values[i])} is not asked",
            )
    elif isinstance(node, ast.IfExp):
        yield "condition-changed", node.body, f"{_code(node.body)} is taken always"
        yield "condition-changed", node.orelse, f"{_code(node.body)} is never taken"
    elif isinstance(node, ast.Call):
        yield from _of_call(node)
    elif isinstance(node, ast.Attribute) and node.attr == "T":
        yield "transpose-left-out", node.value, f"{_code(node.value)} is not transposed"
    elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
        yield from _of_constant(node)
    elif isinstance(node, ast.Slice):
        if node.lower is not None:
            yield "range-shortened", ast.Slice(None, node.upper, node.step), "a slice begins in the wrong place"
        if node.upper is not None:
            yield "range-shortened", ast.Slice(node.lower, None, node.step), "a slice ends in the wrong place"
        if node.step is not None:
            yield (
                "range-shortened",
                ast.Slice(node.lower, node.upper, None),
                "a slice runs in the wrong direction, or step",
            )
    elif isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Slice):
        yield "call-left-out", node.value, f"{_code(node)} is taken whole, or in the wrong order"


def _of_index(node: ast.Subscript) -> Iterator[Change]:
    name, parts = _code(node.value), node.slice.elts
    for i, part in enumerate(parts):
        rest = parts[:i] + parts[i + 1 :]
        alone = rest[0] if len(rest) == 1 else ast.Tuple(rest, ast.Load())
        yield "index-changed", ast.Subscript(node.value, alone, node.ctx), f"{name} has one index too few"
        if not isinstance(part, ast.Slice):
            whole = ast.Tuple([*parts[:i], ast.Slice(), *parts[i + 1 :]], ast.Load())
            words = f"whole rows or columns of {name} are taken where single entries belong"
            yield "index-changed", ast.Subscript(node.value, whole, node.ctx), words


def _of_operation(node: ast.BinOp) -> Iterator[Change]:
    left, right, op = node.left, node.right, node.op
    if isinstance(op, ast.Add | ast.Sub):
        other = ast.Sub() if isinstance(op, ast.Add) else ast.Add()
        yield "sign-flipped", ast.BinOp(left, other, right), f"the sign before {_code(right, 'a term')} is flipped"
        yield "term-left-out", left, _left_out("term", right)
        yield (
            "term-left-out",
            right if isinstance(op, ast.Add) else ast.UnaryOp(ast.USub(), right),
            _left_out("term", left),
        )
    elif isinstance(op, ast.Mult):
        yield "factor-left-out", left, _left_out("factor", right)
        yield "factor-left-out", right, _left_out("factor", left)
        yield (
            "times-for-over",
            ast.BinOp(left, ast.Div(), right),
            f"it is divided by {_code(right, 'something')} where it should be multiplied",
        )
    elif isinstance(op, ast.Div | ast.FloorDiv):
        yield "factor-left-out", left, f"the division by {_code(right, 'something')} is left out"
        yield (
            "times-for-over",
            ast.BinOp(left, ast.Mult(), right),
            f"it is multiplied with {_code(right, 'something')} where it should be divided",
        )
    elif isinstance(op, ast.Pow):
        yield "factor-left-out", left, f"a power (`** {ast.unparse(right)}`) is left out"
    elif isinstance(op, ast.MatMult):
        yield "times-for-over", ast.BinOp(right, op, left), "the factors of a matrix product stand in the wrong order"
        yield "factor-left-out", left, f"the matrix product with {_code(right, 'something')} is left out"
        yield "factor-left-out", right, f"the matrix product with {_code(left, 'something')} is left out"
    elif isinstance(op, ast.BitAnd | ast.BitOr):
        other = ast.BitOr() if isinstance(op, ast.BitAnd) else ast.BitAnd()
        yield "condition-changed", ast.BinOp(left, other, right), "`&` stands for `|`, or the reverse"


def _of_call(node: ast.Call) -> Iterator[Change]:
    name = _name_of_call(node)
    method = isinstance(node.func, ast.Attribute)
    of_numpy = method and isinstance(node.func.value, ast.Name) and node.func.value.id in ("np", "math", "random")
    if method or name in ("max", "min", "any", "all"):
        for other in _SWAPS.get(name, ()):
            func = ast.Attribute(node.func.value, other, ast.Load()) if method else ast.Name(other, ast.Load())
            changed = ast.Call(func, node.args, node.keywords)
            yield "reduction-swapped", changed, f"the {other} is taken where the {name} belongs"
    if name in _REDUCTIONS and method:
        yield from _order_swapped(node, name, of_numpy)
    for other in _OTHERS.get(name, ()):
        func = ast.Attribute(node.func.value, other, ast.Load()) if method else ast.Name(other, ast.Load())
        yield "other-function", ast.Call(func, node.args, node.keywords), f"`{other}` stands where `{name}` belongs"
    for keyword in node.keywords:
        yield from _of_keyword(node, keyword, name)
    if name in _REDUCTIONS and node.args[1 if of_numpy else 0 :] and isinstance(node.args[-1], ast.Constant):
        turned = ast.Constant(0 if node.args[-1].value in (1, -1) else 1)
        yield (
            "axis-swapped",
            ast.Call(node.func, [*node.args[:-1], turned], node.keywords),
            _axis_words(name, node.args[-1].value, turned.value),
        )
    inner = None
    if method and not of_numpy and not _is_container(node.func.value):
        inner = node.func.value
    elif node.args and name not in (
        "zip",
        "range",
        "enumerate",
        "len",
        "isinstance",
        "min",
        "max",
        "zeros",
        "ones",
        "list",
        "dict",
        "set",
    ):
        inner = node.args[0]
    if inner is not None:
        operator = "reduction-left-out" if name in _REDUCTIONS else "call-left-out"
        if name in ("swapaxes", "transpose"):
            operator = "transpose-left-out"
        what = (
            f"the {name} is not taken"
            if operator == "reduction-left-out"
            else f"`{name}` is not applied to {_code(inner)}"
        )
        if name == "copy":
            what = f"{_code(inner)} is not copied"
        if name not in ("float", "int", "asarray", "array"):
            yield operator, inner, what
        if len(node.args) > 1 and not method:
            for i in range(1, len(node.args)):
                if isinstance(node.args[i], ast.Name | ast.Call | ast.BinOp):
                    yield (
                        "call-left-out",
                        node.args[i],
                        f"{_code(node.args[i])} is taken by itself, where `{name}` should be applied",
                    )
    if not method and len(node.args) > 1 and not node.keywords:
        for i, j in itertools.combinations(range(len(node.args)), 2):
            swapped = list(node.args)
            swapped[i], swapped[j] = swapped[j], swapped[i]
            yield (
                "name-swapped",
                ast.Call(node.func, swapped, []),
                f"{_code(node.args[i])} and {_code(node.args[j])} have changed places in `{name}(…)`",
            )


def _order_swapped(node: ast.Call, name: str, of_numpy: bool) -> Iterator[Change]:
    """The mean of squares becomes the square of the mean."""
    inner = node.args[0] if of_numpy and node.args else node.func.value

    def reduced(part: ast.expr) -> ast.Call:
        if of_numpy:
            return ast.Call(node.func, [part, *node.args[1:]], node.keywords)
        return ast.Call(ast.Attribute(part, node.func.attr, ast.Load()), node.args, node.keywords)

    words = f"the {name} is taken before a function or a product, where it should be taken after"
    if isinstance(inner, ast.BinOp) and isinstance(inner.op, ast.Pow):
        yield "order-swapped", ast.BinOp(reduced(inner.left), inner.op, inner.right), words
    elif isinstance(inner, ast.BinOp) and isinstance(inner.op, ast.Mult | ast.Div):
        yield "order-swapped", ast.BinOp(reduced(inner.left), inner.op, reduced(inner.right)), words
        yield "order-swapped", ast.BinOp(reduced(inner.left), inner.op, inner.right), words
        yield "order-swapped", ast.BinOp(inner.left, inner.op, reduced(inner.right)), words
    elif isinstance(inner, ast.Call) and len(inner.args) == 1 and isinstance(inner.func, ast.Attribute | ast.Name):
        yield "order-swapped", ast.Call(inner.func, [reduced(inner.args[0])], inner.keywords), words


def _is_container(node: ast.expr) -> bool:
    """Whether it is a module or the like: ``rng.permutation(n)`` is no method applied to an array."""
    return isinstance(node, ast.Name) and node.id in ("rng", "np", "math", "sympy", "random", "itertools", "linalg")


def _axis_words(name: str, right: Any, wrong: Any) -> str:
    instead = "over all entries" if wrong is None else f"over axis {wrong}"
    return f"a {name} runs {instead} instead of over axis {right}"


def _of_keyword(node: ast.Call, keyword: ast.keyword, name: str) -> Iterator[Change]:
    rest = [k for k in node.keywords if k is not keyword]
    value = keyword.value
    right = ast.unparse(value)
    if keyword.arg == "axis":
        if right in ("0", "1", "-1", "-2"):
            turned = {"0": 1, "1": 0, "-1": 0, "-2": -1}[right]
            changed = ast.keyword("axis", ast.Constant(turned))
            yield "axis-swapped", ast.Call(node.func, node.args, [changed, *rest]), _axis_words(name, right, turned)
        yield "axis-swapped", ast.Call(node.func, node.args, rest), _axis_words(name, right, None)
    elif keyword.arg is not None and keyword.arg not in ("strict", "dtype", "rcond", "maxlen"):
        yield "argument-left-out", ast.Call(node.func, node.args, rest), f"`{keyword.arg}={right}` is left out"


def _of_constant(node: ast.Constant) -> Iterator[Change]:
    n = node.value
    for other in {0: (1,), 1: (0, 2), 2: (1, 3), 0.5: (1,)}.get(n, (2 * n,)):
        yield "constant-changed", ast.Constant(type(n)(other)), f"{other:g} stands where {n:g} belongs"


def _other_names(node: ast.Name, definition: ast.FunctionDef | ast.ClassDef) -> Iterator[Change]:
    if isinstance(definition, ast.ClassDef):
        methods = [method for method in definition.body if isinstance(method, ast.FunctionDef)]
        definition = next((method for method in methods if node in ast.walk(method)), None)
        if definition is None:
            return
    known = [arg.arg for arg in definition.args.args]
    loops = any(isinstance(n, ast.For | ast.While) for n in ast.walk(definition))
    for other in ast.walk(definition):
        stored = isinstance(other, ast.Name) and isinstance(other.ctx, ast.Store)
        if stored and other.id not in known and (loops or other.lineno < node.lineno):
            known.append(other.id)
    if node.id not in known:
        return
    for other in known:
        if other not in (node.id, "_", "self") and not hasattr(builtins, other):
            yield "name-swapped", ast.Name(other, ast.Load()), f"`{other}` stands where `{node.id}` belongs"


def _guesses(node: ast.expr, site: _Site) -> Iterator[Change]:
    if (isinstance(site.parent, ast.Call) and site.field == "func") or isinstance(site.parent, ast.Attribute):
        return
    if isinstance(site.parent, ast.Subscript) and site.field == "slice":
        return
    code = _code(node)
    two = ast.Constant(2)
    yield "squared", ast.BinOp(node, ast.Pow(), two), f"{code} is squared"
    yield "negated", ast.UnaryOp(ast.USub(), node), f"{code} has the wrong sign"
    yield "made-absolute", ast.Call(ast.Name("abs", ast.Load()), [node], []), f"the absolute value of {code} is taken"
    yield "complement", ast.BinOp(ast.Constant(1), ast.Sub(), node), f"1 − {code} stands where {code} belongs"
    for name in ("softmax", "sigmoid", "tanh", "relu"):
        applied = ast.Call(ast.Name(name, ast.Load()), [node], [])
        yield f"{name}-applied", applied, f"a {name} is applied to {code}"
    for name, words in (("exp", "an exponential"), ("log", "a logarithm")):
        applied = ast.Call(ast.Attribute(ast.Name("np", ast.Load()), name, ast.Load()), [node], [])
        yield f"{name}-applied", applied, f"{words} is applied to {code}"
    if isinstance(node, ast.Call) and len(node.args) == 1 and not node.keywords and _name_of_call(node) != "len":
        yield "applied-twice", ast.Call(node.func, [node], []), f"`{_name_of_call(node)}` is applied twice"
    if (isinstance(node, ast.Call) and _name_of_call(node) == "len") or isinstance(node, ast.Subscript | ast.Attribute):
        yield (
            "one-less",
            ast.BinOp(node, ast.Sub(), ast.Constant(1)),
            f"{_code(node, 'a size')} − 1 stands for {_code(node, 'it')}",
        )
    if (
        isinstance(node, ast.Call)
        and node.args
        and isinstance(node.func, ast.Name)
        and node.func.id not in vars(builtins)
    ):
        turned = ast.Call(node.func, [ast.Attribute(node.args[0], "T", ast.Load()), *node.args[1:]], node.keywords)
        words = f"`{node.func.id}` works along the other axis"
        yield "other-axis", ast.Attribute(turned, "T", ast.Load()), words
    if isinstance(node, ast.Call) and _name_of_call(node) == "maximum" and len(node.args) == 2:
        for part in (100, 10, 5):
            slope = ast.BinOp(node.args[0], ast.Div(), ast.Constant(part))
            yield "leaky", ast.Call(node.func, [node.args[0], slope], []), "a leaky maximum stands where it should be 0"
    yield "doubled", ast.BinOp(two, ast.Mult(), node), f"{code} is counted twice"
    yield "halved", ast.BinOp(node, ast.Div(), two), f"{code} is halved"
    yield "root-taken", ast.BinOp(node, ast.Pow(), ast.Constant(0.5)), f"the root of {code} is taken"
    if isinstance(node, ast.Name | ast.Subscript):
        yield "transposed", ast.Attribute(node, "T", ast.Load()), f"{code} is transposed"
        mean = ast.Call(ast.Attribute(node, "mean", ast.Load()), [], [ast.keyword("axis", ast.Constant(0))])
        yield "centred", ast.BinOp(node, ast.Sub(), mean), f"the mean of its rows is subtracted from {code}"
    if isinstance(node, ast.Name | ast.BinOp):
        mean = ast.Call(ast.Attribute(node, "mean", ast.Load()), [], [])
        yield "centred", ast.BinOp(node, ast.Sub(), mean), f"the mean is subtracted from {code}"
        norm = ast.Attribute(ast.Attribute(ast.Name("np", ast.Load()), "linalg", ast.Load()), "norm", ast.Load())
        yield "normalised", ast.BinOp(node, ast.Div(), ast.Call(norm, [node], [])), f"{code} is divided by its norm"
