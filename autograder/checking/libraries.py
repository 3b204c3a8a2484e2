"""Functions and gradients of NumPy, PyTorch and TensorFlow, all called with NumPy arrays and giving NumPy arrays."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Arrays = list[np.ndarray]


def library_of(inputs: Sequence) -> "NumPy":
    """The library that inputs belong to; PyTorch and TensorFlow are imported only for tensors of theirs."""
    homes = {type(x).__module__.partition(".")[0] for x in inputs}
    if {"torch", "tensorflow"} <= homes:
        raise TypeError("gradcheck: the inputs are tensors of PyTorch and of TensorFlow; give those of one library")
    if "torch" in homes:
        return Torch(inputs)
    return TensorFlow(inputs) if "tensorflow" in homes else NumPy(inputs)


class NumPy:
    """Calls with NumPy arrays.

    Attributes
    ----------
    inputs : what calls get: floating-point inputs in double precision, all others as they were given.
    moving : positions of the inputs whose gradients are asked for.
    single : positions of floating-point inputs that were not given in double precision.
    differentiates : whether the library can tell a function's gradient by itself.
    """

    differentiates = False

    def __init__(self, inputs: Sequence):
        self.given = tuple(inputs)
        self.moving = [k for k, x in enumerate(inputs) if self._moves(x)]
        self.single = [k for k, x in enumerate(inputs) if self._floating(x) and self._precision(x) < 8]
        self.inputs = tuple(self._array(x) if k in self.moving else self._constant(x) for k, x in enumerate(self.given))

    def values(self, f: Callable, inputs: Sequence) -> Arrays:
        """The outputs of ``f``."""
        return [self._numbers(item) for item in _items(f(*self._native(inputs)))]

    def gradients(self, f: Callable, vjp: Callable | None, upstream: Arrays, inputs: Sequence) -> Any:
        """The gradients of the inputs, in the structure in which ``vjp`` gives them, or as a list for all that move."""
        assert vjp is not None
        native = [self._tensor(v if v.ndim else v[()], self.given[self.moving[0]]) for v in upstream]
        value = vjp(native[0] if len(native) == 1 else tuple(native), *self._native(inputs))
        if isinstance(value, tuple | list):
            return type(value)(self._detached(item) for item in value)
        return self._detached(value)

    def _native(self, inputs: Sequence) -> list:
        return [self._tensor(x, self.given[k]) if k in self.moving else x for k, x in enumerate(inputs)]

    def _moves(self, x: Any) -> bool:
        return self._floating(x)

    def _floating(self, x: Any) -> bool:
        return isinstance(x, float | np.floating) or (isinstance(x, np.ndarray) and x.dtype.kind == "f")

    def _precision(self, x: Any) -> int:
        return np.asarray(x).dtype.itemsize

    def _array(self, x: Any) -> np.ndarray | float:
        return float(x) if isinstance(x, float | np.floating) else np.array(x, np.float64)

    def _constant(self, x: Any) -> Any:
        return x

    def _tensor(self, a: Any, like: Any) -> Any:
        return a

    def _numbers(self, item: Any) -> np.ndarray:
        return np.asarray(item)

    def _detached(self, item: Any) -> Any:
        return item


class Torch(NumPy):
    """Calls with PyTorch tensors. If any of them requires a gradient, those that don't are constants."""

    differentiates = True

    def __init__(self, inputs: Sequence):
        import torch

        self.torch = torch
        self.some_require = any(isinstance(x, torch.Tensor) and x.requires_grad for x in inputs)
        super().__init__(inputs)

    def values(self, f: Callable, inputs: Sequence) -> Arrays:
        with self.torch.no_grad():
            return super().values(f, inputs)

    def gradients(self, f: Callable, vjp: Callable | None, upstream: Arrays, inputs: Sequence) -> Any:
        if vjp is not None:
            return super().gradients(f, vjp, upstream, inputs)
        native = self._native(inputs)
        asked = [native[k].requires_grad_() for k in self.moving]
        outputs = _items(f(*native))
        device = asked[0].device
        towards = [self.torch.from_numpy(v).to(device) for v in upstream]
        found = self.torch.autograd.grad(outputs, asked, towards, allow_unused=True)
        return [self._detached(g) for g in found]

    def _floating(self, x: Any) -> bool:
        return isinstance(x, self.torch.Tensor) and x.is_floating_point()

    def _moves(self, x: Any) -> bool:
        return self._floating(x) and (x.requires_grad or not self.some_require)

    def _precision(self, x: Any) -> int:
        return x.element_size()

    def _array(self, x: Any) -> np.ndarray:
        return np.array(x.detach().cpu().double().numpy())

    def _constant(self, x: Any) -> Any:
        return x.detach().double() if self._floating(x) else x

    def _tensor(self, a: Any, like: Any) -> Any:
        return self.torch.from_numpy(np.asarray(a)).to(like.device)

    def _numbers(self, item: Any) -> np.ndarray:
        return item.detach().cpu().numpy() if isinstance(item, self.torch.Tensor) else np.asarray(item)

    def _detached(self, item: Any) -> Any:
        return self._numbers(item) if isinstance(item, self.torch.Tensor) else item


class TensorFlow(NumPy):
    """Calls with TensorFlow tensors; variables count by their values."""

    differentiates = True

    def __init__(self, inputs: Sequence):
        import tensorflow

        self.tf = tensorflow
        super().__init__(inputs)

    def gradients(self, f: Callable, vjp: Callable | None, upstream: Arrays, inputs: Sequence) -> Any:
        if vjp is not None:
            return super().gradients(f, vjp, upstream, inputs)
        native = self._native(inputs)
        asked = [native[k] for k in self.moving]
        with self.tf.GradientTape() as tape:
            tape.watch(asked)
            outputs = _items(f(*native))
        towards = [self.tf.constant(v) for v in upstream]
        return [self._detached(g) for g in tape.gradient(outputs, asked, towards)]

    def _floating(self, x: Any) -> bool:
        return hasattr(x, "dtype") and self.tf.is_tensor(x) and x.dtype.is_floating

    def _precision(self, x: Any) -> int:
        return x.dtype.size

    def _array(self, x: Any) -> np.ndarray:
        return np.array(self.tf.cast(x, self.tf.float64).numpy())

    def _constant(self, x: Any) -> Any:
        return self.tf.convert_to_tensor(x) if isinstance(x, self.tf.Variable) else x

    def _tensor(self, a: Any, like: Any) -> Any:
        return self.tf.constant(a)

    def _numbers(self, item: Any) -> np.ndarray:
        return self.tf.convert_to_tensor(item).numpy() if self.tf.is_tensor(item) else np.asarray(item)

    def _detached(self, item: Any) -> Any:
        is_tensor = self.tf.is_tensor(item) or isinstance(item, self.tf.IndexedSlices)
        return self.tf.convert_to_tensor(item).numpy() if is_tensor else item


def _items(value: Any) -> list:
    """A tuple, or a list of arrays, is several outputs; anything else is one."""
    several = isinstance(value, tuple) or (isinstance(value, list) and any(getattr(x, "shape", ()) for x in value))
    return list(value) if several else [value]
