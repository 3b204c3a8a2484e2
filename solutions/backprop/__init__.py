"""The library that the chapters of *Gradients by Hand* build up to, piece by piece."""

from backprop import datasets
from backprop.clipping import clip_by_global_norm
from backprop.descent import gradient_descent, linear_mse_grads
from backprop.graph import backward, local_grads, topological_order
from backprop.initialization import he_init
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
from backprop.normalization import batchnorm_backward, batchnorm_forward
from backprop.numerical import central_difference, complex_step, gradcheck
from backprop.optimizers import (
    SGD,
    adagrad_step,
    adam_step,
    adamw_step,
    cosine_schedule,
    momentum_step,
    rmsprop_step,
)
from backprop.regularization import dropout_backward, dropout_forward, early_stop, l2_grad
from backprop.tensor import Tensor
from backprop.training import History, minibatches, train, train_epoch
from backprop.value import Value

__all__ = [
    "MLP",
    "SGD",
    "History",
    "Tensor",
    "Value",
    "adagrad_step",
    "adam_step",
    "adamw_step",
    "backward",
    "batchnorm_backward",
    "batchnorm_forward",
    "bce_with_logits",
    "bce_with_logits_grad",
    "central_difference",
    "clip_by_global_norm",
    "complex_step",
    "cosine_schedule",
    "cross_entropy",
    "cross_entropy_grad",
    "datasets",
    "dropout_backward",
    "dropout_forward",
    "early_stop",
    "gradcheck",
    "gradient_descent",
    "he_init",
    "l2_grad",
    "linear",
    "linear_backward",
    "linear_mse_grads",
    "local_grads",
    "log_softmax",
    "logsumexp",
    "matmul_backward",
    "minibatches",
    "mlp_grads",
    "momentum_step",
    "mse",
    "mse_grad",
    "relu",
    "relu_backward",
    "rmsprop_step",
    "sigmoid",
    "sigmoid_backward",
    "soft_cross_entropy",
    "soft_cross_entropy_grad",
    "softmax",
    "softmax_backward",
    "softmax_jacobian",
    "tanh_backward",
    "topological_order",
    "train",
    "train_epoch",
    "two_layer_grads",
    "two_layer_loss",
    "unbroadcast",
]
