"""What exercises of several chapters need of PyTorch: models, tensors, modules and optimizers, read and tried."""

import copy
from collections.abc import Callable, Collection

import numpy as np

from autograder.checking.call import call
from autograder.checking.draw import normal
from autograder.checking.exercise import Case
from autograder.checking.score import Finding
from autograder.checking.structure import WrongStructure

MOMENTUM = 0.9


def two_layer_model(params: dict[str, np.ndarray]):
    """The two-layer network in PyTorch, whose weights are transposed."""
    import torch

    layers = []
    for W, b in ((params["W1"], params["b1"]), (params["W2"], params["b2"])):
        layer = torch.nn.Linear(*W.shape)
        layer.weight.data, layer.bias.data = torch.tensor(W.T.copy()), torch.tensor(b)
        layers += [layer, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def a_tensor(value, where: str):
    """The value itself, if it is a tensor."""
    import torch

    if not isinstance(value, torch.Tensor):
        raise WrongStructure(
            "returned-none" if value is None else "no-tensor",
            f"{where} must give a tensor; it gave {kind_of(value)}.",
            "Only a tensor knows how it was made. Is there a `return`, and does `.item()` or `.numpy()` stand there?",
        )
    return value


def as_array(grad, like) -> np.ndarray:
    """A gradient as an array: zeros where the graph does not lead."""
    return np.zeros(tuple(like.shape)) if grad is None else grad.detach().numpy().copy()


def kind_of(value) -> str:
    """What a value is, in a few words."""
    if value is None or isinstance(value, type):
        return f"`{getattr(value, '__name__', value)}`"
    return f"a `{type(value).__name__}`"


_NAMES = {"Module": "torch.nn.Module", "Optimizer": "torch.optim.Optimizer", "Dataset": "torch.utils.data.Dataset"}


def instance_of(answer: Callable, base: type, *args):
    """An object of the learner's class; what is none of the right kind is said."""
    name = _NAMES.get(base.__name__, base.__name__)
    super_init = f"The constructor of `{name}` never ran."
    how = "What is the first line of a constructor in a class that is derived from another one?"
    if isinstance(answer, base):
        raise WrongStructure(
            "object-for-class",
            "The check got an object; it needs the class, to make objects of its own.",
            "Hand over the name of the class, without parentheses after it.",
        )
    try:
        made = answer(*args)
    except AttributeError as error:
        if ".__init__() call" not in str(error):
            raise
        raise WrongStructure("super-init-missing", super_init, how) from None
    if not isinstance(made, base):
        raise WrongStructure(
            "wrong-kind",
            f"Expected a class derived from `{name}`; what came of calling it is {kind_of(made)}.",
            "What stands in the parentheses after the name of your class?",
        )
    if not vars(made).keys() & {"_parameters", "param_groups"} and hasattr(base, "state_dict"):
        raise WrongStructure("super-init-missing", super_init, how)
    return made


def refuse_parameters(module, expected: Collection[str]) -> None:
    """Say which parameters nobody asked for."""
    if found := [name for name, _ in module.named_parameters() if name not in expected]:
        raise WrongStructure(
            "extra-parameters",
            f"There are parameters that nobody asked for: {', '.join(f'`{name}`' for name in sorted(found))}.",
            "An optimizer would train them as well. Are they needed?",
        )


def there_and_back(module, X: np.ndarray, dY: np.ndarray, names: tuple[str, ...] = ()) -> dict[str, np.ndarray]:
    """The result of a module and, for an upstream gradient, the gradients of its input and its parameters."""
    import torch

    x = torch.tensor(X, requires_grad=True)
    Y = a_tensor(module(x), "`forward`")
    answer = {"Y": Y.detach().numpy().copy()}
    if Y.shape != dY.shape:
        return answer  # no gradient can be asked for
    leaves = {"dX": x} | {f"d{name}": getattr(module, name) for name in names}
    wanted = [leaf for leaf in leaves.values() if leaf.requires_grad] if Y.requires_grad else []
    upstream = torch.tensor(dY).to(Y.dtype)
    found = torch.autograd.grad(Y, wanted, upstream, allow_unused=True) if wanted else ()
    grads = {id(leaf): grad for leaf, grad in zip(wanted, found, strict=True)}
    return answer | {name: as_array(grads.get(id(leaf)), leaf) for name, leaf in leaves.items()}


def descend(answer: Callable) -> Callable:
    """Four steps, with one parameter left out once and a learning rate that changes; two more after a restart."""

    def run(start, grads, lr, other_lr, momentum):
        import torch

        def optimizer(weights, *numbers):
            first, *others = weights.values()
            groups = [{"params": [first]}, {"params": others, "lr": other_lr}]
            return instance_of(answer, torch.optim.Optimizer, groups, *numbers)

        def step(k, leave_out=None):
            for name, w in weights.items():
                if w.grad is None or name == leave_out:
                    w.grad = None if name == leave_out else torch.tensor(grads[name][k])
                else:
                    w.grad.copy_(torch.tensor(grads[name][k]))  # the very tensor of the step before, as in training
            try:
                taking.step()
            except (AttributeError, TypeError, RuntimeError) as error:
                if leave_out is None or "NoneType" not in str(error):
                    raise
                raise WrongStructure(
                    "grad-of-none",
                    f"A parameter without a gradient made the step fail: `{type(error).__name__}: {error}`.",
                    "`.grad` of a layer that was not used is None. What should a step do with it?",
                ) from None
            for name, w in weights.items():
                path[name].append(w.detach().numpy().copy())

        path: dict[str, list[np.ndarray]] = {name: [] for name in start}
        weights = {name: torch.tensor(a, requires_grad=True) for name, a in start.items()}
        taking = optimizer(weights, lr, momentum)
        step(0)
        step(1)
        step(2, leave_out="B")
        taking.param_groups[0]["lr"] /= 2
        step(3)
        saved = copy.deepcopy(taking.state_dict())
        weights = {name: w.detach().clone().requires_grad_() for name, w in weights.items()}
        taking = optimizer(weights, 2 * lr, 0.5 + momentum / 4)
        taking.load_state_dict(saved)
        step(4)
        step(5)
        trajectory = {name: np.array(steps[:4]) for name, steps in path.items()}
        resumed = {f"{name} after a restart": np.array(steps[4:]) for name, steps in path.items()}
        return trajectory | resumed

    return run


def touches_only_the_weights(answer: Callable, seed: int) -> Finding | None:
    """Whether a step leaves the gradients as they are, and the weights where they are in memory."""
    import torch

    def step() -> list[Finding]:
        w = torch.ones(3, 2, dtype=torch.float64, requires_grad=True)
        view, right = w.detach(), torch.arange(1.0, 7.0, dtype=torch.float64).reshape(3, 2)
        optimizer = answer([{"params": [w]}], 0.1, 0.9)
        for _ in range(2):
            w.grad = right.clone()
            optimizer.step()
            if w.grad is None or not w.grad.any():
                return [_EMPTIED]
            if not torch.equal(w.grad, right):
                return [_CHANGED]
        return [] if torch.equal(view, w.detach()) else [_REBOUND]

    return next(iter(call(step, ()).value or ()), None)


_EMPTIED = Finding(
    "After the step `.grad` is empty.",
    "gradients-emptied",
    "the step empties the gradients; that is the business of `zero_grad`, which the training loop calls.",
    "May somebody want to look at `.grad` after the step?",
)
_CHANGED = Finding(
    "After the step `.grad` holds other numbers than before.",
    "gradient-changed",
    "the gradient itself is changed in place, and whoever looks at `.grad` later sees something else.",
    "Which methods end in an underscore, and on which tensor do you call them?",
)
_REBOUND = Finding(
    "Whoever holds a view of a parameter sees nothing of the step.",
    "data-rebound",
    "`p.data` is bound to a new tensor, and the old one stays as it was.",
    "Which operations change a tensor, and which make a new one and leave the old one as it is?",
)


def descent_cases(rng: np.random.Generator) -> list[Case]:
    def case(name: str, lr: float, other_lr: float, momentum: float, **shapes: tuple[int, ...]) -> Case:
        start = {key: normal(rng, *shape) for key, shape in shapes.items()}
        grads = {key: normal(rng, 6, *shape) for key, shape in shapes.items()}
        return Case(name, (start, grads, lr, other_lr, momentum))

    return [
        case("3 × 2, 5 and 7", 0.1, 0.03, 0.9, A=(3, 2), B=(5,), C=(7,)),
        case("all 2 × 3", 0.2, 0.5, 0.8, A=(2, 3), B=(2, 3), C=(2, 3)),
        case("single numbers", 0.05, 0.01, 0.7, A=(), B=(), C=()),
        case("no momentum", 0.1, 0.02, 0.0, A=(2,), B=(3, 2), C=(5, 2)),
    ]
