"""Drawings of a graph of :class:`backprop.Value`, and of the gradient on its way through it."""

from collections import defaultdict
from collections.abc import Sequence

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from backprop.graph import topological_order
from backprop.plotting import BLUE, GREY, ORANGE, during, play
from backprop.value import Value

SIGNS = {"add": "+", "mul": "×", "pow": "^"}
Places = dict[Value, tuple[float, float]]


def step_through(root: Value, alt: str) -> None:
    """Play how ``root`` is computed, and how its gradient flows back: one step for every value, each way.

    Parameters
    ----------
    root : the result, with a graph of at most some twenty values. Gradients are those of ``root``, whatever
        stands in ``grad``; nothing is changed.
    alt : what is to be seen, in a sentence or two.
    """
    order = _drawn(root)
    forward = [node for node in order if node.parents]
    backward = forward[::-1]
    places = layout(root)
    turn = len(forward) + 1  # the step at which the root gets its 1
    fig, ax = _canvas(places)
    captions = ["The values that are given."]
    for step, node in enumerate(forward, start=1):
        captions.append(f"Forward. {_how_computed(node)}")
        back = turn + len(forward) - step + 1
        for k, parent in enumerate(_operands(node)):
            during(_edge(ax, places, node, k, BLUE), step, step)
            during(_edge(ax, places, node, k, GREY), 0, step - 1)
            during(_edge(ax, places, node, k, GREY), step + 1, back - 1)
            during(_edge(ax, places, node, k, GREY), back if _is_plain(parent) else back + 1)
        during(_value_text(ax, places[node], node), step)
    flowing = dict.fromkeys(order, 0.0)
    flowing[root] = 1.0
    captions.append(f"Backward. The slope of {_name(root)} in itself is 1.")
    since = {root: turn}
    shown = [(root, turn, 1.0)]
    for step, node in enumerate(backward, start=turn + 1):
        told = []
        for k, parent in enumerate(_operands(node)):
            if _is_plain(parent):
                continue
            slope = node.local_grads[k]
            factor = f"({_number(slope)})" if slope < 0 else _number(slope)
            sent = slope * flowing[node]
            more = ", which is added" if parent in since else ""
            flowing[parent] += sent
            told.append(f"{_name(parent)} gets {_number(flowing[node])} × {factor} = {_number(sent)}{more}")
            since[parent] = step
            shown.append((parent, step, flowing[parent]))
            during(_edge(ax, places, node, k, ORANGE), step, step)
            during(_slope_text(ax, places, node, k), step, step)
        captions.append(f"Backward, through {_name(node)}. {_local_slope(node)}{'; '.join(told)}.")
    given = [f"{_name(node)}: {_number(flowing[node])}" for node in order if not node.parents and not _is_plain(node)]
    captions.append(f"Done. The slopes of {_name(root)} in what was given are {', '.join(given)}.")
    for i, (node, step, gradient) in enumerate(shown):
        until = next((later for other, later, _ in shown[i + 1 :] if other is node), None)
        if until != step:
            during(_gradient_text(ax, places[node], gradient), step, None if until is None else until - 1)
    for node in order:
        _box(ax, places[node], node)
        if not node.parents:
            _value_text(ax, places[node], node)
    play(fig, captions, alt)


def draw_graph(root: Value, ax: Axes | None = None) -> Axes:
    """Draw a graph as it is: each value in its box and, where ``grad`` is not 0, the gradient under it.

    Parameters
    ----------
    root : the result; drawn on the right, what it was computed from to its left.
    ax : where to draw; a new figure if left out.
    """
    places = layout(root)
    ax = ax or _canvas(places)[1]
    for node, place in places.items():
        _box(ax, place, node)
        _value_text(ax, place, node)
        if node.grad:
            _gradient_text(ax, place, node.grad)
        for k in range(len(_operands(node))):
            _edge(ax, places, node, k, GREY)
    return ax


def layout(root: Value) -> Places:
    """A place for every value: to the right of all that it was computed from, and near its neighbours' height."""
    order = _drawn(root)
    column = {root: 0}
    for node in reversed(order):  # as far to the right as its users allow
        for parent in _operands(node):
            column[parent] = min(column.get(parent, 0), column[node] - 1)
    columns = defaultdict(list)
    for node in order:
        columns[column[node]].append(node)
    height: dict[Value, float] = {}
    for nodes in columns.values():
        height |= {node: (len(nodes) - 1) / 2 - i for i, node in enumerate(nodes)}
    for _ in range(8):
        for x in sorted(columns):
            _straighten(columns[x], height, order)
    return {node: (1.7 * column[node], 1.3 * height[node]) for node in order}


def _straighten(nodes: list[Value], height: dict[Value, float], order: Sequence[Value]) -> None:
    """Move the values of one column towards the middle of their neighbours, at least 1 apart."""
    wish = {}
    for node in nodes:
        near = [*_operands(node), *(user for user in order if node in _operands(user))]
        wish[node] = sum(height[other] for other in near) / max(len(near), 1)
    nodes.sort(key=lambda node: -wish[node])
    tops = []
    for node in nodes:
        tops.append(wish[node] if not tops else min(wish[node], tops[-1] - 1))
    shift = sum(wish[node] - top for node, top in zip(nodes, tops, strict=True)) / len(nodes)
    height |= {node: top + shift for node, top in zip(nodes, tops, strict=True)}


def _canvas(places: Places) -> tuple[plt.Figure, Axes]:
    xs, ys = zip(*places.values(), strict=True)
    width, height = max(xs) - min(xs) + 1.4, max(ys) - min(ys) + 1.5
    scale = min(0.9, 7.6 / width)
    fig, ax = plt.subplots(figsize=(width * scale, height * scale))
    ax.set(xlim=(min(xs) - 0.7, max(xs) + 0.7), ylim=(min(ys) - 0.8, max(ys) + 0.7), aspect="equal")
    ax.axis("off")
    return fig, ax


def _operands(node: Value) -> tuple[Value, ...]:
    """What a value was computed from, but for the number in ``x ** 2``, which belongs to the operation."""
    if node.op == "pow" and _is_plain(node.parents[1]):
        return node.parents[:1]
    return node.parents


def _drawn(root: Value) -> list[Value]:
    """The graph in topological order, without such numbers."""
    order = topological_order(root)
    needed = {root, *(parent for node in order for parent in _operands(node))}
    return [node for node in order if node in needed]


def _name(node: Value) -> str:
    """What a value is called: by its label, or by how it was computed."""
    if node.label:
        return node.label
    return _written(node, [_name(parent) for parent in node.parents]) if node.parents else _number(node.data)


def _how_computed(node: Value) -> str:
    """For example ``u = x × w = 2 × 3 = 6``."""
    by_name = _written(node, [_name(parent) for parent in node.parents])
    by_number = _written(node, [_number(parent.data) for parent in node.parents])
    steps = [*([node.label] if node.label else []), *([by_name] if by_name != by_number else []), by_number]
    return f"{' = '.join(steps)} = {_number(node.data)}."


def _written(node: Value, operands: list[str]) -> str:
    """An operation with its operands, by name or by number, as in mathematics."""
    if node.op not in SIGNS:
        return f"{node.op}({operands[0]})"
    first, second = (f"({x})" if " " in x else x for x in operands)
    if node.op == "pow":
        first = f"({first})" if first.startswith("−") else first
        return f"{first}{_raised(node.parents[1].data)}" if len(_operands(node)) == 1 else f"{first}^{second}"
    return f"{first} {SIGNS[node.op]} {f'({second})' if second.startswith('−') else second}"


def _raised(exponent: float) -> str:
    """The exponent of a power, as it is written: ``²``, or ``^(−0.5)``."""
    digits = _number(exponent)
    if digits.isdigit():
        return digits.translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"^({digits})"


def _local_slope(node: Value) -> str:
    """Where the slope of an operation comes from, in words; nothing for sums and products, whose slopes are seen."""
    if node.op in ("add", "mul") or len(_operands(node)) > 1:
        return ""
    (x,), slope = _signed(_operands(node)), _number(node.local_grads[0])
    if node.op == "pow":
        exponent = node.parents[1].data
        lower = "" if exponent == 2 else _raised(exponent - 1)
        rule = f"{_written(node, [_name(parent) for parent in node.parents])} is {_number(exponent)} × {x}{lower} ="
    elif node.op == "log":
        rule = f"log is 1/{x} ="
    elif node.op == "tanh":
        rule = f"tanh is 1 − {_signed([node])[0]}² ="
    else:
        rule = {"exp": "exp is what it has computed itself,", "relu": f"relu at {x} is"}[node.op]
    return f"The slope of {rule} {slope}. "


def _signed(nodes: Sequence[Value]) -> list[str]:
    """Numbers as they stand in a product: negative ones in parentheses."""
    return [f"({x})" if x.startswith("−") else x for x in (_number(node.data) for node in nodes)]


def _is_plain(node: Value) -> bool:
    """Whether this is a plain number, such as an exponent, whose slope nobody asks for."""
    return not node.parents and not node.label


def _number(x: float) -> str:
    return f"{x + 0.0:.3g}".replace("-", "−")


def _box(ax: Axes, place: tuple[float, float], node: Value) -> None:
    x, y = place
    if _is_plain(node):
        return
    look = {"boxstyle": "round,pad=0.02,rounding_size=0.12", "fc": "none", "ec": GREY, "lw": 1.2}
    ax.add_patch(FancyBboxPatch((x - 0.42, y - 0.3), 0.84, 0.6, **look))
    sign = SIGNS.get(node.op, node.op)
    if node.op == "pow" and len(_operands(node)) == 1:
        sign = f"( ){_raised(node.parents[1].data)}"
    ax.text(x, y + 0.14, node.label or sign, ha="center", va="center", fontsize=10, fontweight="bold")
    if node.label:
        ax.text(x, y + 0.42, sign, ha="center", va="center", fontsize=9, color=GREY)


def _value_text(ax: Axes, place: tuple[float, float], node: Value):
    x, y = place
    middle = y if _is_plain(node) else y - 0.14
    return ax.text(x, middle, _number(node.data), ha="center", va="center", fontsize=10, color=BLUE)


def _gradient_text(ax: Axes, place: tuple[float, float], gradient: float):
    x, y = place
    return ax.text(x, y - 0.47, _number(gradient), ha="center", va="center", fontsize=10, color=ORANGE)


def _edge(ax: Axes, places: Places, node: Value, k: int, color: str) -> FancyArrowPatch:
    """The arrow from the node's parent number ``k``; bent round other boxes, and where it has a twin."""
    parent = node.parents[k]
    start, end = places[parent], places[node]
    bend = _bend(places, node, k)
    if color == ORANGE:
        start, end, bend = end, start, -bend
    arrow = FancyArrowPatch(
        start, end, arrowstyle="-|>", mutation_scale=11, color=color, lw=1 if color == GREY else 2.2,
        connectionstyle=f"arc3,rad={bend}", shrinkA=22, shrinkB=22, zorder=1 if color == GREY else 2,
    )  # fmt: skip
    ax.add_patch(arrow)
    return arrow


def _bend(places: Places, node: Value, k: int) -> float:
    """How far an arrow bends, for its length, and to which side (down if positive)."""
    parent = node.parents[k]
    twins = [i for i, other in enumerate(node.parents) if other is parent]
    if len(twins) > 1:
        return 0.25 * (-1) ** twins.index(k)
    (x0, y0), (x1, y1) = places[parent], places[node]
    for x, y in places.values():
        if x0 < x < x1 and abs(off := y - (y0 + (y1 - y0) * (x - x0) / (x1 - x0))) < 0.55:
            return 0.35 if off > 0 else -0.35
    return 0.0


def _slope_text(ax: Axes, places: Places, node: Value, k: int):
    (x0, y0), (x1, y1) = places[node.parents[k]], places[node]
    half = _bend(places, node, k) / 2  # of the way to the arrow's control point
    x, y = (x0 + x1) / 2 + half * (y1 - y0), (y0 + y1) / 2 - half * (x1 - x0)
    return ax.text(
        x, y + 0.18, f"×{_number(node.local_grads[k])}",
        ha="center", va="center", fontsize=9, color=ORANGE,
    )  # fmt: skip
