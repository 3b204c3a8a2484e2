"""Layers forward and backward, as derived in chapter 5.

A backward function takes the gradient of the loss with respect to the layer's output and
returns it with respect to the layer's inputs: a vector-Jacobian product, without the Jacobian.
"""

import numpy as np


def linear(X: np.ndarray, W: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Affine map ``X @ W + b``: ``(N, D)``, ``(D, M)``, ``(M,)`` to ``(N, M)``."""
    return X @ W + b


def linear_backward(dZ: np.ndarray, X: np.ndarray, W: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradients ``(dX, dW, db)`` of ``Z = X @ W + b`` from ``dZ``, ``(N, M)``."""
    return dZ @ W.T, X.T @ dZ, dZ.sum(axis=0)


def relu(Z: np.ndarray) -> np.ndarray:
    """``max(Z, 0)``, elementwise."""
    return np.maximum(Z, 0)


def relu_backward(dA: np.ndarray, Z: np.ndarray) -> np.ndarray:
    """Gradient through :func:`relu` at the pre-activation ``Z``; 0 where ``Z`` is 0."""
    return dA * (Z > 0)


def sigmoid_backward(dA: np.ndarray, A: np.ndarray) -> np.ndarray:
    """Gradient through the sigmoid whose *output* was ``A``."""
    return dA * A * (1 - A)


def tanh_backward(dA: np.ndarray, A: np.ndarray) -> np.ndarray:
    """Gradient through the hyperbolic tangent whose *output* was ``A``."""
    return dA * (1 - A * A)


def softmax_backward(dP: np.ndarray, P: np.ndarray) -> np.ndarray:
    """Gradient through a row-wise softmax whose *output* was ``P``, ``(N, C)``.

    The Jacobian of a row is ``diag(p) - p pᵀ``; its product with ``dP`` needs no ``(N, C, C)`` array.
    """
    return P * (dP - (dP * P).sum(axis=-1, keepdims=True))


def unbroadcast(G: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Sum ``G`` down to ``shape``, over every axis along which broadcasting had repeated values.

    Raises
    ------
    ValueError
        if an array of this shape could not have been broadcast to ``G.shape``.
    """
    if np.broadcast_shapes(G.shape, shape) != G.shape:
        raise ValueError(f"an array of shape {shape} does not broadcast to {G.shape}")
    G = G.sum(axis=tuple(range(G.ndim - len(shape))))
    repeated = tuple(i for i, n in enumerate(shape) if n == 1 and G.shape[i] != 1)
    return G.sum(axis=repeated, keepdims=True)


def matmul_backward(dY: np.ndarray, A: np.ndarray, B: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gradients ``(dA, dB)`` of ``Y = A @ B``; leading batch axes may have been broadcast.

    Parameters
    ----------
    dY : upstream gradient, shape of ``A @ B``.
    A, B : the factors, ``(..., n, k)`` and ``(..., k, m)``.
    """
    dA = dY @ B.swapaxes(-1, -2)
    dB = A.swapaxes(-1, -2) @ dY
    return unbroadcast(dA, A.shape), unbroadcast(dB, B.shape)
