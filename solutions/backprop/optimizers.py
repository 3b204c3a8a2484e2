"""Optimizers: the rules of chapter 7, as pure functions, and classes that change parameters in place.

A rule takes a parameter ``w``, its gradient ``g`` and the state of the optimizer, arrays of one shape (any), and
returns the new parameter and the new state. Its arguments stay as they are. State starts as zeros.
"""

import math

import numpy as np

from backprop.network import Params


def momentum_step(w: np.ndarray, g: np.ndarray, v: np.ndarray, lr: float, beta: float) -> tuple[np.ndarray, np.ndarray]:
    """One step with momentum: ``(w, v)``. The velocity ``v`` adds up gradients, as in ``torch.optim.SGD``."""
    v = beta * v + g
    return w - lr * v, v


def rmsprop_step(
    w: np.ndarray, g: np.ndarray, s: np.ndarray, lr: float, rho: float, eps: float
) -> tuple[np.ndarray, np.ndarray]:
    """One step of RMSProp: ``(w, s)``, with ``s`` a running average of the squared gradient."""
    s = rho * s + (1 - rho) * g**2
    return w - lr * g / (np.sqrt(s) + eps), s


def adagrad_step(w: np.ndarray, g: np.ndarray, s: np.ndarray, lr: float, eps: float) -> tuple[np.ndarray, np.ndarray]:
    """One step of AdaGrad (Duchi, Hazan & Singer 2011): ``(w, s)``, with ``s`` the sum of all squared gradients."""
    s = s + g**2
    return w - lr * g / (np.sqrt(s) + eps), s


def adam_step(
    w: np.ndarray,
    g: np.ndarray,
    m: np.ndarray,
    v: np.ndarray,
    t: int,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One step of Adam (Kingma & Ba 2015): ``(w, m, v)``.

    Parameters
    ----------
    w, g : parameter and gradient.
    m, v : running averages of the gradient and of its square. They are returned as they are;
        the correction of their bias towards the zeros they start from enters ``w`` alone.
    t : number of this step, from 1.
    lr, beta1, beta2, eps : learning rate, how much of each average is kept, and what keeps the division finite.
    """
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g**2
    m_hat = m / (1 - beta1**t)
    v_hat = v / (1 - beta2**t)
    return w - lr * m_hat / (np.sqrt(v_hat) + eps), m, v


def adamw_step(
    w: np.ndarray,
    g: np.ndarray,
    m: np.ndarray,
    v: np.ndarray,
    t: int,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One step of AdamW (Loshchilov & Hutter 2019): ``(w, m, v)``.

    The decay shrinks ``w`` directly; the gradient and its averages know nothing of it.
    """
    return adam_step((1 - lr * weight_decay) * w, g, m, v, t, lr, beta1, beta2, eps)


def cosine_schedule(step: int, total: int, warmup: int, peak: float) -> float:
    """Learning rate at ``step``: up to ``peak`` in a straight line, then down to 0 along half a cosine.

    Parameters
    ----------
    step : from 0 to ``total``.
    total : the step at which the rate is back at 0.
    warmup : the step at which the rate is highest, less than ``total``; 0 for no warm-up.
    peak : the highest rate.
    """
    if step < warmup:
        return peak * step / warmup
    progress = (step - warmup) / (total - warmup)
    return peak * (1 + math.cos(math.pi * progress)) / 2


class SGD:
    """Gradient descent: each step moves every parameter by ``-lr`` times its gradient.

    Parameters
    ----------
    params : ``[(W, b), …]``, for example ``MLP.params``.
    lr : learning rate.
    """

    def __init__(self, params: Params, lr: float):
        self.params = params
        self.lr = lr

    def step(self, grads: Params) -> None:
        """Update the parameters in place from gradients ``[(dW, db), …]``."""
        for layer, layer_grads in zip(self.params, grads, strict=True):
            for p, g in zip(layer, layer_grads, strict=True):
                p -= self.lr * g
