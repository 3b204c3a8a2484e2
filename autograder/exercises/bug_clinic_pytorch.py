"""Chapter 13, PyTorch: what published tutorials get wrong, mended. What needs PyTorch itself: the module of answers."""

import inspect
import itertools
import re
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np

from autograder.checking.call import call
from autograder.checking.draw import labels, normal
from autograder.checking.exercise import Case, Exercise
from autograder.checking.score import Finding
from autograder.checking.structure import WrongStructure
from autograder.exercises.network import two_layer_case
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

CHAPTER = "13-bug-clinic"
ANSWERS = "autograder.exercises.bug_clinic_pytorch_answers"


# fix_training_loop
#
# `fix_training_loop(model, optimizer, loss_fn, batches)`: one pass over the batches, one step for each; the losses as a
# list of floats, each taken before the step of its batch. All `.grad` are empty when it is called, and what is left in
# them at the end is free: gradients may be emptied before a step or after it.


def _train(loop: Callable) -> Callable:
    def run(params, batches, lr):
        import torch

        model = two_layer_model(params)
        optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=MOMENTUM)
        bias, found, grads_of_steps, emptied = model[-1].bias, [], [], []
        bias.register_hook(lambda grad: found.append(grad.clone()))
        optimizer.register_step_post_hook(
            lambda *_: grads_of_steps.append((len(found), None if bias.grad is None else bias.grad.clone()))
        )
        for owner in (model, optimizer):
            owner.zero_grad = _noted(owner.zero_grad, emptied)
        losses = loop(model, optimizer, torch.nn.CrossEntropyLoss(), [tuple(map(torch.tensor, b)) for b in batches])
        piled = sum(grad is not None and n > 0 and not torch.equal(grad, found[n - 1]) for n, grad in grads_of_steps)
        if piled and len(emptied) == 1 < len(grads_of_steps):
            raise WrongStructure(
                "zero-grad-once",
                f"`zero_grad` ran once, and `backward` {len(found)} times: gradients of several batches were added up.",
                "What does `.grad` hold before the second `backward`?",
            )
        W1, b1, W2, b2 = (p.detach().numpy().copy() for p in model.parameters())
        return {
            "losses": _floats(losses),
            "W1": W1.T,
            "b1": b1,
            "W2": W2.T,
            "b2": b2,
            "gradients computed": len(found),
            "steps taken": len(grads_of_steps),
            "steps before any gradient": sum(n == 0 < len(found) for n, _ in grads_of_steps),
            "steps on a pile of gradients": piled,
        }

    return run


def _noted(method: Callable, calls: list) -> Callable:
    """The method, which leaves a note of each call."""

    def noting(*args, **options):
        calls.append(args)
        return method(*args, **options)

    return noting


def _floats(losses) -> np.ndarray:
    """A list of floats as an array; one float as an array without axes."""
    if isinstance(losses, float | np.floating):
        return np.array(float(losses))
    if losses is None:
        raise WrongStructure("returned-none", "The function returned `None`.", "Is there a `return` on every path?")
    if not isinstance(losses, list | tuple | np.ndarray):
        raise WrongStructure(
            "no-list",
            f"Expected a list of floats, one for each batch; got {kind_of(losses)}.",
            "Where does each loss go when its batch is done?",
        )
    for loss in losses:
        if not isinstance(loss, float | np.floating):
            raise WrongStructure(
                "wrong-type",
                f"Expected a list of floats; {kind_of(loss)} is in it.",
                "A tensor drags its whole graph along. What makes a number of a tensor that has one entry?",
            )
    return np.array(losses, dtype=float)


def _loop_cases(rng: np.random.Generator) -> list[Case]:
    def case(name: str, lr: float, Ns: tuple[int, ...], D: int, H: int, C: int) -> Case:
        drawn = [two_layer_case(rng, name, N, D, H, C).args for N in Ns]
        return Case(
            name, (drawn[0][0], [(X, y) for _, X, y in drawn], lr), {"batches": len(Ns), "D": D, "H": H, "C": C}
        )

    return [
        case("three batches of 7", 0.1, (7, 7, 7), 5, 3, 2),
        case("batches of 5, 2 and 3", 0.03, (5, 2, 3), 3, 5, 7),
        case("batches of one example", 0.05, (1, 1), 5, 7, 3),
        case("a single batch", 0.2, (7,), 2, 3, 5),
        case("square", 0.01, (5, 5, 5, 5, 5), 5, 5, 5),
    ]


fix_training_loop = Exercise(
    "fix_training_loop",
    CHAPTER,
    1,
    "fix_training_loop(model, optimizer, loss_fn, batches)",
    ("losses",),
    reference=None,
    make_cases=_loop_cases,
    arguments=("params", "batches", "lr"),
    adapt=_train,
    partial_credit=False,
    formula="`optimizer.zero_grad()`, in every round of the loop, before `loss.backward()`",
    answers=ANSWERS,
)


# fix_build
#
# `fix_build(sizes, lr)`: for sizes such as [5, 3, 2] a net of `nn.Linear` layers 5 → 3 → 2, with biases and with ReLU
# between them (none after the last), and a `torch.optim.Adam` over all its parameters with the learning rate `lr`; both
# in this order. How the net is made, and what its layers are called, is free.


def _build(answer: Callable) -> Callable:
    """What the net computes, and its weights after two steps of the optimizer."""

    def run(sizes, lr, params, X, dY):
        import torch

        net, optimizer = _two(answer(list(sizes), lr), "the net", "the optimizer")
        _expect_adam(net, optimizer)
        net.double()
        layers = _layers_as_they_are_called(net, torch.tensor(X))
        _expect_sizes(layers, sizes)
        _fill_layers(net, layers, params)
        result = there_and_back(net, X, dY)
        if "dX" not in result:
            return result  # of another shape: no gradient can be asked for
        for _ in range(2):
            net.zero_grad()
            loss = (net(torch.tensor(X)) * torch.tensor(dY)).sum()
            if loss.requires_grad:
                loss.backward()
            optimizer.step()
        for k, layer in enumerate(layers, 1):
            result[f"W{k} after two steps"] = layer.weight.detach().numpy().T.copy()
            result[f"b{k} after two steps"] = layer.bias.detach().numpy().copy()
        return result

    return run


def _two(value, first: str, second: str) -> tuple:
    if value is None:
        raise WrongStructure("returned-none", "The function returned `None`.", "Is there a `return` on every path?")
    if not (isinstance(value, tuple | list) and len(value) == 2):
        raise WrongStructure(
            "no-pair",
            f"Expected two results, {first} and {second}; got {kind_of(value)}.",
            "What stands after `return`?",
        )
    return tuple(value)


def _expect_adam(net, optimizer) -> None:
    import torch

    if isinstance(net, torch.optim.Optimizer) and isinstance(optimizer, torch.nn.Module):
        raise WrongStructure(
            "outputs-swapped",
            "Your function returns the optimizer first and the net second; asked for is the other order.",
            "Read your `return` aloud, beside the table of the exercise.",
        )
    if not isinstance(net, torch.nn.Module):
        raise WrongStructure(
            "no-module", f"Expected a net made of `nn.Module`; got {kind_of(net)}.", "What is a net made of?"
        )
    if not isinstance(optimizer, torch.optim.Adam) or isinstance(optimizer, torch.optim.AdamW):
        raise WrongStructure(
            "another-optimizer",
            f"Expected a `torch.optim.Adam`; got {kind_of(optimizer)}.",
            "Which optimizer did the published code choose?",
        )


def _layers_as_they_are_called(net, x) -> list:
    """The linear layers in the order in which they are called, or are registered if the calls don't tell."""
    import torch

    layers = [module for module in net.modules() if isinstance(module, torch.nn.Linear)]
    called: list = []
    hooks = [layer.register_forward_hook(lambda layer, *_: called.append(layer)) for layer in layers]
    net(x)
    for hook in hooks:
        hook.remove()
    return called if len(called) == len(layers) == len({id(layer) for layer in called}) else layers


def _expect_sizes(layers: list, sizes: list[int]) -> None:
    found = [(layer.in_features, layer.out_features) for layer in layers]
    if not found:
        raise WrongStructure(
            "layers-missing",
            "The net has no `nn.Linear` among its modules: neither `net.parameters()` nor `net.to(…)` knows of any.",
            "What does `print(net)` list? Where does a module look for the modules that belong to it?",
        )
    if found != list(pairwise(sizes)):
        listed = ", ".join(f"{d} → {m}" for d, m in found)
        raise WrongStructure(
            "layers-of-other-sizes",
            f"For the sizes {sizes} the layers should lead {' → '.join(map(str, sizes))}; there are {listed}.",
            "How many layers do so many sizes make, and which two sizes belong to each?",
        )


def _fill_layers(net, layers: list, params: dict[str, np.ndarray]) -> None:
    """Give the linear layers, in this order, the weights W1, b1, W2, …"""
    import torch

    for k, layer in enumerate(layers, 1):
        if layer.bias is None:
            raise WrongStructure(
                "bias-missing", f"Layer {k} has no bias.", "What does the keyword `bias` of a layer do?"
            )
        if not (layer.weight.requires_grad and layer.bias.requires_grad):
            raise WrongStructure(
                "frozen",
                f"Layer {k} has `requires_grad=False`: no optimizer can train it.",
                "Who set `requires_grad`?",
            )
        with torch.no_grad():
            layer.weight.copy_(torch.tensor(params[f"W{k}"].T))
            layer.bias.copy_(torch.tensor(params[f"b{k}"]))
    own = {id(p) for layer in layers for p in layer.parameters()}
    refuse_parameters(net, [name for name, p in net.named_parameters() if id(p) in own])


def _build_cases(rng: np.random.Generator) -> list[Case]:
    def case(name: str, N: int, lr: float, *sizes: int) -> Case:
        params = {}
        for k, (d, m) in enumerate(pairwise(sizes), 1):
            params |= {f"W{k}": normal(rng, d, m), f"b{k}": normal(rng, m)}
        args = list(sizes), lr, params, normal(rng, N, sizes[0]), normal(rng, N, sizes[-1])
        return Case(name, args, {"N": N})

    return [
        case("7 → 5 → 3 → 2", 11, 0.01, 7, 5, 3, 2),
        case("N = 1, 3 → 7 → 5", 1, 0.1, 3, 7, 5),
        case("a single layer, 5 → 3", 7, 0.03, 5, 3),
        case("square, 3 → 3 → 3", 3, 0.05, 3, 3, 3),
        case("four layers", 5, 0.02, 2, 7, 5, 3, 5),
    ]


fix_build = Exercise(
    "fix_build",
    CHAPTER,
    1,
    "fix_build(sizes, lr)",
    ("Y", "dX"),
    reference=None,
    make_cases=_build_cases,
    arguments=("sizes", "lr", "params", "X", "dY"),
    adapt=_build,
    partial_credit=False,
    formula="for each pair of sizes `layers += [nn.Linear(d, m), nn.ReLU()]`, then `net = "
    "nn.Sequential(*layers[:-1])` and `torch.optim.Adam(net.parameters(), lr=lr)`",
    answers=ANSWERS,
)


# fix_label_loss
#
# `fix_label_loss(logits, y)`: the mean cross-entropy of logits (N, C) and whole labels (N,), for large logits, too: a
# tensor without axes that knows its graph.


def _label_loss(answer: Callable) -> Callable:
    def run(logits, y):
        import torch

        leaf = torch.tensor(logits, requires_grad=True)
        return _loss_and_slope(answer(leaf, torch.tensor(y)), leaf)

    return run


def _loss_and_slope(loss, logits) -> dict[str, np.ndarray]:
    import torch

    loss = a_tensor(loss, "The loss")
    found = {"loss": loss.detach().numpy().copy()}
    if loss.shape != ():
        return found  # there is no gradient of several numbers at once
    grads = torch.autograd.grad(loss, logits, allow_unused=True) if loss.requires_grad else (None,)
    return found | {"dlogits": as_array(grads[0], logits)}


def _label_cases(rng: np.random.Generator, scale: float) -> list[Case]:
    def case(name: str, N: int, C: int, scale: float = 2.0, group: str = "values") -> Case:
        return Case(name, (scale * normal(rng, N, C), labels(rng, N, C)), {"N": N, "C": C}, group)

    alone = case("N = 1, the label is 0", 1, 5)
    alone.args[1][0] = 0
    large = case(f"logits near ±{scale:g}", 7, 5, scale, "stability")
    large.args[1][0] = np.argmin(large.args[0][0])
    large.args[1][1] = np.argmax(large.args[0][1])
    large.args[0][1, large.args[1][1]] = 2 * scale
    few = case("3 × 7, some classes do not occur", 3, 7)
    few.args[1][:] = rng.permutation([0, 2, 4])
    return [case("7 × 5", 7, 5), alone, case("square", 5, 5), few, case("two classes", 11, 2), large]


fix_label_loss = Exercise(
    "fix_label_loss",
    CHAPTER,
    1,
    "fix_label_loss(logits, y)",
    ("loss", "dlogits"),
    reference=None,
    make_cases=lambda rng: _label_cases(rng, 1000.0),
    adapt=_label_loss,
    partial_credit=False,
    formula="`nn.CrossEntropyLoss()(logits, y)`",
    answers=ANSWERS,
)


# FixedImageNet
#
# `FixedImageNet(side, hidden, classes)`: images (N, 1, side, side) to logits (N, classes), with the linear layers
# `fc1`, from all pixels of an image, row by row, to `hidden`, and `fc2`, and ReLU between them. Images of another size
# raise an error.


def _see(answer: Callable) -> Callable:
    def run(images, W1, b1, W2, b2, dY):
        import torch

        side, (hidden, classes) = images.shape[-1], W2.shape
        net = instance_of(answer, torch.nn.Module, side, hidden, classes).double()
        if any(isinstance(module, torch.nn.LazyLinear) for module in net.modules()):
            net(torch.tensor(images))  # now it knows its sizes
        layers = [_linear(net, "fc1", side * side, hidden), _linear(net, "fc2", hidden, classes)]
        _fill_layers(net, layers, {"W1": W1, "b1": b1, "W2": W2, "b2": b2})
        return there_and_back(net, images, dY)

    return run


def _refuses_other_sizes(answer: Callable, seed: int) -> Finding | None:
    """Whether a net for images of 8 × 8 raises an error for some of 16 × 16, each of which has pixels for four."""
    import torch

    def answered() -> tuple[int, ...]:
        net = answer(8, 5, 3)
        net(torch.zeros(2, 1, 8, 8))  # so that a layer that waits for its size knows it
        return tuple(net(torch.zeros(4, 1, 16, 16)).shape)

    shape = call(answered, ()).value
    if shape is None:
        return None
    what = f"A net for images of 8 × 8 got 4 images of 16 × 16, and gave logits of shape {shape} without an error."
    if shape[0] == 4:
        return Finding(
            what,
            "another-size-accepted",
            "images of another size are cut, or shrunk, before they reach `fc1`.",
            "Which of your lines would notice that an image has too many pixels?",
        )
    return Finding(
        what,
        "images-cut-in-pieces",
        "a large image is cut into pieces, each of which is taken for an image.",
        "Which axis of the images has to stay as it is? Which number tells how many rows there are?",
    )


def _linear(net, name: str, d: int, m: int):
    """The linear layer of this name; what is none, or has other sizes, is said."""
    import torch

    layer = getattr(net, name, None)
    if not isinstance(layer, torch.nn.Linear):
        listed = ", ".join(f"`{other}`" for other, _ in net.named_children()) or "none"
        raise WrongStructure(
            "layer-missing",
            f"`self.{name}` should be an `nn.Linear` and is {kind_of(layer)}; the layers are: {listed}.",
            "Which two layers does the exercise name, and how?",
        )
    found = layer.in_features, layer.out_features
    if found != (d, m):
        raise WrongStructure(
            "layer-of-another-size",
            f"`{name}` should be `nn.Linear({d}, {m})` and is `nn.Linear({found[0]}, {found[1]})`.",
            "How many numbers is one image, and how many come out of this layer? Which arguments tell?",
        )
    return layer


def _image_cases(rng: np.random.Generator) -> list[Case]:
    def case(name: str, N: int, side: int, hidden: int, classes: int) -> Case:
        params, X, _ = two_layer_case(rng, name, N, side * side, hidden, classes).args
        args = X.reshape(N, 1, side, side), *params.values(), normal(rng, N, classes)
        return Case(name, args, {"N": N, "side": side, "H": hidden, "C": classes})

    return [
        case("7 images of 5 × 5", 7, 5, 3, 2),
        case("N = 1", 1, 3, 5, 2),
        case("as many images as rows", 3, 3, 7, 5),
        case("as many images as pixels", 4, 2, 3, 7),
        case("all sizes 2", 2, 2, 2, 2),
    ]


FixedImageNet = Exercise(
    "FixedImageNet",
    CHAPTER,
    1,
    "FixedImageNet(side, hidden, classes)",
    ("Y", "dX"),
    reference=None,
    make_cases=_image_cases,
    arguments=("images", "W1", "b1", "W2", "b2", "dY"),
    adapt=_see,
    properties=(_refuses_other_sizes,),
    partial_credit=False,
    formula="`self.fc2(torch.relu(self.fc1(images.flatten(1))))`",
    answers=ANSWERS,
)


# FixedSGD
#
# `FixedSGD(params, lr)`: w −= lr · g. Each group of parameters has a learning rate of its own, under "lr", which a
# schedule may change; a parameter without a gradient is passed over; a state saved and loaded goes on as if nothing had
# happened. The parameters are changed in place, their gradients are left alone.


def _without_momentum(answer):
    """The learner's class for those who hand over a momentum as well."""
    import torch

    if isinstance(answer, torch.optim.Optimizer):
        return answer  # an object, not a class: that is said elsewhere
    return lambda params, lr, momentum: answer(params, lr)


def _descend_plainly(answer: Callable) -> Callable:
    """Where the weights are after the first step, after one without a gradient of B, after one with half the rate …"""

    def run(start, grads, lr, other_lr):
        path = descend(_without_momentum(answer))(start, grads, lr, other_lr, 0.0)
        found = {f"{name} after step {k}": path[name][k - 1] for k in (1, 3, 4) for name in start}
        return found | {f"{name} after a restart": path[f"{name} after a restart"][-1] for name in start}

    return run


def _leaves_the_rest_alone(answer: Callable, seed: int) -> Finding | None:
    return touches_only_the_weights(_without_momentum(answer), seed)


def _plain_cases(rng: np.random.Generator) -> list[Case]:
    cases = descent_cases(rng)[:3]  # the last one is about momentum
    return [replace(case, args=case.args[:4]) for case in cases]


FixedSGD = Exercise(
    "FixedSGD",
    CHAPTER,
    2,
    "FixedSGD(params, lr)",
    ("A", "B", "C"),
    reference=None,
    make_cases=_plain_cases,
    arguments=("start", "grads", "lr", "lr of B and C"),
    adapt=_descend_plainly,
    properties=(_leaves_the_rest_alone,),
    partial_credit=False,
    formula="`super().__init__(params, {'lr': lr})`; under `no_grad`, for each `group` of `self.param_groups` and each "
    "`p` of `group['params']` that has a gradient: `p.sub_(group['lr'] * p.grad)`",
    answers=ANSWERS,
)


# fix_double_softmax
#
# `fix_double_softmax(logits, y)`: the mean cross-entropy, as a tensor without axes that knows its graph, and the
# probabilities (N, C), each row of which adds up to 1; for large logits, too. Whether the probabilities know their
# graph is free.


def _loss_and_probabilities(answer: Callable) -> Callable:
    def run(logits, y):
        import torch

        leaf = torch.tensor(logits, requires_grad=True)
        loss, probabilities = _two(answer(leaf, torch.tensor(y)), "the loss", "the probabilities")
        if all(isinstance(part, torch.Tensor) for part in (loss, probabilities)) and loss.ndim > probabilities.ndim:
            raise WrongStructure(
                "outputs-swapped", "The probabilities come first, and the loss second.", "What is asked for first?"
            )
        if not isinstance(probabilities, torch.Tensor | np.ndarray):
            raise WrongStructure(
                "no-probabilities",
                f"The probabilities should be a tensor (N, C); got {kind_of(probabilities)}.",
                "Which line makes them?",
            )
        P = torch.as_tensor(probabilities).detach().numpy().copy()
        return _loss_and_slope(loss, leaf) | {"probabilities": P}

    return run


fix_double_softmax = Exercise(
    "fix_double_softmax",
    CHAPTER,
    1,
    "fix_double_softmax(logits, y)",
    ("loss", "dlogits", "probabilities"),
    reference=None,
    make_cases=lambda rng: _label_cases(rng, 10000.0),
    adapt=_loss_and_probabilities,
    partial_credit=False,
    formula="`loss = nn.functional.cross_entropy(logits, y)`, and `logits.softmax(1)` for the probabilities alone",
    answers=ANSWERS,
)


# fix_optimizer_names
#
# `fix_optimizer_names(names)`: the classes of torch.optim that a list of names means, each once, in the order in which
# they are first mentioned. A name may differ from that of its class in capital and small letters only. One that is the
# name of no optimizer raises a ValueError whose message names it; `Optimizer` itself is none, nor is `lr_scheduler`.


def _look_up(answer: Callable) -> Callable:
    def run(names):
        import torch

        known = {
            name.lower(): member
            for name, member in vars(torch.optim).items()
            if inspect.isclass(member) and issubclass(member, torch.optim.Optimizer) and name != "Optimizer"
        }
        unknown = next((name for name in names if name.lower() not in known), None)
        try:
            found = _classes(answer(list(names)))
        except (ValueError, LookupError, AttributeError, StopIteration) as error:
            if unknown is not None:
                _expect_blame(error, unknown, names)
                return {"errors that name it": 1}
            _refuse_blame(error, known, names)
            raise
        if unknown is not None:
            raise WrongStructure(
                "unknown-accepted",
                f"“{unknown}” is the name of no optimizer: your function should raise a `ValueError`, and does not.",
                "How would anybody learn that an article speaks of an optimizer that does not exist?",
            )
        right = dict.fromkeys(known[name.lower()] for name in names)
        places = {f"place of {member.__name__}": found.index(member) + 1 if member in found else 0 for member in right}
        return {"length of the list": len(found)} | places

    return run


def _classes(found) -> list[type]:
    if found is None:
        raise WrongStructure("returned-none", "The function returned `None`.", "Is there a `return` on every path?")
    if not isinstance(found, list | tuple):
        raise WrongStructure(
            "no-list", f"Expected a list of classes; got {kind_of(found)}.", "Which of them has an order?"
        )
    for member in found:
        if isinstance(member, str):
            raise WrongStructure(
                "names-for-classes",
                f"Expected a list of classes; {member!r} in it is a name.",
                "What is the difference between `'SGD'` and `torch.optim.SGD`?",
            )
        if not isinstance(member, type):
            raise WrongStructure(
                "no-class",
                f"Expected a list of classes; in it is {kind_of(member)}.",
                "What stands in your list for a name that is none of an optimizer?",
            )
    return list(found)


def _mentioned(name: str, text: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text, re.IGNORECASE) is not None


def _expect_blame(error: Exception, unknown: str, names: list[str]) -> None:
    """Say so if an error is no ValueError, or its message does not single out the unknown name."""
    if not isinstance(error, ValueError):
        kind = type(error).__name__
        raise WrongStructure(
            {"KeyError": "key-error", "IndexError": "index-error"}.get(kind, "another-error"),
            f"“{unknown}” is the name of no optimizer: your function should raise a `ValueError`, and raises "
            f"`{kind}: {error}`.",
            "Which kind of error tells the caller that the value of an argument is wrong?",
        )
    message = rest = str(error)
    for all_at_once in (repr(list(names)), repr(tuple(names)), ", ".join(names)):
        rest = rest.replace(all_at_once, "") if len(names) > 1 else rest
    if _mentioned(unknown, rest):
        return
    others = any(name != unknown and _mentioned(name, message) for name in names)
    if _mentioned(unknown, message) and others:
        raise WrongStructure(
            "error-names-all",
            f"The message of your `ValueError` lists all names, and not “{unknown}” alone.",
            "Which of the names in your message is the wrong one?",
        )
    if not _mentioned(unknown, message):
        raise WrongStructure(
            "error-names-another" if others else "error-names-nothing",
            f"The message of your `ValueError` should name “{unknown}”; it "
            + (f"says “{message}”." if message else "is empty."),
            "If fifty names are handed over, how does one find the wrong one?",
        )


def _refuse_blame(error: Exception, known: dict[str, type], names: list[str]) -> None:
    """Say so if a ValueError is about names that are all right."""
    if isinstance(error, ValueError) and names:
        about = next((name for name in names if _mentioned(name, str(error))), names[0])
        meant = known[about.lower()].__name__
        raise WrongStructure(
            "known-refused",
            f"Your function raises `ValueError: {error}`; “{about}” means `torch.optim.{meant}`.",
            "Where does your function learn which classes torch.optim has? How are the two spellings compared?",
        )


def _explain_order(answer: Callable) -> Finding | None:
    """Are the right classes there, each once, and in another order?"""
    import torch

    known = {name.lower(): getattr(torch.optim, name) for name in ("SGD", "Adam", "RMSprop", "Adagrad", "NAdam")}
    for names in itertools.permutations(known, 3):
        right = [known[name] for name in names]
        found = call(answer, (list(names),)).value
        if not isinstance(found, list | tuple) or len(found) != 3 or {*found} != {*right}:
            return None
        if list(found) != right:
            listed = ", ".join(member.__name__ for member in found)
            return Finding(
                f"For `{list(names)}` your list is {listed}.",
                "order-lost",
                "the classes come in another order than the names: a set keeps none, and sorting makes one of its own.",
                "Which containers of Python remember the order in which things came?",
            )
    return None


def _name_cases(rng: np.random.Generator) -> list[Case]:
    def case(name: str, *names: str) -> Case:
        """The names in another order than that of the alphabet, whether the first or the last mention counts."""
        for _ in range(100):
            names = tuple(map(str, rng.permutation(names)))
            first = list(dict.fromkeys(other.lower() for other in names))
            last = list(dict.fromkeys(other.lower() for other in reversed(names)))[::-1]
            if len(first) == 1 or (first != sorted(first) and (len(first) == len(names) or first != last)):
                break
        return Case(name, (list(names),), {})

    def refused(name: str, unknown: str) -> Case:
        return Case(name, (["Adam", unknown, "sgd"],), {})

    pool = rng.permutation(["SGD", "LBFGS", "Adadelta", "Adamax", "RMSprop", "NAdam", "Rprop"])
    return [
        case("one of them twice, in two spellings", "SGD", "AdaGrad", "Adagrad", "RMSProp", "adam"),
        case("spelt as PyTorch does", *pool[:4]),
        case("names that look alike", "AdamW", "Adam", "Nadam", "Radam", "Sparseadam"),
        Case("SGD and ASGD", (["sgd", "Asgd"],), {}),
        case("the same name twice", "Rprop", "Adam", "adadelta", "Rprop"),
        Case("no names", ([],), {}),
        refused("an algorithm that does not exist", "stochastic gradient direction descent"),
        refused("longer than the name of one", "adagradient"),
        refused("almost the name of one", "adgrad"),
        refused("the base class", "optimizer"),
        refused("a module of torch.optim", "lr_scheduler"),
    ]


fix_optimizer_names = Exercise(
    "fix_optimizer_names",
    CHAPTER,
    1,
    "fix_optimizer_names(names)",
    ("length of the list",),
    reference=None,
    make_cases=_name_cases,
    adapt=_look_up,
    explain=_explain_order,
    partial_credit=False,
    formula="a dict from `name.lower()` to the class, for the classes among `vars(torch.optim).values()` that are "
    "derived from `Optimizer`; `dict.fromkeys` keeps each once, in order",
    answers=ANSWERS,
)


EXERCISES = [
    fix_training_loop,
    fix_build,
    fix_label_loss,
    FixedImageNet,
    FixedSGD,
    fix_double_softmax,
    fix_optimizer_names,
]
