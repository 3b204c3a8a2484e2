"""What the bookkeeping of ``Value`` and ``Tensor`` costs, beside the same work without it."""

import math
from collections.abc import Callable

import numpy as np

from backprop import Tensor, Value

UNITS = 50


def neuron_contestants() -> dict[str, Callable[[], object]]:
    """A neuron of 50 inputs, ``tanh(w · x + b)``, and its gradient: by ``Value``, and by hand in plain Python."""
    rng = np.random.default_rng(0)
    xs, ws = rng.standard_normal((2, UNITS)).tolist()
    inputs, weights, bias = [Value(x) for x in xs], [Value(w) for w in ws], Value(0.1)

    def by_value() -> None:
        z = bias
        for x, w in zip(inputs, weights, strict=True):
            z = z + x * w
        z.tanh().backward()

    def by_hand() -> tuple:
        z = 0.1
        for x, w in zip(xs, ws, strict=True):
            z = z + x * w
        a = math.tanh(z)
        dz = 1 - a * a
        return [dz * w for w in ws], [dz * x for x in xs], dz

    return {"Value": by_value, "plain Python": by_hand}


def operations() -> dict[str, dict[str, Callable[[], object]]]:
    """Single operations on small arrays: made by ``Tensor``, and in NumPy alone."""
    rng = np.random.default_rng(0)
    A, B = rng.standard_normal((2, 8, 8))
    a, b = Tensor(A), Tensor(B)
    return {
        "a + b": {"Tensor": lambda: a + b, "NumPy": lambda: A + B},
        "a * b": {"Tensor": lambda: a * b, "NumPy": lambda: A * B},
        "a @ b": {"Tensor": lambda: a @ b, "NumPy": lambda: A @ B},
        "relu": {"Tensor": lambda: a.relu(), "NumPy": lambda: np.maximum(A, 0)},
        "sum": {"Tensor": lambda: a.sum(), "NumPy": lambda: A.sum()},
    }
