"""Optimizers: the rules of chapter 7, as pure functions, and classes that change parameters in place.

A rule takes a parameter ``w``, its gradient ``g`` and the state of the optimizer, arrays of one shape (any), and
returns the new parameter and the new state. Its arguments stay as they are. State starts as zeros.
"""

import math
from collections.abc import Iterator

import numpy as np

from backprop.network import Params


def momentum_step(w: np.ndarray, g: np.ndarray, v: np.ndarray, lr: float, beta: float) -> tuple[np.ndarray, np.ndarray]:
    """One step with momentum: ``(w, v)``. The velocity ``v`` adds up gradients, as in ``torch.optim.SGD``."""
    v = beta * v + g
    return w - lr * v, v


def nesterov_step(w: np.ndarray, g: np.ndarray, v: np.ndarray, lr: float, beta: float) -> tuple[np.ndarray, np.ndarray]:
    """One step with Nesterov's momentum: ``(w, v)``, as ``torch.optim.SGD`` takes it (Sutskever et al. 2013).

    The velocity is that of :func:`momentum_step`; the step looks one decay further ahead.
    """
    v = beta * v + g
    return w - lr * (g + beta * v), v


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


class Optimizer:
    """Updates parameters in place by one of the rules above, with a state of its own for every array.

    Parameters
    ----------
    params : ``[(W, b), …]``, for example ``MLP.params``.
    lr : learning rate; may be changed between steps.
    """

    slots = 0  # arrays of state for each parameter

    def __init__(self, params: Params, lr: float):
        self.params = params
        self.lr = lr
        self.t = 0  # steps taken
        self.state = [[np.zeros_like(p) for _ in range(self.slots)] for layer in params for p in layer]

    def step(self, grads: Params) -> None:
        """Update the parameters in place.

        Parameters
        ----------
        grads : ``[(dW, db), …]``, each of the shape of its parameter; left as they are.

        Raises
        ------
        ValueError
            if there are not as many gradients as parameters, or one has another shape.
        """
        self.t += 1
        for i, (p, g) in enumerate(_pairs(self.params, grads)):
            p[...], *self.state[i] = self.rule(p, g, *self.state[i])

    def rule(self, w: np.ndarray, g: np.ndarray, *state: np.ndarray) -> tuple[np.ndarray, ...]:
        """The new parameter and the new state."""
        raise NotImplementedError


def _pairs(params: Params, grads: Params) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Every parameter with its gradient."""
    if len(params) != len(grads):
        raise ValueError(f"grads: expected {len(params)} pairs (dW, db), like params, got {len(grads)}")
    for i, (layer, layer_grads) in enumerate(zip(params, grads, strict=True)):
        for p, g in zip(layer, layer_grads, strict=True):
            if p.shape != g.shape:
                raise ValueError(
                    f"grads[{i}]: expected a gradient of shape {p.shape}, like its parameter, got {g.shape}"
                )
            yield p, g


class SGD(Optimizer):
    """Gradient descent: each step moves every parameter by ``-lr`` times its gradient."""

    def step(self, grads: Params) -> None:
        self.t += 1
        for p, g in _pairs(self.params, grads):
            p -= self.lr * g


class Momentum(Optimizer):
    """:func:`momentum_step` for every parameter, as ``torch.optim.SGD(momentum=beta)``."""

    slots = 1

    def __init__(self, params: Params, lr: float, beta: float = 0.9):
        super().__init__(params, lr)
        self.beta = beta

    def rule(self, w, g, v):
        return momentum_step(w, g, v, self.lr, self.beta)


class Nesterov(Momentum):
    """:func:`nesterov_step` for every parameter, as ``torch.optim.SGD(momentum=beta, nesterov=True)``."""

    def rule(self, w, g, v):
        return nesterov_step(w, g, v, self.lr, self.beta)


class AdaGrad(Optimizer):
    """:func:`adagrad_step` for every parameter, as ``torch.optim.Adagrad``."""

    slots = 1

    def __init__(self, params: Params, lr: float = 0.01, eps: float = 1e-10):
        super().__init__(params, lr)
        self.eps = eps

    def rule(self, w, g, s):
        return adagrad_step(w, g, s, self.lr, self.eps)


class RMSProp(Optimizer):
    """:func:`rmsprop_step` for every parameter, as ``torch.optim.RMSprop``."""

    slots = 1

    def __init__(self, params: Params, lr: float = 0.01, rho: float = 0.99, eps: float = 1e-8):
        super().__init__(params, lr)
        self.rho, self.eps = rho, eps

    def rule(self, w, g, s):
        return rmsprop_step(w, g, s, self.lr, self.rho, self.eps)


class Adam(Optimizer):
    """:func:`adam_step` for every parameter, as ``torch.optim.Adam``."""

    slots = 2

    def __init__(self, params: Params, lr: float = 1e-3, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8):
        super().__init__(params, lr)
        self.beta1, self.beta2, self.eps = beta1, beta2, eps

    def rule(self, w, g, m, v):
        return adam_step(w, g, m, v, self.t, self.lr, self.beta1, self.beta2, self.eps)


class AdamW(Adam):
    """:func:`adamw_step` for every parameter, as ``torch.optim.AdamW``; biases shrink as well."""

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ):
        super().__init__(params, lr, beta1, beta2, eps)
        self.weight_decay = weight_decay

    def rule(self, w, g, m, v):
        return adamw_step(w, g, m, v, self.t, self.lr, self.beta1, self.beta2, self.eps, self.weight_decay)
