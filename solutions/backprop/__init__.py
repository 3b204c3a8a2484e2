"""The library that the chapters of *Gradients by Hand* build up to, piece by piece."""

from backprop import datasets
from backprop.descent import gradient_descent, linear_mse_grads
from backprop.layers import (
    linear,
    linear_backward,
    matmul_backward,
    relu,
    relu_backward,
    sigmoid_backward,
    softmax_backward,
    tanh_backward,
    unbroadcast,
)
from backprop.losses import (
    bce_with_logits,
    bce_with_logits_grad,
    cross_entropy,
    cross_entropy_grad,
    log_softmax,
    logsumexp,
    mse,
    mse_grad,
    sigmoid,
    soft_cross_entropy,
    soft_cross_entropy_grad,
    softmax,
    softmax_jacobian,
)
from backprop.network import MLP, mlp_grads, two_layer_grads, two_layer_loss
from backprop.optimizers import SGD
from backprop.tensor import Tensor
from backprop.training import History, minibatches, train, train_epoch

__all__ = [
    "MLP",
    "SGD",
    "History",
    "Tensor",
    "bce_with_logits",
    "bce_with_logits_grad",
    "cross_entropy",
    "cross_entropy_grad",
    "datasets",
    "gradient_descent",
    "linear",
    "linear_backward",
    "linear_mse_grads",
    "log_softmax",
    "logsumexp",
    "matmul_backward",
    "minibatches",
    "mlp_grads",
    "mse",
    "mse_grad",
    "relu",
    "relu_backward",
    "sigmoid",
    "sigmoid_backward",
    "soft_cross_entropy",
    "soft_cross_entropy_grad",
    "softmax",
    "softmax_backward",
    "softmax_jacobian",
    "tanh_backward",
    "train",
    "train_epoch",
    "two_layer_grads",
    "two_layer_loss",
    "unbroadcast",
]
