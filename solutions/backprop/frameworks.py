"""PyTorch and TensorFlow beside NumPy, as in chapters 9 to 12. Importing this module imports neither."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from backprop.network import Params

if TYPE_CHECKING:
    import torch


@contextmanager
def quietly() -> Iterator[None]:
    """Keep what a library's compiled code says while it is imported from the notebook: ``with quietly(): import …``.

    TensorFlow reports at every start which instructions it uses and that it has found no GPU, past Python and past its
    own setting ``TF_CPP_MIN_LOG_LEVEL``, which is heeded only after the import. Exceptions come through.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def to_torch(params: Params) -> dict[str, torch.Tensor]:
    """State of ``nn.Sequential(nn.Linear, nn.ReLU, nn.Linear, …)``, for its ``load_state_dict``.

    Parameters
    ----------
    params : ``[(W, b), …]`` with ``W (D, M)`` and ``b (M,)``, as ``MLP`` has them; or their gradients.

    Returns
    -------
    dict
        ``"0.weight" (M, D)``, ``"0.bias" (M,)``, ``"2.weight"``, …: tensors of the same dtypes, in memory of their own.
        ``nn.Linear`` stores the transpose of ``W``.
    """
    import torch

    state = {}
    for i, (W, b) in enumerate(params):
        state[f"{2 * i}.weight"] = torch.tensor(W.T)  # every other module is a ReLU
        state[f"{2 * i}.bias"] = torch.tensor(b)
    return state


def to_keras(params: Params) -> list[np.ndarray]:
    """What ``set_weights`` of a ``keras.Sequential`` of ``Dense`` layers takes.

    Parameters
    ----------
    params : ``[(W, b), …]`` with ``W (D, M)`` and ``b (M,)``, as ``MLP`` has them; or their gradients.

    Returns
    -------
    list
        ``[W, b, W, b, …]``: the arrays themselves, since ``set_weights`` copies. ``Dense`` stores ``W`` as we do.
    """
    return [p for pair in params for p in pair]


def max_gap(a: Any, b: Any) -> float:
    """The largest difference between two nested sets of numbers, each relative to the size of what it is found in.

    Parameters
    ----------
    a, b : dicts, lists and tuples, one inside the other, of arrays, numbers, or tensors of PyTorch or TensorFlow, all
        of any dtype and anywhere. Both have the same keys, lengths and shapes; a list may stand beside a tuple.

    Returns
    -------
    float
        The largest ``|p - q| / max(|p|, |q|)`` over all pairs of arrays, where both maxima run over whole arrays. 0 for
        two arrays of zeros, and nan if anywhere in ``a`` or ``b`` there is a nan or an infinite number.

    Raises
    ------
    ValueError
        if structures, keys, lengths or shapes differ, or a gradient is None.
    """
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        if a.keys() != b.keys():
            raise ValueError(f"max_gap: expected equal keys, got {[*a]} and {[*b]}")
        pairs = [(a[key], b[key]) for key in a]
    elif isinstance(a, list | tuple) and isinstance(b, list | tuple):
        if len(a) != len(b):
            raise ValueError(f"max_gap: expected equal lengths, got {len(a)} and {len(b)}")
        pairs = [*zip(a, b, strict=True)]
    else:
        return _gap(_numbers(a), _numbers(b))
    return float(np.max([max_gap(p, q) for p, q in pairs], initial=0.0))  # unlike Python's, it lets no nan slip by


def _numbers(leaf: Any) -> np.ndarray:
    if leaf is None or isinstance(leaf, Mapping | list | tuple):
        kind = "None: was it ever computed?" if leaf is None else f"a {type(leaf).__name__}: the structures differ"
        raise ValueError(f"max_gap: expected an array or a tensor, got {kind}")
    if hasattr(leaf, "detach"):
        leaf = leaf.detach().cpu().double()  # NumPy has no bfloat16
    return np.asarray(leaf).astype(np.float64)


def _gap(p: np.ndarray, q: np.ndarray) -> float:
    if p.shape != q.shape:
        raise ValueError(f"max_gap: expected equal shapes, got {p.shape} and {q.shape}")
    with np.errstate(invalid="ignore"):
        scale = np.max(np.abs([p, q]), initial=0.0)
        return float(np.max(np.abs(p - q), initial=0.0) / scale) if scale != 0 else 0.0
