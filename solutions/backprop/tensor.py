"""A small array autograd, built in chapter 5 from the backward passes of :mod:`backprop.layers`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from backprop import layers, losses


class Tensor:
    """An array that remembers how it was computed, so that gradients can flow back.

    ``data`` is a floating-point array and ``grad`` an array of its shape, or None before the
    first call of :meth:`backward`. Operations broadcast as NumPy's do.
    """

    __array_priority__ = 1000  # so that ndarray + Tensor asks Tensor, not the array

    def __init__(self, data, parents: tuple[Tensor, ...] = (), vjp: Callable | None = None):
        data = np.asarray(data)
        self.data = data if np.issubdtype(data.dtype, np.floating) else data.astype(float)
        self.grad: np.ndarray | None = None
        self.parents = parents
        self.vjp = vjp  # upstream gradient -> one gradient for each parent

    @property
    def shape(self) -> tuple[int, ...]:
        return self.data.shape

    def __repr__(self) -> str:
        return f"Tensor({self.data!r})"

    def backward(self, upstream: np.ndarray | None = None) -> None:
        """Add to ``grad`` of every tensor in the graph the gradient of this one.

        Parameters
        ----------
        upstream : gradient with respect to this tensor, of its shape; 1 for a scalar if left out.

        Raises
        ------
        ValueError
            if there is no upstream gradient and this tensor is not a scalar, or its shape is wrong.
        """
        if upstream is None:
            if self.data.size != 1:
                raise ValueError(f"backward() without an upstream gradient needs a scalar, not shape {self.shape}")
            upstream = np.ones_like(self.data)
        upstream = np.asarray(upstream, dtype=self.data.dtype)
        if upstream.shape != self.shape:
            raise ValueError(f"upstream gradient: expected shape {self.shape}, got {upstream.shape}")

        flowing = {id(self): upstream}
        for node in reversed(_topological_order(self)):
            G = flowing.pop(id(node))
            node.grad = G.copy() if node.grad is None else node.grad + G
            if node.vjp is not None:
                for parent, g in zip(node.parents, node.vjp(G), strict=True):
                    flowing[id(parent)] = flowing[id(parent)] + g if id(parent) in flowing else g

    def __add__(self, other) -> Tensor:
        other = _tensor(other, self)
        return Tensor(
            self.data + other.data,
            (self, other),
            lambda G: (layers.unbroadcast(G, self.shape), layers.unbroadcast(G, other.shape)),
        )

    def __mul__(self, other) -> Tensor:
        other = _tensor(other, self)
        return Tensor(
            self.data * other.data,
            (self, other),
            lambda G: (layers.unbroadcast(G * other.data, self.shape), layers.unbroadcast(G * self.data, other.shape)),
        )

    def __matmul__(self, other) -> Tensor:
        other = _tensor(other, self)
        if self.data.ndim == 0 or other.data.ndim == 0:
            raise ValueError(f"@ expects arrays, got shapes {self.shape} and {other.shape}; use * with a number")
        if self.data.ndim == 1:  # a row, whose axis is dropped again
            Y = self.reshape(1, -1) @ other
            return Y.reshape(*Y.shape[:-2], *Y.shape[-1:]) if other.data.ndim > 1 else Y.reshape(())
        if other.data.ndim == 1:  # a column, likewise
            Y = self @ other.reshape(-1, 1)
            return Y.reshape(*Y.shape[:-1])
        return Tensor(self.data @ other.data, (self, other), lambda G: layers.matmul_backward(G, self.data, other.data))

    def __rmatmul__(self, other) -> Tensor:
        return _tensor(other, self) @ self

    def __pow__(self, exponent: float) -> Tensor:
        """A fixed power, entry by entry."""
        if isinstance(exponent, Tensor):
            raise TypeError("the exponent must be a number; for a power of two tensors write (b * a.log()).exp()")
        return Tensor(self.data**exponent, (self,), lambda G: (G * exponent * self.data ** (exponent - 1),))

    def __neg__(self) -> Tensor:
        return self * -1.0

    def __sub__(self, other) -> Tensor:
        return self + -_tensor(other, self)

    def __rsub__(self, other) -> Tensor:
        return _tensor(other, self) - self

    def __truediv__(self, other) -> Tensor:
        return self * _tensor(other, self) ** -1.0

    def __rtruediv__(self, other) -> Tensor:
        return _tensor(other, self) / self

    __radd__ = __add__
    __rmul__ = __mul__

    def exp(self) -> Tensor:
        A = np.exp(self.data)
        return Tensor(A, (self,), lambda G: (G * A,))

    def log(self) -> Tensor:
        return Tensor(np.log(self.data), (self,), lambda G: (G / self.data,))

    def relu(self) -> Tensor:
        return Tensor(layers.relu(self.data), (self,), lambda G: (layers.relu_backward(G, self.data),))

    def sigmoid(self) -> Tensor:
        A = losses.sigmoid(self.data)
        return Tensor(A, (self,), lambda G: (layers.sigmoid_backward(G, A),))

    def tanh(self) -> Tensor:
        A = np.tanh(self.data)
        return Tensor(A, (self,), lambda G: (layers.tanh_backward(G, A),))

    def softmax(self) -> Tensor:
        """Softmax over the last axis."""
        P = losses.softmax(self.data)
        return Tensor(P, (self,), lambda G: (layers.softmax_backward(G, P),))

    def log_softmax(self) -> Tensor:
        """Logarithm of the softmax over the last axis, finite where the softmax itself would be 0."""
        L = losses.log_softmax(self.data)
        return Tensor(L, (self,), lambda G: (G - np.exp(L) * G.sum(axis=-1, keepdims=True),))

    def sum(self, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Tensor:
        kept = self.data.sum(axis=axis, keepdims=True)
        total = kept if keepdims else self.data.sum(axis=axis)
        return Tensor(total, (self,), lambda G: (np.broadcast_to(G.reshape(kept.shape), self.shape),))

    def mean(self, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Tensor:
        total = self.sum(axis, keepdims)
        return total * (total.data.size / self.data.size)

    def max(self, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Tensor:
        """The largest entry; where several are equally large, they share the gradient, as in PyTorch's ``amax``."""
        kept = self.data.max(axis=axis, keepdims=True)
        largest = kept if keepdims else self.data.max(axis=axis)
        share = self.data == kept

        def vjp(G):
            return (share * (G.reshape(kept.shape) / share.sum(axis=axis, keepdims=True, dtype=G.dtype)),)

        return Tensor(largest, (self,), vjp)

    def reshape(self, *shape: int | tuple[int, ...]) -> Tensor:
        return Tensor(self.data.reshape(*shape), (self,), lambda G: (G.reshape(self.shape),))

    def transpose(self, *axes: int) -> Tensor:
        """The axes in another order; reversed if none is given."""
        order = axes or tuple(reversed(range(self.data.ndim)))
        return Tensor(self.data.transpose(order), (self,), lambda G: (G.transpose(np.argsort(order)),))

    @property
    def T(self) -> Tensor:
        """The last two axes swapped: the transpose of each matrix of a batch."""
        return Tensor(self.data.swapaxes(-1, -2), (self,), lambda G: (G.swapaxes(-1, -2),))

    def __getitem__(self, index) -> Tensor:
        def vjp(G):
            dX = np.zeros_like(self.data)
            np.add.at(dX, index, G)  # an index that repeats must add up
            return (dX,)

        return Tensor(self.data[index], (self,), vjp)

    def cross_entropy(self, y: np.ndarray) -> Tensor:
        """Mean cross-entropy of these logits ``(N, C)`` against integer labels ``(N,)``."""
        loss = np.asarray(losses.cross_entropy(self.data, y), self.data.dtype)
        return Tensor(loss, (self,), lambda G: (G * losses.cross_entropy_grad(self.data, y),))


def _tensor(x, like: Tensor) -> Tensor:
    """``x`` as a tensor; a plain Python number takes the dtype of ``like``, so float32 stays float32."""
    if isinstance(x, Tensor):
        return x
    return Tensor(np.asarray(x, dtype=like.data.dtype if type(x) in (int, float) else None))


def _topological_order(root: Tensor) -> list[Tensor]:
    """All tensors that ``root`` depends on, parents before children. Iterative: depth is not limited."""
    order, seen, stack = [], set(), [(root, False)]
    while stack:
        node, parents_done = stack.pop()
        if parents_done:
            order.append(node)
        elif id(node) not in seen:
            seen.add(id(node))
            stack.append((node, True))
            stack.extend((parent, False) for parent in node.parents)
    return order
