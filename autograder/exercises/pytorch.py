"""Chapter 9: gradients, training steps and custom parts in PyTorch. What needs PyTorch itself: `pytorch_answers.py`."""

import contextlib
import math
import pickle
import re
from collections.abc import Callable

import numpy as np

from autograder.checking.call import call
from autograder.checking.draw import labels, normal
from autograder.checking.exercise import Case, Exercise
from autograder.checking.score import Finding
from autograder.checking.structure import WrongStructure
from autograder.exercises.network import two_layer_case, two_layer_cases
from autograder.exercises.shared_pytorch import (
    MOMENTUM,
    a_tensor,
    as_array,
    descend,
    descent_cases,
    instance_of,
    kind_of,
    refuse_parameters,
    there_and_back,
    touches_only_the_weights,
    two_layer_model,
)

CHAPTER = "09-pytorch"
ANSWERS = "autograder.exercises.pytorch_answers"


# torch_grads

torch_grads = Exercise(
    "torch_grads",
    CHAPTER,
    4,
    "torch_grads(params, X, y)",
    ("grads",),
    reference=None,
    make_cases=two_layer_cases,
    formula="`loss = cross_entropy(logits, y)`, `loss.backward()`, then `tensor.grad.numpy()` of every parameter",
    answers=ANSWERS,
)


# torch_train_step


def _steps(step: Callable) -> Callable:
    """Three steps on two batches, the first one after somebody else's `backward`."""

    def run(params, X, y, other_X, other_y, lr):
        import torch

        model, loss_fn = two_layer_model(params), torch.nn.CrossEntropyLoss()
        optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=MOMENTUM)
        batches = [(torch.tensor(X), torch.tensor(y)), (torch.tensor(other_X), torch.tensor(other_y))]
        loss_fn(model(batches[1][0]), batches[1][1]).backward()  # gradients that are none of this step's business
        taken, found, in_training = [], [], []
        optimizer.register_step_post_hook(lambda *_: taken.append(1))
        model[-1].bias.register_hook(lambda _: found.append(1))
        model[-1].register_forward_hook(lambda layer, *_: in_training.append(layer.training))
        losses = [_a_float(step(model, optimizer, loss_fn, *batches[k])) for k in (0, 1, 0)]
        W1, b1, W2, b2 = (p.detach().numpy().copy() for p in model.parameters())
        counted = {
            "gradients computed": len(found),
            "steps taken": len(taken),
            "in training mode": int(all(in_training)),
        }
        return {"losses": np.array(losses), "W1": W1.T, "b1": b1, "W2": W2.T, "b2": b2} | counted

    return run


def _a_float(loss) -> float:
    if not isinstance(loss, float):
        kind = "None" if loss is None else type(loss).__name__
        raise WrongStructure(
            "returned-none" if loss is None else "wrong-type",
            f"Expected the loss as a float; got {kind}.",
            "Is there a `return`?"
            if loss is None
            else "A tensor drags its whole graph along. `loss.item()` is the number alone.",
        )
    return loss


def _train_step_cases(rng: np.random.Generator) -> list[Case]:
    cases = []
    for lr, name, *sizes in (
        (0.1, "7 × 5 → 3 → 2", 7, 5, 3, 2),
        (0.03, "N = 1", 1, 5, 3, 7),
        (0.2, "square", 5, 5, 5, 5),
        (0.01, "a small learning rate", 3, 2, 5, 7),
    ):
        first, other = two_layer_case(rng, name, *sizes), two_layer_case(rng, name, *sizes)
        cases.append(Case(name, (*first.args, *other.args[1:], lr), first.sizes))
    return cases


torch_train_step = Exercise(
    "torch_train_step",
    CHAPTER,
    4,
    "torch_train_step(model, optimizer, loss_fn, X, y)",
    ("losses",),
    reference=None,
    make_cases=_train_step_cases,
    arguments=("params", "X", "y", "X of the second batch", "y of the second batch", "lr"),
    adapt=_steps,
    formula="`optimizer.zero_grad()`, `loss = loss_fn(model(X), y)`, `loss.backward()`, `optimizer.step()`, "
    "and `return loss.item()`",
    answers=ANSWERS,
)


# LogSumExp
#
# `LogSumExp.apply(X)`: the logarithm of the sum of the exponentials over the last axis, which is gone in the result;
# for large entries, too. Its gradient can be differentiated once more.


def _twice_differentiated(function: type) -> Callable:
    """The value, the gradient for an upstream, and how that gradient, and its squared length, change with the input."""

    def run(X, dY, V):
        import torch

        x, upstream = torch.tensor(X, requires_grad=True), torch.tensor(dY, requires_grad=True)
        if not (isinstance(function, type) and issubclass(function, torch.autograd.Function)):
            function(x)  # a stub says so itself
            raise WrongStructure(
                "no-autograd-function",
                f"Expected a class derived from `torch.autograd.Function`; got {kind_of(function)}.",
                "Which two static methods does such a class have?",
            )
        value = a_tensor(function.apply(x), "`apply`")
        answer = {"Y": value.detach().numpy()}
        if value.shape != dY.shape:
            return answer  # no gradient can be asked for
        (grad,) = torch.autograd.grad(value, x, upstream, create_graph=True)
        along = of_square = None
        if grad.requires_grad:
            (along,) = torch.autograd.grad(grad, x, torch.tensor(V), allow_unused=True, retain_graph=True)
            (of_square,) = torch.autograd.grad((grad**2).sum(), x, allow_unused=True)
        if type(grad.grad_fn).__name__ == "Error":  # a decorator forbids to go on from here
            along = of_square = torch.full_like(x, torch.nan)
        seconds = {"second derivative": as_array(along, x), "slope of |dX|²": as_array(of_square, x)}
        return answer | {"dX": grad.detach().numpy()} | seconds

    return run


def _knows_its_upstream(function: type, seed: int) -> Finding | None:
    """Whether a gradient that is differentiated once more depends on the upstream gradient, too."""
    import torch

    def slope():
        x = torch.arange(6.0, dtype=torch.float64).reshape(3, 2).requires_grad_()
        upstream = torch.ones(3, dtype=torch.float64, requires_grad=True)
        (grad,) = torch.autograd.grad(function.apply(x), x, upstream, create_graph=True)
        return [torch.autograd.grad(grad.sum(), upstream, allow_unused=True)[0] if grad.requires_grad else None]

    found = call(slope, ()).value
    if found is None or (found[0] is not None and found[0].any()):
        return None
    return Finding(
        "Differentiated once more, the gradient does not depend on the upstream gradient.",
        "upstream-detached",
        "the upstream gradient is cut from its graph: it comes from layers that are to be differentiated once more, "
        "too.",
        "What does your `backward` do with the upstream gradient before it multiplies?",
    )


def _log_sum_exp_cases(rng: np.random.Generator) -> list[Case]:
    def case(name: str, *shape: int, shift: float | np.ndarray = 0.0, group: str = "values") -> Case:
        X = normal(rng, *shape) + shift
        return Case(name, (X, normal(rng, *shape[:-1]), normal(rng, *shape)), {"N": shape[0]}, group)

    return [
        case("7 × 5", 7, 5),
        case("2 × 3 × 5", 2, 3, 5),
        case("one row", 1, 7),
        case("one column", 5, 1),
        case("entries near 1000", 7, 3, shift=1000.0, group="stability"),
        case(
            "entries near 0 and near −1500", 3, 7, shift=np.array([0, -1500.0, 0, 0, -1500.0, 0, 0]), group="stability"
        ),
        case("one row near 1000, one near −1000", 2, 5, shift=np.array([[1000.0], [-1000.0]]), group="stability"),
    ]


LogSumExp = Exercise(
    "LogSumExp",
    CHAPTER,
    5,
    "LogSumExp.apply(X)",
    ("Y", "dX", "second derivative", "slope of |dX|²"),
    reference=None,
    make_cases=_log_sum_exp_cases,
    arguments=("X", "dY", "V"),
    adapt=_twice_differentiated,
    properties=(_knows_its_upstream,),
    formula="forward: `torch.logsumexp(X, -1)`; backward: `dY[..., None] * torch.softmax(X, -1)`",
    answers=ANSWERS,
)


# What the modules, the optimizer and the dataset share


def _starts_alike(*sizes: int) -> Callable:
    """A demand on a module of these sizes: its weights start at different numbers."""

    def test(answer: Callable, seed: int) -> Finding | None:
        def alike() -> bool:
            weight = answer(*sizes).weight.flatten()
            return bool((weight == weight[0]).all())

        if call(alike, ()).value is not True:
            return None
        return Finding(
            "All entries of `weight` start at the same number.",
            "weights-start-alike",
            "weights of zeros, or of ones: then all outputs get the same gradient, and learn the same.",
            "If two outputs start alike, how would their gradients ever differ?",
        )

    return test


def _fill(module, values: dict[str, np.ndarray], X: np.ndarray) -> None:
    """Give the parameters of a module these values, once it is clear that it has them."""
    import torch

    module.to(torch.from_numpy(X).dtype)
    for name, value in values.items():
        found = dict(module.named_parameters())
        if name not in found:
            raise _not_registered(module, name, X)
        shape, expected = tuple(found[name].shape), value.shape
        if shape == expected[::-1] != expected:
            raise WrongStructure(
                f"{name}-transposed",
                f"`{name}` has its axes the other way round, outputs first: this is the layout of `nn.Linear`.",
                "The exercise wants inputs first. Which product does `forward` take then?",
            )
        if shape != expected:
            raise WrongStructure(
                f"{name}-of-another-shape",
                f"`{name}` should have shape {expected} and has {shape}.",
                "Compare with the shape that the exercise names: which axis is which?",
            )
        if not found[name].requires_grad:
            raise WrongStructure(
                "frozen",
                f"`{name}` has `requires_grad=False`: no optimizer can train it.",
                "Who sets `requires_grad`, and to what does `nn.Parameter` set it?",
            )
        with torch.no_grad():
            found[name].copy_(torch.tensor(value))
    refuse_parameters(module, values.keys())


def _not_registered(module, name: str, X: np.ndarray) -> WrongStructure:
    import torch

    found = ", ".join(f"`{other}`" for other, _ in module.named_parameters()) or "none"
    what = f"`{name}` is not among the parameters of the module; they are: {found}."
    if name in dict(module.named_buffers()):
        return WrongStructure(
            f"{name}-is-a-buffer",
            f"`{name}` is a buffer: it is saved with the module, and no optimizer moves it.",
            "What is the difference between a buffer and a parameter?",
        )
    if hasattr(module, name) and getattr(module, name) is not None:
        return WrongStructure(
            "not-a-parameter",
            f"{what} `self.{name}` is {kind_of(getattr(module, name))}, which PyTorch does not take for a parameter.",
            "Which class must a tensor have, so that `model.parameters()` lists it?",
        )
    with contextlib.suppress(Exception):  # only the parameters matter here
        module(torch.tensor(X))
    if name in dict(module.named_parameters()):
        return WrongStructure(
            "made-in-forward",
            f"`{name}` does not exist before `forward` runs: an optimizer that is built at once never hears of it.",
            "Which method runs once, and which at every call?",
        )
    return WrongStructure(f"{name}-missing", what, "Which parameters does the exercise name, and how?")


# Affine
#
# `Affine(d, m)`: `X @ weight + bias` with the parameters `weight` (d, m) and `bias` (m,), laid out as in this book,
# not as in `torch.nn.Linear`. The weights start at different numbers; how, is free.


def _affine(answer: Callable) -> Callable:
    def run(X, weight, bias, dY):
        import torch

        d, m = weight.shape
        if d == m:  # a transposed weight does not show
            other = instance_of(answer, torch.nn.Module, d, m + 1)
            _fill(other, {"weight": np.zeros((d, m + 1)), "bias": np.zeros(m + 1)}, X)
        module = instance_of(answer, torch.nn.Module, d, m)
        _fill(module, {"weight": weight, "bias": bias}, X)
        return there_and_back(module, X, dY, ("weight", "bias"))

    return run


def _affine_cases(rng: np.random.Generator) -> list[Case]:
    def case(name: str, N: int, d: int, m: int) -> Case:
        args = normal(rng, N, d), normal(rng, d, m), normal(rng, m), normal(rng, N, m)
        return Case(name, args, {"N": N, "d": d, "m": m})

    return [case("7 × 5 → 3", 7, 5, 3), case("N = 1", 1, 3, 5), case("square", 5, 5, 5), case("2 × 3 → 7", 2, 3, 7)]


Affine = Exercise(
    "Affine",
    CHAPTER,
    2,
    "Affine(d, m)",
    ("Y", "dX", "dweight", "dbias"),
    reference=None,
    make_cases=_affine_cases,
    arguments=("X", "weight", "bias", "dY"),
    adapt=_affine,
    properties=(_starts_alike(5, 3),),
    formula="`self.weight = nn.Parameter(torch.randn(d, m) / d**0.5)`, `self.bias = nn.Parameter(torch.zeros(m))`, "
    "and `X @ self.weight + self.bias`",
    answers=ANSWERS,
)


# HuberLoss
#
# `HuberLoss(delta)(Y_hat, Y)`: the mean over all entries of e²/2 where |e| ≤ delta, and of delta (|e| − delta/2)
# elsewhere.


def _huber(answer: Callable) -> Callable:
    def run(Y_hat, Y, delta):
        import torch

        loss_fn = instance_of(answer, torch.nn.Module, delta)
        y_hat = torch.tensor(Y_hat, requires_grad=True)
        loss = a_tensor(loss_fn(y_hat, torch.tensor(Y)), "`forward`")
        found = {"loss": loss.detach().numpy().copy()}
        if loss.shape != ():
            return found  # there is no gradient of several numbers at once
        grads = torch.autograd.grad(loss, y_hat, allow_unused=True) if loss.requires_grad else (None,)
        return found | {"dY_hat": as_array(grads[0], y_hat)}

    return run


def _huber_cases(rng: np.random.Generator) -> list[Case]:
    def case(name: str, N: int, M: int, delta: float) -> Case:
        """Errors on either side of `delta`, of either sign; none near it."""
        small = delta * rng.uniform(0.1, 0.9, (N, M))
        large = delta * rng.uniform(1.2, 3.0, (N, M))
        sign = rng.choice([-1.0, 1.0], (N, M))
        size = np.where(rng.permutation(N * M).reshape(N, M) % 2 == 0, large, small)
        sign.flat[np.argmax(size)] = -1.0
        Y = normal(rng, N, M)
        return Case(name, (Y + sign * size, Y, delta), {"N": N, "M": M})

    exact = case("two predictions are exact", 5, 3, 1.5)
    exact.args[0][0, :2] = exact.args[1][0, :2]
    return [
        case("7 × 5", 7, 5, 1.0),
        case("delta = 0.5", 5, 3, 0.5),
        case("delta = 3", 2, 7, 3.0),
        case("square", 3, 3, 2.0),
        case("N = 1", 1, 5, 0.7),
        exact,
    ]


HuberLoss = Exercise(
    "HuberLoss",
    CHAPTER,
    3,
    "HuberLoss(delta)",
    ("loss", "dY_hat"),
    reference=None,
    make_cases=_huber_cases,
    arguments=("Y_hat", "Y", "delta"),
    adapt=_huber,
    formula="`e = (Y_hat - Y).abs()`, `torch.where(e <= delta, e**2 / 2, delta * (e - delta / 2)).mean()`",
    answers=ANSWERS,
)


# Swish
#
# `Swish()(X)`: x σ(x), entry by entry, for any shape and for large entries. Nothing is learnt.


def _swish(answer: Callable) -> Callable:
    def run(X, dY):
        import torch

        module = instance_of(answer, torch.nn.Module)
        refuse_parameters(module, ())
        return there_and_back(module, X, dY)

    return run


def _swish_cases(rng: np.random.Generator) -> list[Case]:
    def case(name: str, *shape: int, scale: float = 2.0, group: str = "values") -> Case:
        return Case(name, (scale * normal(rng, *shape), normal(rng, *shape)), {"N": shape[0]}, group)

    return [
        case("7 × 5", 7, 5),
        case("N = 1", 1, 3),
        case("one axis", 11),
        case("square", 5, 5),
        case("2 × 3 × 5", 2, 3, 5),
        case("entries near ±5000", 7, 3, scale=5000.0, group="stability"),
    ]


Swish = Exercise(
    "Swish",
    CHAPTER,
    2,
    "Swish()",
    ("Y", "dX"),
    reference=None,
    make_cases=_swish_cases,
    arguments=("X", "dY"),
    adapt=_swish,
    formula="`X * torch.sigmoid(X)`",
    answers=ANSWERS,
)


# Conv2d
#
# `Conv2d(in_channels, out_channels, kernel_size, stride, padding)`, all whole numbers: X (N, in_channels, rows,
# columns) to (N, out_channels, …), with zeros around the picture, as `torch.nn.functional.conv2d`, which may not be
# called. Its parameters are `weight` (out_channels, in_channels, kernel_size, kernel_size) and `bias`
# (out_channels,).


def _convolution(answer: Callable) -> Callable:
    def run(X, weight, bias, dY, stride, padding):
        import torch

        out, channels, kernel, _ = weight.shape
        module = instance_of(answer, torch.nn.Module, channels, out, kernel, stride, padding)
        _fill(module, {"weight": weight, "bias": bias}, X)
        try:
            with _no_convolution(), _unfolded_well(X.shape, dY.shape, stride):
                found = there_and_back(module, X, dY, ("weight", "bias"))
        except RuntimeError as error:
            shape = re.search(r"\[([-\d, ]+)\]", str(error))  # that a `view` or a `reshape` was asked for
            _refuse_a_square(tuple(map(int, shape[1].split(","))) if shape else (), dY.shape)
            raise
        _refuse_a_square(found["Y"].shape, dY.shape)
        return found

    return run


def _refuse_a_square(shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    """Say that a result was taken for a square picture, if that is what its shape shows."""
    if len(shape) > 1 and shape[-1] == shape[-2] in _near(expected) and expected[-1] != expected[-2]:
        raise WrongStructure(
            "places-as-a-square",
            "The result is taken for a square picture: it has as many rows as columns, and this one has not.",
            "How many rows and how many columns has the result, if the picture is 7 × 5?",
        )


def _near(expected: tuple[int, ...]) -> tuple[int, ...]:
    """Sides that a square picture may be given in place of the right ones."""
    rows, columns = expected[-2:]
    return rows, columns, math.isqrt(rows * columns), round((rows * columns) ** 0.5)


def _unfolded_well(size: tuple[int, ...], expected: tuple[int, ...], asked: int):
    """A mode of PyTorch's in which the patches' own functions say what they were given, if it is something else."""
    import torch

    def unfold(dilation=1, padding=0, stride=1):
        if dilation not in (1, (1, 1), [1, 1]) or (stride == 1 and padding == asked > 1):
            raise WrongStructure(
                "unfold-by-position",
                "`unfold` takes the stride or the padding for something else: of arguments without a name, its third "
                "is the dilation, the fourth the padding, and the fifth the stride.",
                "In which order does `unfold` list its options? They may be given by name.",
            )

    def fold(columns, output_size, kernel_size, **_):
        if kernel_size not in (1, (1, 1), [1, 1]):
            raise WrongStructure(
                "fold-of-patches",
                "`fold` got the kernel size: it would lay patches of that size back into a picture, and add where they "
                "overlap. In the product, each place has one number of each channel.",
                "How large is what `fold` has to lay down at each place of the result?",
            )
        if tuple(output_size) == size[2:] != expected[2:]:
            raise WrongStructure(
                "fold-to-the-picture",
                "`fold` got the size of the picture that came in; the result has another one.",
                "How many patches lie side by side, and how many below each other?",
            )
        if columns.shape[1:] == (expected[2] * expected[3], expected[1]) and expected[1] != expected[2] * expected[3]:
            raise WrongStructure(
                "channels-last-for-fold",
                "`fold` got an array (N, places, channels); it wants the channels before the places.",
                "Print the shape of what `fold` gets. Which of its axes counts the channels?",
            )
        _refuse_a_square(tuple(output_size), (0, *expected[2:]))

    class Watched(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            kwargs = kwargs or {}
            if function is torch.nn.functional.unfold:
                unfold(**kwargs)
            if function is torch.nn.functional.fold:
                fold(*args, **kwargs)
            return function(*args, **kwargs)

    return Watched()


def _no_convolution():
    """A mode of PyTorch's in which its own convolution is refused: it is what the exercise asks for."""
    import torch

    class Refused(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            name = getattr(function, "__name__", "")
            if name in ("conv1d", "conv2d", "conv3d", "convolution", "_convolution"):
                raise WrongStructure(
                    "conv2d-called",
                    f"PyTorch's own `{name}` was called: it is what this exercise asks you to write.",
                    "`torch.nn.functional.unfold` lays out the patches. What is left then is one matrix product.",
                )
            return function(*args, **(kwargs or {}))

    return Refused()


def _conv_cases(rng: np.random.Generator) -> list[Case]:
    def case(name, N, channels, out, kernel, height, width, stride=1, padding=0) -> Case:
        rows, columns = ((size + 2 * padding - kernel) // stride + 1 for size in (height, width))
        weight, bias = normal(rng, out, channels, kernel, kernel), normal(rng, out)
        X, dY = normal(rng, N, channels, height, width), normal(rng, N, out, rows, columns)
        return Case(name, (X, weight, bias, dY, stride, padding), {"N": N, "C": channels, "K": out})

    return [
        case("3 channels to 5, 3 × 3 on 7 × 5", 2, 3, 5, 3, 7, 5),
        case("stride 2, padding 1", 3, 2, 5, 3, 7, 4, stride=2, padding=1),
        case("N = 1, one channel", 1, 1, 2, 2, 3, 5, padding=2),
        case("square, 1 × 1", 3, 3, 3, 1, 3, 3),
        case("2 × 2, stride 3", 2, 3, 2, 2, 7, 5, stride=3),
    ]


Conv2d = Exercise(
    "Conv2d",
    CHAPTER,
    4,
    "Conv2d(in_channels, out_channels, kernel_size, stride, padding)",
    ("Y", "dX", "dweight", "dbias"),
    reference=None,
    make_cases=_conv_cases,
    arguments=("X", "weight", "bias", "dY", "stride", "padding"),
    adapt=_convolution,
    properties=(_starts_alike(3, 5, 2, 1, 0),),
    formula="`patches = F.unfold(X, k, padding=padding, stride=stride)`, then "
    "`weight.flatten(1) @ patches + bias[:, None]`, brought into the shape (N, out_channels, rows, columns)",
    answers=ANSWERS,
)


# MomentumSGD
#
# `MomentumSGD(params, lr, momentum)`: v = momentum · v + g, w −= lr · v, from v = 0. Each group of parameters has
# options of its own; a parameter without a gradient is passed over; a state saved and loaded goes on as if nothing
# had happened.


MomentumSGD = Exercise(
    "MomentumSGD",
    CHAPTER,
    4,
    "MomentumSGD(params, lr, momentum)",
    ("A", "B", "C"),
    reference=None,
    make_cases=descent_cases,
    arguments=("start", "grads", "lr", "other_lr", "momentum"),
    adapt=descend,
    properties=(touches_only_the_weights,),
    formula="`v.mul_(group['momentum']).add_(p.grad)`, then `p.sub_(group['lr'] * v)`, where `v` lives in "
    "`self.state[p]`",
    answers=ANSWERS,
)


# ArrayDataset
#
# `ArrayDataset(X, y)` of NumPy arrays: `len(dataset)` examples, `dataset[i]` the pair of the i-th input and its
# label, as arrays or as tensors. A shuffled `DataLoader` makes batches of it, in workers, too.


def _load(answer: Callable) -> Callable:
    """One example, and one shuffled epoch of a copy such as each worker of a loader gets."""

    def run(X, y, index, seed):
        import torch

        data = torch.utils.data
        dataset = instance_of(answer, data.Dataset, X, y)
        length = len(dataset)
        x, label = _pair(dataset[index], "`dataset[index]`")
        order = torch.Generator().manual_seed(seed)
        batches = [
            _pair(batch, "a batch of the loader")
            for batch in data.DataLoader(_sent_to_a_worker(dataset), batch_size=3, shuffle=True, generator=order)
        ]
        xs, ys = (torch.cat([torch.as_tensor(batch[k]) for batch in batches]) for k in (0, 1))
        return {
            "length": length,
            "x": torch.as_tensor(x).numpy().copy(),
            "label": torch.as_tensor(label).numpy().copy(),
            "X of an epoch": xs.numpy(),
            "y of an epoch": ys.numpy(),
        }

    return run


def _labels_for_a_loss(answer: Callable, seed: int) -> Finding | None:
    """Whether labels stay whole numbers on their way."""
    import torch

    def dtype():
        dataset = answer(np.zeros((3, 2)), np.array([2, 0, 1]))
        return next(iter(torch.utils.data.DataLoader(dataset, batch_size=3)))[1].dtype

    found = call(dtype, ()).value
    if found is None or not found.is_floating_point:
        return None
    return Finding(
        f"In a batch the labels have dtype `{found}`.",
        "labels-as-floats",
        "the labels are made floats; a loss for classes wants whole numbers.",
        "Which dtype does `CrossEntropyLoss` ask for?",
    )


def _explain_example(answer: Callable) -> Finding | None:
    """Is an example another part of the inputs than it should be?"""
    import torch

    X = np.arange(24.0).reshape(6, 4)
    x = call(lambda: torch.as_tensor(_pair(answer(X, np.arange(6))[2], "`dataset[2]`")[0]).numpy(), ()).value
    if x is None or x.shape == X[2].shape:
        return None
    what = f"Of an `X` of shape `(6, 4)`, `dataset[2][0]` should be the row of shape `(4,)`; its shape is `{x.shape}`."
    if np.isin(x, X[2]).all() and x.size < 4:
        return Finding(
            what,
            "features-left-out",
            "some features of the example are left out.",
            "Which entries of `X[i]` belong to the input? Is the label one of them?",
        )
    return Finding(
        what,
        "another-part-of-X",
        "an example is something else than one row of `X`, as it is.",
        "What is the shape of `X[i]`, and what do you do with it besides?",
    )


def _pair(item, where: str) -> tuple:
    if not (isinstance(item, tuple | list) and len(item) == 2):
        raise WrongStructure(
            "no-pair",
            f"{where} should be a pair of an input and its label; it is {kind_of(item)}.",
            "What does a training loop unpack: `for x, y in loader`?",
        )
    return tuple(item)


def _sent_to_a_worker(dataset):
    """A copy by way of bytes; of what the object holds, since its class may live in a notebook."""
    try:
        held = pickle.loads(pickle.dumps(vars(dataset)))
    except Exception as error:
        raise WrongStructure(
            "cannot-be-sent",
            f"The dataset can't be sent to a worker: `{type(error).__name__}: {error}`.",
            "Keep arrays and numbers only: no function made on the spot, no generator, no open file.",
        ) from None
    twin = object.__new__(type(dataset))
    vars(twin).update(held)
    return twin


def _dataset_cases(rng: np.random.Generator) -> list[Case]:
    def case(name: str, N: int, C: int, *shape: int) -> Case:
        args = normal(rng, N, *shape), labels(rng, N, C), int(rng.integers(N)), int(rng.integers(1000))
        return Case(name, args, {"N": N, "D": shape[0]})

    return [
        case("7 × 5", 7, 3, 5),
        case("13 × 2", 13, 5, 2),
        case("N = 1", 1, 2, 3),
        case("square", 5, 3, 5),
        case("images, 11 × 3 × 2", 11, 7, 3, 2),
    ]


ArrayDataset = Exercise(
    "ArrayDataset",
    CHAPTER,
    2,
    "ArrayDataset(X, y)",
    ("length", "x", "label"),
    reference=None,
    make_cases=_dataset_cases,
    arguments=("X", "y", "index", "seed"),
    adapt=_load,
    properties=(_labels_for_a_loss,),
    explain=_explain_example,
    formula="`__len__`: `len(self.X)`; `__getitem__`: `self.X[i], self.y[i]`",
    answers=ANSWERS,
)


EXERCISES = [
    torch_grads,
    torch_train_step,
    LogSumExp,
    Affine,
    HuberLoss,
    Swish,
    Conv2d,
    MomentumSGD,
    ArrayDataset,
]
