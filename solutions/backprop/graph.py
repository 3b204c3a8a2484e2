"""Reverse mode on a graph of scalars, as in chapter 4: an order of the nodes, their slopes, and the way back."""

from __future__ import annotations

import math
from typing import Protocol


class Node(Protocol):
    """A value in a graph: what it was computed from, with which slopes, and the gradient that arrives at it."""

    parents: tuple[Node, ...]
    local_grads: tuple[float, ...]  # one for each parent: the slope of this node in that parent
    grad: float


def topological_order(root: Node) -> list[Node]:
    """List ``root`` and all that it was computed from, every node after its parents.

    Parameters
    ----------
    root : only its ``parents`` are read, and theirs.

    Returns
    -------
    Every node once; ``root`` comes last. A loop with a stack of its own takes the place of recursion, so that a
    graph may be deeper than Python's limit.
    """
    order: list[Node] = []
    seen = {id(root)}
    stack = [(root, iter(root.parents))]
    while stack:
        node, parents = stack[-1]
        for parent in parents:
            if id(parent) not in seen:
                seen.add(id(parent))
                stack.append((parent, iter(parent.parents)))
                break
        else:  # all its parents are listed
            order.append(node)
            stack.pop()
    return order


def backward(root: Node) -> None:
    """Add to ``grad`` of every node that ``root`` depends on the derivative of ``root`` by that node.

    Parameters
    ----------
    root : gets 1 added to its own ``grad``. What flows is kept apart from what earlier calls left in ``grad``.
    """
    order = topological_order(root)
    flowing = {id(node): 0.0 for node in order}
    flowing[id(root)] = 1.0
    for node in reversed(order):
        for parent, slope in zip(node.parents, node.local_grads, strict=True):
            flowing[id(parent)] += slope * flowing[id(node)]
        node.grad += flowing[id(node)]


def local_grads(op: str, *values: float) -> tuple[float, ...]:
    """Slopes of an operation, one for each value that it takes.

    Parameters
    ----------
    op : ``"add"``, ``"mul"`` or ``"pow"`` of two values; ``"exp"``, ``"log"``, ``"tanh"`` or ``"relu"`` of one.
    values : where. The slope of ``pow`` in its exponent exists for a positive base only; otherwise it is nan.

    Raises
    ------
    ValueError
        if there is no such operation of so many values.
    """
    match op, values:
        case "add", (_, _):
            return 1.0, 1.0
        case "mul", (a, b):
            return b, a
        case "pow", (a, b):
            return b * a ** (b - 1), a**b * math.log(a) if a > 0 else math.nan
        case "exp", (a,):
            return (math.exp(a),)
        case "log", (a,):
            return (1 / a,)
        case "tanh", (a,):
            return (1 - math.tanh(a) ** 2,)
        case "relu", (a,):
            return (1.0 if a > 0 else 0.0,)
    raise ValueError(f"local_grads: no operation {op!r} of {len(values)} values; see the docstring for those there are")
