"""Losses and their gradients, as derived in chapters 1 and 2.

Averages follow one rule: MSE is the mean over all elements, without a factor ½;
cross-entropy is computed from logits, in nats, and is the mean over the batch.
"""

import numpy as np


def mse(Y_hat: np.ndarray, Y: np.ndarray) -> float:
    """Mean squared error over all elements, as ``torch.nn.MSELoss`` and Keras define it.

    Parameters
    ----------
    Y_hat, Y : predictions and targets, arrays of the same shape.
    """
    return float(np.mean((Y_hat - Y) ** 2))


def mse_grad(Y_hat: np.ndarray, Y: np.ndarray) -> np.ndarray:
    """Gradient of :func:`mse` with respect to ``Y_hat``, same shape as ``Y_hat``."""
    return 2 * (Y_hat - Y) / Y_hat.size


def logsumexp(Z: np.ndarray) -> np.ndarray:
    """``log(sum(exp(Z)))`` along the last axis, which is kept with size 1.

    Shifted by the maximum, so that no exponential overflows.
    """
    shift = Z.max(axis=-1, keepdims=True)
    return shift + np.log(np.exp(Z - shift).sum(axis=-1, keepdims=True))


def log_softmax(Z: np.ndarray) -> np.ndarray:
    """Logarithm of the softmax of each row of ``Z``, shape ``(N, C)``; finite wherever differences of logits are."""
    return Z - logsumexp(Z)


def softmax(Z: np.ndarray) -> np.ndarray:
    """Probabilities ``(N, C)`` from logits ``(N, C)``; each row sums to 1."""
    E = np.exp(Z - Z.max(axis=-1, keepdims=True))
    return E / E.sum(axis=-1, keepdims=True)


def softmax_jacobian(p: np.ndarray) -> np.ndarray:
    """Jacobian ``(C, C)`` of the softmax at the probabilities ``p``, shape ``(C,)``.

    Entry ``[j, k]`` is the derivative of ``p[j]`` with respect to logit ``k``.
    """
    return np.diag(p) - np.outer(p, p)


def cross_entropy(Z: np.ndarray, y: np.ndarray) -> float:
    """Mean cross-entropy in nats, as ``torch.nn.CrossEntropyLoss`` defines it.

    Parameters
    ----------
    Z : logits, ``(N, C)``.
    y : integer class labels, ``(N,)``, each in ``0 … C-1``.
    """
    return float(-np.mean(log_softmax(Z)[np.arange(len(y)), y]))


def cross_entropy_grad(Z: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Gradient ``(N, C)`` of :func:`cross_entropy` with respect to the logits: ``(P - onehot) / N``."""
    dZ = softmax(Z)
    dZ[np.arange(len(y)), y] -= 1
    dZ /= len(y)
    return dZ


def cross_entropy_and_grad(Z: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray]:
    """:func:`cross_entropy` and :func:`cross_entropy_grad` at once, from the same exponentials."""
    N = len(y)
    examples = np.arange(N)
    S = Z.T.copy()  # a row for each class: NumPy works fastest along rows that are long
    S -= S.max(axis=0)
    P = np.exp(S)
    sums = P.sum(axis=0)
    loss = (np.log(sums) - S[y, examples]).sum() / N
    P /= N * sums
    P[y, examples] -= 1 / N
    return float(loss), P.T


def soft_cross_entropy(Z: np.ndarray, T: np.ndarray) -> float:
    """Mean cross-entropy in nats against target distributions ``T``, ``(N, C)``, whose rows sum to 1."""
    return float(-np.mean(np.sum(T * log_softmax(Z), axis=-1)))


def soft_cross_entropy_grad(Z: np.ndarray, T: np.ndarray) -> np.ndarray:
    """Gradient ``(N, C)`` of :func:`soft_cross_entropy` with respect to the logits."""
    return (softmax(Z) - T) / len(Z)


def sigmoid(z: np.ndarray) -> np.ndarray:
    """Logistic function ``1 / (1 + exp(-z))``, elementwise, without overflow.

    Both branches see only ``exp`` of a number that is not positive.
    """
    e = np.exp(-np.abs(z))
    return np.where(z >= 0, 1, e) / (1 + e)


def bce_with_logits(z: np.ndarray, t: np.ndarray) -> float:
    """Mean binary cross-entropy in nats, as ``torch.nn.BCEWithLogitsLoss`` defines it.

    Parameters
    ----------
    z : logits, ``(N,)``.
    t : targets in ``[0, 1]``, ``(N,)``.
    """
    return float(np.mean(np.logaddexp(0, z) - t * z))


def bce_with_logits_grad(z: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Gradient ``(N,)`` of :func:`bce_with_logits` with respect to the logits."""
    return (sigmoid(z) - t) / len(z)
