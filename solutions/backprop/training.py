"""Training loops, as in chapter 6."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from tqdm import tqdm

from backprop.losses import cross_entropy
from backprop.network import MLP, Params, mlp_grads
from backprop.optimizers import SGD, Optimizer


@dataclass
class History:
    """One entry per epoch. ``loss`` is the mean over the epoch's batches, as they were trained on."""

    loss: list[float] = field(default_factory=list)
    validation_loss: list[float] = field(default_factory=list)
    validation_accuracy: list[float] = field(default_factory=list)


def minibatches(N: int, batch_size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Indices ``0 … N-1`` in random order, ``batch_size`` at a time; the last batch may be shorter."""
    order = rng.permutation(N)
    for start in range(0, N, batch_size):
        yield order[start : start + batch_size]


def train_epoch(
    params: Params, X: np.ndarray, y: np.ndarray, lr: float, batch_size: int, rng: np.random.Generator
) -> Params:
    """One pass of gradient descent over shuffled minibatches; returns new parameters.

    Parameters
    ----------
    params : ``[(W, b), …]``; left as they are.
    X, y : inputs ``(N, D)`` and integer labels ``(N,)``.
    lr : learning rate.
    batch_size : examples per step; the last batch of the epoch may be shorter.
    rng : decides the order of the examples.
    """
    params = [(W.copy(), b.copy()) for W, b in params]
    optimizer = SGD(params, lr)
    for batch in minibatches(len(X), batch_size, rng):
        optimizer.step(mlp_grads(params, X[batch], y[batch]))
    return params


def train(
    model: MLP,
    optimizer: Optimizer,
    X: np.ndarray,
    y: np.ndarray,
    epochs: int = 20,
    batch_size: int = 64,
    seed: int = 0,
    validation: tuple[np.ndarray, np.ndarray] | None = None,
    schedule: Callable[[int], float] | None = None,
) -> History:
    """Train a model in place, with a progress bar.

    Parameters
    ----------
    model : has ``loss_and_grads(X, y)``; ``optimizer`` updates its parameters.
    X, y : training inputs ``(N, D)`` and integer labels ``(N,)``.
    epochs : passes over the data.
    batch_size : examples per step; the last batch of an epoch may be shorter.
    seed : of the shuffling.
    validation : ``(X, y)`` on which loss and accuracy are measured after every epoch.
    schedule : gives the learning rate of a step, from the number of steps before it; the optimizer's own if left out.
    """
    if len(X) != len(y):
        raise ValueError(f"X and y must have one entry per example; got {len(X)} inputs and {len(y)} labels")
    rng = np.random.default_rng(seed)
    history = History()
    bar = tqdm(range(epochs), desc="training", unit="epoch", leave=False)
    for _ in bar:
        total = 0.0
        for batch in minibatches(len(X), batch_size, rng):
            if schedule is not None:
                optimizer.lr = schedule(optimizer.t)
            loss, grads = model.loss_and_grads(X[batch], y[batch])
            optimizer.step(grads)
            total += loss * len(batch)
        history.loss.append(total / len(X))
        if validation is not None:
            Z, y_val = model(validation[0]), validation[1]
            history.validation_loss.append(cross_entropy(Z, y_val))
            history.validation_accuracy.append(float(np.mean(Z.argmax(axis=1) == y_val)))
            bar.set_postfix(accuracy=f"{history.validation_accuracy[-1]:.3f}", refresh=False)
    return history
