"""A scalar autograd in a hundred lines, built in chapter 4 from :mod:`backprop.graph`."""

from __future__ import annotations

import math

from backprop import graph


class Value:
    """A number that remembers how it was computed, so that gradients can flow back.

    Parameters
    ----------
    data : the number.
    label : a name for drawings and messages.

    ``grad`` is 0 until :meth:`backward` is called on something that depends on this value. Operations take other
    values and plain numbers, which become values without a label.
    """

    __slots__ = ("data", "grad", "label", "local_grads", "op", "parents")

    def __init__(self, data: float, label: str = ""):
        self.data = float(data)
        self.grad = 0.0
        self.label = label
        self.op = ""
        self.parents: tuple[Value, ...] = ()
        self.local_grads: tuple[float, ...] = ()

    def __repr__(self) -> str:
        name = f"{self.label}: " if self.label else ""
        return f"Value({name}{self.data:g}, grad={self.grad:g})"

    def backward(self) -> None:
        """Add to ``grad`` of every value that this one depends on the slope of this one in it."""
        graph.backward(self)

    def __add__(self, other: Value | float) -> Value:
        other = _value(other)
        return _result("add", self.data + other.data, self, other)

    def __mul__(self, other: Value | float) -> Value:
        other = _value(other)
        return _result("mul", self.data * other.data, self, other)

    def __pow__(self, exponent: Value | float) -> Value:
        exponent = _value(exponent)
        return _result("pow", math.pow(self.data, exponent.data), self, exponent)

    def __neg__(self) -> Value:
        return self * -1.0

    def __sub__(self, other: Value | float) -> Value:
        return self + -other

    def __truediv__(self, other: Value | float) -> Value:
        return self * other**-1.0

    def __radd__(self, other: float) -> Value:
        return _value(other) + self

    def __rmul__(self, other: float) -> Value:
        return _value(other) * self

    def __rsub__(self, other: float) -> Value:
        return other + -self

    def __rtruediv__(self, other: float) -> Value:
        return other * self**-1.0

    def __rpow__(self, base: float) -> Value:
        return _value(base) ** self

    def exp(self) -> Value:
        return _result("exp", math.exp(self.data), self)

    def log(self) -> Value:
        return _result("log", math.log(self.data), self)

    def tanh(self) -> Value:
        return _result("tanh", math.tanh(self.data), self)

    def relu(self) -> Value:
        return _result("relu", max(self.data, 0.0), self)


def _value(x: Value | float) -> Value:
    return x if isinstance(x, Value) else Value(x)


def _result(op: str, data: float, *parents: Value) -> Value:
    """The value of an operation, with the slopes that :func:`backprop.local_grads` gives at this place."""
    result = Value(data)
    result.op = op
    result.parents = parents
    result.local_grads = graph.local_grads(op, *(parent.data for parent in parents))
    return result
