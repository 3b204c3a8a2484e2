"""Chapter 9: gradients, training steps and custom parts in PyTorch. What needs PyTorch itself: `pytorch_answers.py`."""

from collections.abc import Callable

import numpy as np

from autograder.checking.draw import normal
from autograder.checking.exercise import Case, Exercise
from autograder.checking.structure import WrongStructure
from autograder.exercises.network import two_layer_case, two_layer_cases

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

LR, MOMENTUM = 0.1, 0.9


def _steps(step: Callable) -> Callable:
    """Three steps on two batches, the first one after somebody else's `backward`."""

    def run(params, X, y, other_X, other_y):
        import torch

        model, loss_fn = _model(params), torch.nn.CrossEntropyLoss()
        optimizer = torch.optim.SGD(model.parameters(), lr=LR, momentum=MOMENTUM)
        batches = [(torch.tensor(X), torch.tensor(y)), (torch.tensor(other_X), torch.tensor(other_y))]
        loss_fn(model(batches[1][0]), batches[1][1]).backward()  # gradients that are none of this step's business
        taken, found = [], []
        optimizer.register_step_post_hook(lambda *_: taken.append(1))
        model[-1].bias.register_hook(lambda _: found.append(1))
        losses = [_a_float(step(model, optimizer, loss_fn, *batches[k])) for k in (0, 1, 0)]
        W1, b1, W2, b2 = (p.detach().numpy().copy() for p in model.parameters())
        counted = {"gradients computed": len(found), "steps taken": len(taken)}
        return {"losses": np.array(losses), "W1": W1.T, "b1": b1, "W2": W2.T, "b2": b2} | counted

    return run


def _model(params: dict[str, np.ndarray]):
    """The two-layer network in PyTorch, whose weights are transposed."""
    import torch

    layers = []
    for W, b in ((params["W1"], params["b1"]), (params["W2"], params["b2"])):
        layer = torch.nn.Linear(*W.shape, dtype=torch.float64)
        layer.weight.data, layer.bias.data = torch.tensor(W.T.copy()), torch.tensor(b)
        layers += [layer, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def _a_float(loss) -> float:
    if not isinstance(loss, float):
        kind = "None" if loss is None else type(loss).__name__
        raise WrongStructure(
            "wrong-type",
            f"Expected the loss as a float; got {kind}.",
            "A tensor drags its whole graph along. `loss.item()` is the number alone.",
        )
    return loss


def _train_step_cases(rng: np.random.Generator) -> list[Case]:
    cases = []
    for name, N, D, H, C in (("7 × 5 → 3 → 2", 7, 5, 3, 2), ("N = 1", 1, 5, 3, 7), ("square", 5, 5, 5, 5)):
        first, other = two_layer_case(rng, name, N, D, H, C), two_layer_case(rng, name, N, D, H, C)
        cases.append(Case(name, (*first.args, *other.args[1:]), first.sizes))
    return cases


torch_train_step = Exercise(
    "torch_train_step",
    CHAPTER,
    4,
    "torch_train_step(model, optimizer, loss_fn, X, y)",
    ("losses",),
    reference=None,
    make_cases=_train_step_cases,
    adapt=_steps,
    formula="`optimizer.zero_grad()`, `loss = loss_fn(model(X), y)`, `loss.backward()`, `optimizer.step()`, "
    "and `return loss.item()`",
    answers=ANSWERS,
)


# LogSumExp


def _twice_differentiated(function: type) -> Callable:
    """The value, the gradient for an upstream, and how that gradient changes when the input moves along `V`."""

    def run(dY, X, V):
        import torch

        x, upstream = torch.tensor(X, requires_grad=True), torch.tensor(dY)
        value = function.apply(x)
        (grad,) = torch.autograd.grad(value, x, upstream, create_graph=True)
        (second,) = torch.autograd.grad(grad, x, torch.tensor(V))
        return value.detach().numpy(), grad.detach().numpy(), second.numpy()

    return run


def _log_sum_exp_cases(rng: np.random.Generator) -> list[Case]:
    def case(name: str, *shape: int, shift: float = 0.0, group: str = "values") -> Case:
        X = normal(rng, *shape) + shift
        return Case(name, (normal(rng, *shape[:-1]), X, normal(rng, *shape)), {"N": shape[0]}, group)

    return [
        case("7 × 5", 7, 5),
        case("2 × 3 × 5", 2, 3, 5),
        case("one row", 1, 7),
        case("one column", 5, 1),
        case("entries near 1000", 7, 3, shift=1000.0, group="stability"),
    ]


LogSumExp = Exercise(
    "LogSumExp",
    CHAPTER,
    5,
    "LogSumExp.apply(X)",
    ("Y", "dX", "second derivative"),
    reference=None,
    make_cases=_log_sum_exp_cases,
    upstream="dY",
    adapt=_twice_differentiated,
    answers=ANSWERS,
)


EXERCISES = [torch_grads, torch_train_step, LogSumExp]
