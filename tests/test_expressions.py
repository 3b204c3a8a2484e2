"""``Value`` and ``Tensor`` on random expressions, with values used again and again and broadcast, beside PyTorch."""

import math
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import mutually_broadcastable_shapes

import backprop
from backprop import Tensor, Value

seeds = st.integers(0, 2**32 - 1)

# Functions of values, of tensors and of PyTorch's tensors alike, that stay finite whatever they are given.
SCALAR = {
    "a + b": lambda a, b: a + b,
    "a - b": lambda a, b: a - b,
    "3 - a": lambda a, b: 3 - a,
    "a b": lambda a, b: 0.5 * (a * b).tanh() * a,
    "a / (1 + b²)": lambda a, b: a / (b * b + 1),
    "1 / (1 + a²)": lambda a, b: 1 / (1 + a**2),
    "(1 + a²)^-1.5": lambda a, b: (a * a + 1) ** -1.5,
    "exp": lambda a, b: a.tanh().exp(),
    "log": lambda a, b: (a * a + 1).log(),
    "tanh": lambda a, b: a.tanh(),
    "relu": lambda a, b: (a + 0.3).relu(),
}
ARRAYS = SCALAR | {
    "sum of rows": lambda a, b: a - a.sum(axis=0, keepdims=True) * 0.1,
    "mean": lambda a, b: a * b.mean(),
    "mean of columns": lambda a, b: a + b.tanh().mean(axis=-1, keepdims=True),
    "sigmoid": lambda a, b: a.sigmoid() * b,
    "softmax": lambda a, b: softmax(a) + b,
    "log-softmax": lambda a, b: log_softmax(a) * softmax(b),
    "max": lambda a, b: a - amax(a, -1),
    "max of all": lambda a, b: b / (amax(a) ** 2 + 1),
    "product with itself": lambda a, b: a @ swapped(a) @ a * 0.1,
    "slices": lambda a, b: a[..., ::2].sum() * 0.1 + b,
    "repeated indices": lambda a, b: a[[0, -1, 0]].tanh().sum(axis=0, keepdims=True) + b * 0,
    "reshaped": lambda a, b: a.reshape(-1).tanh().sum() + b,
    "transposed": lambda a, b: transposed(transposed(a) * 2),
}
OF_MATRICES = ("product with itself", "repeated indices", "transposed")


def softmax(a):
    return a.softmax() if isinstance(a, Tensor) else torch.softmax(a, -1)


def log_softmax(a):
    return a.log_softmax() if isinstance(a, Tensor) else torch.log_softmax(a, -1)


def amax(a, *axis):
    keep = {"keepdims": True} if axis else {}
    return a.max(*axis, **keep) if isinstance(a, Tensor) else torch.amax(a, *axis or [()], **keep)


def swapped(a):
    return a.T if isinstance(a, Tensor) else a.mT


def transposed(a):
    return a.transpose() if isinstance(a, Tensor) else a.permute(*reversed(range(a.ndim)))


def programs(names):
    """Steps of an expression: each takes the results of two earlier steps, or of one twice."""
    return st.lists(
        st.tuples(st.sampled_from(sorted(names)), st.integers(0, 99), st.integers(0, 99)), min_size=1, max_size=12
    )


def run(program, table, leaves):
    results = list(leaves)
    for name, i, j in program:
        results.append(table[name](results[i % len(results)], results[j % len(results)]))
    return results


@given(programs(SCALAR), st.lists(st.floats(-2, 2), min_size=1, max_size=4))
def test_value_agrees_with_pytorch_on_any_expression(program, numbers):
    ours = [Value(x) for x in numbers]
    theirs = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in numbers]
    mine, right = run(program, SCALAR, ours)[-1], run(program, SCALAR, theirs)[-1]
    assert mine.data == pytest.approx(right.item(), rel=1e-12, abs=1e-12)
    mine.backward()
    right.backward()
    for value, leaf in zip(ours, theirs, strict=True):
        assert value.grad == pytest.approx(0.0 if leaf.grad is None else leaf.grad.item(), rel=1e-10, abs=1e-10)


@given(programs(ARRAYS), mutually_broadcastable_shapes(num_shapes=3, min_dims=1, max_dims=3, max_side=3), seeds)
def test_tensor_agrees_with_pytorch_on_any_expression(program, shapes, seed):
    rng = np.random.default_rng(seed)
    arrays = [rng.standard_normal(shape) for shape in shapes.input_shapes]
    if any(len(shape) < 2 for shape in shapes.input_shapes):
        program = [step for step in program if step[0] not in OF_MATRICES]
    leaves = [Tensor(array) for array in arrays]
    mine = run(program, ARRAYS, leaves)
    upstream = rng.standard_normal(mine[-1].shape)
    mine[-1].backward(upstream)
    theirs = [torch.tensor(array, requires_grad=True) for array in arrays]
    right = run(program, ARRAYS, theirs)
    right[-1].backward(torch.tensor(upstream))
    for a, b in zip(mine, right, strict=True):
        np.testing.assert_allclose(a.data, b.detach().numpy(), rtol=1e-10, atol=1e-10)
    for a, b in zip(leaves, theirs, strict=True):
        expected = np.zeros(b.shape) if b.grad is None else b.grad.numpy()
        np.testing.assert_allclose(np.zeros(a.shape) if a.grad is None else a.grad, expected, rtol=1e-9, atol=1e-9)
    grads = [a.grad for a in leaves if a.grad is not None]
    assert not any(np.shares_memory(g, other) for g in grads for other in [*arrays, upstream])
    assert not any(np.shares_memory(g, h) for i, g in enumerate(grads) for h in grads[:i])


@given(st.sampled_from([((3,), (3,)), ((3,), (3, 2)), ((2, 3), (3,)), ((4,), (5, 4, 2)), ((5, 2, 4), (4,))]), seeds)
def test_products_with_vectors_are_pytorchs(shapes, seed):
    rng = np.random.default_rng(seed)
    arrays = [rng.standard_normal(shape) for shape in shapes]
    a, b = map(Tensor, arrays)
    s, t = (torch.tensor(array, requires_grad=True) for array in arrays)
    mine, right = a @ b, s @ t
    np.testing.assert_allclose(mine.data, right.detach().numpy())
    upstream = rng.standard_normal(mine.shape)
    mine.backward(upstream)
    right.backward(torch.tensor(upstream))
    np.testing.assert_allclose(a.grad, s.grad.numpy())
    np.testing.assert_allclose(b.grad, t.grad.numpy())


def test_single_precision_stays_single():
    rng = np.random.default_rng(0)
    X, W, b = (Tensor(rng.standard_normal(shape).astype(np.float32)) for shape in ((5, 4), (4, 3), 3))
    y = np.array([0, 2, 1, 1, 0])
    Z = (X @ W + b).relu()
    for loss in (Z.cross_entropy(y), (Z.log_softmax()[np.arange(5), y]).mean(), (Z.exp() / 2 - 1).max(axis=1).sum()):
        assert loss.data.dtype == np.float32
        loss.backward()
        assert X.grad.dtype == W.grad.dtype == b.grad.dtype == np.float32


def test_the_largest_entries_share_the_gradient():
    a = Tensor([[1.0, 4.0, 4.0], [2.0, 0.0, -1.0]])
    a.max(axis=1).sum().backward()
    np.testing.assert_array_equal(a.grad, [[0, 0.5, 0.5], [1, 0, 0]])


def test_values_and_tensors_may_be_deeper_than_pythons_recursion_limit():
    depth = 5 * sys.getrecursionlimit()
    for x, slope in ((Value(1.0), float), (Tensor([1.0]), lambda g: g[0])):
        y = x
        for _ in range(depth):
            y = y + x
        y.backward()
        assert slope(x.grad) == depth + 1


def test_value_says_what_it_is_and_takes_numbers_on_either_side():
    x = Value(3, "x")
    assert repr(x) == "Value(x: 3, grad=0)"
    y = 2**x - 6 / x + (1 - x) * 2
    assert y.data == 8 - 2 - 4
    y.backward()
    assert x.grad == pytest.approx(8 * math.log(2) + 6 / 9 - 2)
    y.backward()
    assert x.grad == pytest.approx(2 * (8 * math.log(2) + 6 / 9 - 2))


def test_a_power_that_is_no_real_number_is_refused():
    with pytest.raises(ValueError, match="math domain error"):
        Value(-8.0) ** 0.5
    with pytest.raises(TypeError, match="the exponent must be a number"):
        Tensor([2.0]) ** Tensor([3.0])
    with pytest.raises(ValueError, match="expects arrays"):
        Tensor(2.0) @ Tensor([3.0])


@given(st.lists(st.integers(1, 6), min_size=2, max_size=5), st.integers(1, 7), seeds)
def test_loss_and_gradient_at_once_are_those_apart(sizes, N, seed):
    rng = np.random.default_rng(seed)
    model = backprop.MLP(sizes, seed=seed)
    X, y = rng.standard_normal((N, sizes[0])), rng.integers(0, sizes[-1], N)
    loss, grads = model.loss_and_grads(X, y)
    leaves = [(Tensor(W), Tensor(b)) for W, b in model.params]
    A = Tensor(X)
    for i, (W, b) in enumerate(leaves, start=1):
        A = A @ W + b if i == len(leaves) else (A @ W + b).relu()
    out = A.cross_entropy(y)
    out.backward()
    assert loss == pytest.approx(float(out.data), rel=1e-12)
    for pair, mine in zip(leaves, grads, strict=True):
        for leaf, g in zip(pair, mine, strict=True):
            np.testing.assert_allclose(g, leaf.grad, rtol=1e-10, atol=1e-12)
