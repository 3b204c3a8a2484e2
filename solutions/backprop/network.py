"""Networks of linear layers with ReLU between them, and their gradients, as in chapter 6."""

from itertools import pairwise

import numpy as np

from backprop.layers import linear, linear_backward, relu, relu_backward
from backprop.losses import cross_entropy, cross_entropy_and_grad, cross_entropy_grad

Params = list[tuple[np.ndarray, np.ndarray]]


def two_layer_loss(params: dict[str, np.ndarray], X: np.ndarray, y: np.ndarray) -> float:
    """Cross-entropy of ``X → linear → ReLU → linear``.

    Parameters
    ----------
    params : ``W1 (D, H)``, ``b1 (H,)``, ``W2 (H, C)``, ``b2 (C,)``.
    X : inputs, ``(N, D)``.
    y : integer labels, ``(N,)``.
    """
    A1 = relu(linear(X, params["W1"], params["b1"]))
    return cross_entropy(linear(A1, params["W2"], params["b2"]), y)


def two_layer_grads(params: dict[str, np.ndarray], X: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    """Gradients of :func:`two_layer_loss`, under the same keys and with the same shapes as ``params``."""
    Z1 = linear(X, params["W1"], params["b1"])
    A1 = relu(Z1)
    Z2 = linear(A1, params["W2"], params["b2"])

    dZ2 = cross_entropy_grad(Z2, y)
    dA1, dW2, db2 = linear_backward(dZ2, A1, params["W2"])
    dZ1 = relu_backward(dA1, Z1)
    _, dW1, db1 = linear_backward(dZ1, X, params["W1"])
    return {"W1": dW1, "b1": db1, "W2": dW2, "b2": db2}


def mlp_forward(params: Params, X: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    """Logits ``(N, C)``, and the input of every layer: ``X`` first, then each hidden activation."""
    inputs = [X]
    for i, (W, b) in enumerate(params, start=1):
        Z = inputs[-1] @ W
        Z += b  # in place: the product is ours, and a new array would cost more than the sum
        if i < len(params):
            zeros = np.zeros(b.shape, b.dtype)  # a row of them: beside a lone 0, NumPy takes twice as long
            inputs.append(np.maximum(Z, zeros, out=Z))
    return Z, inputs


def mlp_backward(params: Params, inputs: list[np.ndarray], dZ: np.ndarray) -> Params:
    """Gradients ``[(dW, db), …]``, from that of the logits ``(N, C)`` and the inputs of :func:`mlp_forward`."""
    ones = np.ones(len(dZ), dZ.dtype)
    grads: Params = []
    for (W, _), A in zip(reversed(params), reversed(inputs), strict=True):
        grads.append((A.T @ dZ, ones @ dZ))  # a sum over the batch is a product as well
        if A is not inputs[0]:
            dZ = dZ @ W.T
            dZ *= A > 0  # exactly where Z > 0
    return grads[::-1]


def mlp_loss_and_grads(params: Params, X: np.ndarray, y: np.ndarray) -> tuple[float, Params]:
    """Cross-entropy of the network and its gradients ``[(dW, db), …]``.

    Parameters
    ----------
    params : ``[(W, b), …]``, ReLU between the layers, none after the last.
    X : inputs, ``(N, D)``.
    y : integer labels, ``(N,)``.
    """
    Z, inputs = mlp_forward(params, X)
    loss, dZ = cross_entropy_and_grad(Z, y)
    return loss, mlp_backward(params, inputs, dZ)


def mlp_grads(params: Params, X: np.ndarray, y: np.ndarray) -> Params:
    """The gradients alone; see :func:`mlp_loss_and_grads`."""
    return mlp_loss_and_grads(params, X, y)[1]


def _at_cache_line(a: np.ndarray) -> np.ndarray:
    """A copy that begins at a multiple of 64 bytes, where NumPy promises 16: its update takes up to half the time."""
    room = np.empty(a.nbytes + 64, np.uint8)
    start = -room.ctypes.data % 64
    copy = room[start : start + a.nbytes].view(a.dtype).reshape(a.shape)
    copy[...] = a
    return copy


class MLP:
    """A multilayer perceptron that classifies: linear layers with ReLU between them.

    Parameters
    ----------
    sizes : units per layer, from the inputs ``D`` to the classes ``C``, e.g. ``[64, 128, 10]``.
    seed : of the initial weights, which are He-initialised: normal, variance 2 / fan-in. Biases start at 0.
    dtype : of parameters and computation.

    Source: He et al. 2015.
    """

    def __init__(self, sizes: list[int], seed: int = 0, dtype: type = np.float64):
        if len(sizes) < 2:
            raise ValueError(f"MLP needs at least an input and an output size, e.g. [64, 10]; got {sizes}")
        rng = np.random.default_rng(seed)
        self.dtype = dtype
        self.params: Params = [
            (_at_cache_line((rng.standard_normal((d, m)) * np.sqrt(2 / d)).astype(dtype)), np.zeros(m, dtype))
            for d, m in pairwise(sizes)
        ]

    def __call__(self, X: np.ndarray) -> np.ndarray:
        """Logits ``(N, C)`` for inputs ``(N, D)``."""
        return mlp_forward(self.params, self._inputs(X))[0]

    def predict(self, X: np.ndarray) -> np.ndarray:
        """The most probable class of each input, ``(N,)``."""
        return self(X).argmax(axis=1)

    def loss_and_grads(self, X: np.ndarray, y: np.ndarray) -> tuple[float, Params]:
        """Mean cross-entropy, and its gradients ``[(dW, db), …]`` in the order of ``params``."""
        return mlp_loss_and_grads(self.params, self._inputs(X), y)

    def sgd_step(self, X: np.ndarray, y: np.ndarray, lr: float) -> float:
        """Take one step of gradient descent in place, as ``SGD`` would, and return the loss before it.

        The learning rate enters at the top: the backward pass is linear, so the gradients of ``lr · loss`` come out
        already multiplied, and nothing the size of the weights has to be.
        """
        Z, inputs = mlp_forward(self.params, self._inputs(X))
        loss, dZ = cross_entropy_and_grad(Z, y)
        dZ *= lr
        for (W, b), (step_W, step_b) in zip(self.params, mlp_backward(self.params, inputs, dZ), strict=True):
            W -= step_W
            b -= step_b
        return loss

    def _inputs(self, X: np.ndarray) -> np.ndarray:
        X = np.asarray(X, dtype=self.dtype)
        D = len(self.params[0][0])
        if X.ndim != 2 or X.shape[1] != D:
            raise ValueError(f"X: expected shape (N, {D}), got {X.shape}; flatten images with X.reshape(len(X), -1)")
        return X
