"""Batch normalisation, forward and backward, as derived in chapter 8.

Source: Ioffe & Szegedy 2015.
"""

from typing import Any

import numpy as np


def batchnorm_forward(
    X: np.ndarray, gamma: np.ndarray, beta: np.ndarray, eps: float
) -> tuple[np.ndarray, dict[str, Any]]:
    """Bring every column to mean 0 and variance 1, then stretch it by ``gamma`` and shift it by ``beta``.

    Parameters
    ----------
    X : inputs, ``(N, D)``. Mean and (biased) variance are those of the batch, column by column.
    gamma, beta : ``(D,)``.
    eps : added to the variance, so that a constant column does no harm.

    Returns
    -------
    ``Y``, ``(N, D)``, and what the backward pass needs: ``X_hat (N, D)``, ``std (D,)`` and ``gamma (D,)``. The
    cache also holds ``X``, ``mu``, ``var`` and ``eps``, for those who want to go back step by step.
    """
    mu, var = X.mean(axis=0), X.var(axis=0)
    std = np.sqrt(var + eps)
    X_hat = (X - mu) / std
    cache = {"X_hat": X_hat, "std": std, "gamma": gamma, "X": X, "mu": mu, "var": var, "eps": eps}
    return gamma * X_hat + beta, cache


def batchnorm_backward(dY: np.ndarray, cache: dict[str, Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradients ``(dX, dgamma, dbeta)`` from ``dY``, ``(N, D)``, and the cache of :func:`batchnorm_forward`.

    A number in X reaches its column of ``X_hat`` in three ways: directly, through the mean and through the variance.
    """
    X_hat, std, gamma = cache["X_hat"], cache["std"], cache["gamma"]
    dX_hat = dY * gamma
    through_mean = dX_hat.mean(axis=0)
    through_variance = X_hat * (dX_hat * X_hat).mean(axis=0)
    dX = (dX_hat - through_mean - through_variance) / std
    return dX, (dY * X_hat).sum(axis=0), dY.sum(axis=0)
