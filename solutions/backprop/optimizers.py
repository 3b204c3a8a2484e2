"""Optimizers: they change parameters in place, given gradients."""

from backprop.network import Params


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
