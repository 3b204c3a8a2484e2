"""Right and wrong answers to the exercises of chapter 9. Importing this module imports PyTorch."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import Dataset

from autograder.exercises.pytorch import (
    Affine,
    ArrayDataset,
    Conv2d,
    HuberLoss,
    LogSumExp,
    MomentumSGD,
    Swish,
    torch_grads,
    torch_train_step,
)

# torch_grads


def _leaves(params, dtype=torch.float64):
    return {name: torch.tensor(a, dtype=dtype, requires_grad=True) for name, a in params.items()}


def _logits(leaves, X, activation=torch.relu):
    return activation(torch.tensor(X) @ leaves["W1"] + leaves["b1"]) @ leaves["W2"] + leaves["b2"]


def _grads(leaves):
    return {name: leaf.grad.numpy() for name, leaf in leaves.items()}


@torch_grads.refer
def torch_grads_reference(params, X, y):
    leaves = {name: torch.tensor(a, requires_grad=True) for name, a in params.items()}
    A1 = torch.relu(torch.tensor(X) @ leaves["W1"] + leaves["b1"])
    loss = F.cross_entropy(A1 @ leaves["W2"] + leaves["b2"], torch.tensor(y))
    loss.backward()
    return {name: leaf.grad.numpy() for name, leaf in leaves.items()}


@torch_grads.wheat
def by_autograd_grad(params, X, y):
    names, arrays = zip(*params.items(), strict=True)
    leaves = [torch.from_numpy(a).requires_grad_() for a in arrays]
    by_name = dict(zip(names, leaves, strict=True))
    loss = F.cross_entropy(_logits(by_name, X), torch.from_numpy(y))
    return {name: g.numpy() for name, g in zip(names, torch.autograd.grad(loss, leaves), strict=True)}


@torch_grads.wheat
def in_single_precision(params, X, y):
    leaves = _leaves(params, torch.float32)
    A1 = torch.relu(torch.tensor(X, dtype=torch.float32) @ leaves["W1"] + leaves["b1"])
    F.cross_entropy(A1 @ leaves["W2"] + leaves["b2"], torch.tensor(y)).backward()
    return _grads(leaves)


@torch_grads.wheat
def with_modules(params, X, y):
    (D, H), C = params["W1"].shape, len(params["b2"])
    model = torch.nn.Sequential(torch.nn.Linear(D, H), torch.nn.ReLU(), torch.nn.Linear(H, C)).double()
    with torch.no_grad():
        for layer, k in ((model[0], 1), (model[2], 2)):
            layer.weight.copy_(torch.tensor(params[f"W{k}"].T.copy()))
            layer.bias.copy_(torch.tensor(params[f"b{k}"]))
    torch.nn.CrossEntropyLoss()(model(torch.tensor(X)), torch.tensor(y)).backward()
    return {
        "W1": model[0].weight.grad.numpy().T,
        "b1": model[0].bias.grad.numpy(),
        "W2": model[2].weight.grad.numpy().T,
        "b2": model[2].bias.grad.numpy(),
    }


@torch_grads.wheat
def loss_written_out(params, X, y):
    leaves = _leaves(params)
    Z = _logits(leaves, X)
    (torch.logsumexp(Z, 1) - Z[torch.arange(len(y)), torch.tensor(y)]).mean().backward()
    return _grads(leaves)


@torch_grads.wheat
def onehot_targets(params, X, y):
    leaves = _leaves(params)
    targets = F.one_hot(torch.tensor(y), len(params["b2"])).double()
    F.cross_entropy(_logits(leaves, X), targets).backward()
    return _grads(leaves)


@torch_grads.wheat
def by_torch_func(params, X, y):
    def loss(tensors):
        return F.nll_loss(F.log_softmax(_logits(tensors, X), dim=1), torch.tensor(y))

    grads = torch.func.grad(loss)({name: torch.tensor(a) for name, a in params.items()})
    return {name: g.numpy() for name, g in grads.items()}


def _chaff_grads(loss=lambda Z, y: F.cross_entropy(Z, y), logits=_logits, times=1):
    def answer(params, X, y):
        leaves = _leaves(params)
        value = loss(logits(leaves, X), torch.tensor(y))
        for _ in range(times):
            value.backward(retain_graph=True)
        return _grads(leaves)

    return answer


def _hidden(change):
    def logits(leaves, X):
        A1 = torch.relu(torch.tensor(X) @ leaves["W1"] + leaves["b1"])
        return change(A1) @ leaves["W2"] + leaves["b2"]

    return logits


def _onehot(Z, y):
    return F.one_hot(y, Z.shape[1]).to(Z.dtype)


for _cause, _misconception, _hint, _answer, *_tells in (
    ("softmax-twice", "a softmax stands before `cross_entropy`, which takes one itself.",
     "What does the documentation of `cross_entropy` call its first argument: probabilities or logits?",
     _chaff_grads(lambda Z, y: F.cross_entropy(Z.softmax(1), y))),
    ("log-softmax-missing", "`nll_loss` got the logits; it expects logarithms of probabilities.",
     "What do the letters nll stand for, and of what is the logarithm taken?",
     _chaff_grads(lambda Z, y: F.nll_loss(Z, y))),
    ("nll-of-probabilities", "`nll_loss` got probabilities; it expects their logarithms.",
     "`nll_loss` takes no logarithm itself, in spite of its name. Who does?",
     _chaff_grads(lambda Z, y: F.nll_loss(Z.softmax(1), y))),
    ("summed-over-batch", "the loss is summed over the examples, not averaged.",
     "By what must a sum over N examples be divided, for a mean? See `reduction`.",
     _chaff_grads(lambda Z, y: F.cross_entropy(Z, y, reduction="sum"))),
    ("averaged-twice", "the loss is a mean already, and is divided by N once more.",
     "What does `reduction` stand at, if it is not given?",
     _chaff_grads(lambda Z, y: F.cross_entropy(Z, y) / len(y))),
    ("averaged-over-classes", "the loss is averaged over all N · C entries of the logits, not over N examples.",
     "How many terms has the sum for one example, and by what is it divided?",
     _chaff_grads(lambda Z, y: -(_onehot(Z, y) * Z.log_softmax(1)).mean())),
    ("softmax-over-the-batch", "the softmax runs over the examples, not over the classes.",
     "Which axis must sum to 1? `dim` names the axis that is collected.",
     _chaff_grads(lambda Z, y: F.nll_loss(Z.log_softmax(0), y))),
    ("backward-twice", "`backward` ran twice, and `.grad` adds up.",
     "How often is `backward` called in your code, and who empties `.grad`?",
     _chaff_grads(times=2)),
    ("mse-for-labels", "this is the slope of the squared error of the probabilities, not of the cross-entropy.",
     "Which loss does the exercise name?",
     _chaff_grads(lambda Z, y: F.mse_loss(Z.softmax(1), _onehot(Z, y)))),
    ("mse-on-logits", "this is the slope of the squared error between logits and one-hot labels.",
     "Which loss does the exercise name?",
     _chaff_grads(lambda Z, y: F.mse_loss(Z, _onehot(Z, y)))),
    ("binary-per-class", "every class is judged by itself: a sigmoid and binary cross-entropy, not a softmax.",
     "Do the probabilities of an example have to sum to 1?",
     _chaff_grads(lambda Z, y: F.binary_cross_entropy_with_logits(Z, _onehot(Z, y)))),
    ("relu-missing", "there is no ReLU between the two layers.",
     "Write the forward pass as a chain: what stands between the two products?",
     _chaff_grads(logits=lambda t, X: _logits(t, X, lambda Z: Z))),
    ("tanh-for-relu", "`tanh` stands where ReLU belongs.", "Which activation does chapter 6 have?",
     _chaff_grads(logits=lambda t, X: _logits(t, X, torch.tanh))),
    ("sigmoid-for-relu", "`sigmoid` stands where ReLU belongs.", "Which activation does chapter 6 have?",
     _chaff_grads(logits=lambda t, X: _logits(t, X, torch.sigmoid))),
    ("relu-at-the-end", "the logits go through ReLU, too.", "May a logit be negative?",
     _chaff_grads(logits=lambda t, X: torch.relu(_logits(t, X)))),
    ("remembers", "a dropout is active: every call gives other gradients.",
     "Is there anything random in the network of chapter 6?",
     _chaff_grads(logits=lambda t, X: _logits(t, F.dropout(torch.tensor(X), 0.5).numpy()))),
):  # fmt: skip
    torch_grads.chaff(_cause, _misconception, _hint, *_tells)(_answer)


@torch_grads.chaff(
    "item-before-backward",
    "`backward` is called on a number: `item()` has left the graph behind.",
    "Which of the two, the tensor or the number in it, knows how it was made?",
)
def item_before_backward(params, X, y):
    leaves = _leaves(params)
    F.cross_entropy(_logits(leaves, X), torch.tensor(y)).item().backward()
    return _grads(leaves)


@torch_grads.chaff(
    "arguments-swapped",
    "`cross_entropy` got the labels first, as a loss of Keras wants them.",
    "In which order does a loss of PyTorch want logits and labels?",
)
def labels_first(params, X, y):
    leaves = _leaves(params)
    F.cross_entropy(torch.tensor(y), _logits(leaves, X)).backward()
    return _grads(leaves)


@torch_grads.chaff(
    "target-with-two-axes",
    "what the loss takes for labels has two axes: it is the logits, if the labels stand first as in Keras, or rows of "
    "one-hot numbers.",
    "What shape has each of the two arguments of your loss, and which of them comes first?",
)
def target_with_two_axes(params, X, y):
    leaves = _leaves(params)
    F.nll_loss(torch.tensor(y), _logits(leaves, X).log_softmax(1)).backward()
    return _grads(leaves)


@torch_grads.chaff(
    "under-no-grad",
    "the forward pass runs under `no_grad`: it is computed, and nothing is recorded.",
    "What is `no_grad` for: the forward pass, or the update?",
    ("no_grad", "inference_mode", "set_grad_enabled"),
)
def under_no_grad(params, X, y):
    leaves = _leaves(params)
    with torch.no_grad():
        loss = F.cross_entropy(_logits(leaves, X), torch.tensor(y))
    loss.backward()
    return _grads(leaves)


@torch_grads.chaff(
    "requires-grad-missing",
    "no parameter has `requires_grad=True`, so no graph is recorded.",
    "Who tells PyTorch which tensors you want gradients for?",
)
def requires_grad_missing(params, X, y):
    tensors = {name: torch.tensor(a) for name, a in params.items()}
    F.cross_entropy(_logits(tensors, X), torch.tensor(y)).backward()
    return _grads(tensors)


@torch_grads.chaff(
    "hidden-detached",
    "the graph is cut at the hidden layer (`detach`, `.data`, `torch.tensor(…)`), so nothing goes back to `W1`, `b1`.",
    "Print `A1.grad_fn`. What must stand there for the way back to exist?",
    ("detach", "data"),
)
def hidden_detached(params, X, y):
    leaves = _leaves(params)
    A1 = torch.relu(torch.tensor(X) @ leaves["W1"] + leaves["b1"]).detach()
    F.cross_entropy(A1 @ leaves["W2"] + leaves["b2"], torch.tensor(y)).backward()
    return _grads(leaves)


@torch_grads.chaff(
    "loss-made-anew",
    "`backward` is called on a tensor that was made from a number: it is a leaf, with no way back to the parameters.",
    "Print `loss.grad_fn`. What does it say of a tensor that you made yourself?",
    ("item", "tolist"),
)
def loss_made_anew(params, X, y):
    leaves = _leaves(params)
    loss = F.cross_entropy(_logits(leaves, X), torch.tensor(y)).item()
    torch.tensor(loss, requires_grad=True).backward()
    return _grads(leaves)


@torch_grads.chaff(
    "not-a-leaf",
    "what was made from a leaf (by `.double()`, `.float()`, `* 1`, `.T`) is a tensor of its own: `backward` fills the "
    "`.grad` of the leaf, not of that.",
    "Print `tensor.is_leaf` for each parameter.",
    ("backward",),
)
def not_a_leaf(params, X, y):
    leaves = {name: torch.tensor(a, requires_grad=True) * 1 for name, a in params.items()}
    F.cross_entropy(_logits(leaves, X), torch.tensor(y)).backward()
    return _grads(leaves)


@torch_grads.chaff(
    "backward-missing",
    "nothing calls `backward`, so every `.grad` is still None.",
    "Which call fills `.grad`?",
)
def backward_missing_in_grads(params, X, y):
    leaves = _leaves(params)
    F.cross_entropy(_logits(leaves, X), torch.tensor(y))
    return _grads(leaves)


@torch_grads.chaff(
    "parameters-returned",
    "the parameters themselves are returned, not their gradients.",
    "Which attribute of a leaf does `backward` fill?",
)
def parameters_returned(params, X, y):
    leaves = _leaves(params)
    F.cross_entropy(_logits(leaves, X), torch.tensor(y)).backward()
    return {name: leaf.detach().numpy() for name, leaf in leaves.items()}


# torch_train_step


@torch_train_step.refer
def torch_train_step_reference(model, optimizer, loss_fn, X, y):
    optimizer.zero_grad()
    loss = loss_fn(model(X), y)
    loss.backward()
    optimizer.step()
    return loss.item()


@torch_train_step.wheat
def zeroed_just_before_backward(model, optimizer, loss_fn, X, y):
    loss = loss_fn(model(X), y)
    optimizer.zero_grad(set_to_none=False)
    loss.backward()
    optimizer.step()
    return float(loss)


@torch_train_step.wheat
def zeroed_by_the_model(model, optimizer, loss_fn, X, y):
    model.zero_grad()
    loss = loss_fn(model(X), y)
    loss.backward()
    optimizer.step()
    return loss.detach().numpy().item()


@torch_train_step.wheat
def with_a_closure(model, optimizer, loss_fn, X, y):
    def closure():
        optimizer.zero_grad()
        loss = loss_fn(model(X), y)
        loss.backward()
        return loss

    return optimizer.step(closure).item()


@torch_train_step.wheat
def gradients_asked_for_and_put(model, optimizer, loss_fn, X, y):
    loss = loss_fn(model(X), y)
    params = list(model.parameters())
    for p, g in zip(params, torch.autograd.grad(loss, params), strict=True):
        p.grad = g
    optimizer.step()
    return loss.item()


@torch_train_step.wheat
def zeroed_before_and_after(model, optimizer, loss_fn, X, y):
    optimizer.zero_grad()
    loss = loss_fn(model.forward(X), y)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    return loss.tolist()


@torch_train_step.wheat
def grad_set_to_none_by_hand(model, optimizer, loss_fn, X, y):
    for group in optimizer.param_groups:
        for p in group["params"]:
            p.grad = None
    model.train()
    prediction = model(X)
    loss = loss_fn(prediction, y)
    loss.backward()
    optimizer.step()
    return float(loss.item())


@torch_train_step.chaff(
    "zero-grad-missing",
    "nothing empties `.grad`: the gradients of this batch are added to those of earlier ones.",
    "What does `.grad` hold before your `backward`?",
)
def zero_grad_missing(model, optimizer, loss_fn, X, y):
    loss = loss_fn(model(X), y)
    loss.backward()
    optimizer.step()
    return loss.item()


@torch_train_step.chaff(
    "zero-grad-at-the-end",
    "`zero_grad` comes after the step only: whatever somebody left in `.grad` before the first one is still there.",
    "May you trust that `.grad` is empty when your function is called?",
)
def zero_grad_at_the_end(model, optimizer, loss_fn, X, y):
    loss = loss_fn(model(X), y)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    return loss.item()


@torch_train_step.chaff(
    "zeroed-after-backward",
    "`zero_grad` stands between `backward` and `step`: it throws away what `backward` has just found.",
    "Follow `.grad` through your lines: what does it hold when `step` reads it?",
)
def zeroed_after_backward(model, optimizer, loss_fn, X, y):
    loss = loss_fn(model(X), y)
    loss.backward()
    optimizer.zero_grad()
    optimizer.step()
    return loss.item()


@torch_train_step.chaff(
    "step-before-backward",
    "`step` comes before `backward`: it moves by the gradients of the call before.",
    "What does `step` need, and which line brings it?",
)
def step_before_backward(model, optimizer, loss_fn, X, y):
    loss = loss_fn(model(X), y)
    optimizer.step()
    optimizer.zero_grad()
    loss.backward()
    return loss.item()


@torch_train_step.chaff(
    "step-missing", "the gradients are computed, and nobody takes the step.", "Do the weights move?"
)
def step_missing(model, optimizer, loss_fn, X, y):
    optimizer.zero_grad()
    loss = loss_fn(model(X), y)
    loss.backward()
    return loss.item()


@torch_train_step.chaff(
    "backward-missing", "nothing calls `backward`, so `step` has no gradients.", "Who fills `.grad`?"
)
def backward_missing(model, optimizer, loss_fn, X, y):
    optimizer.zero_grad()
    loss = loss_fn(model(X), y)
    optimizer.step()
    return loss.item()


@torch_train_step.chaff(
    "loss-after-the-step",
    "the loss is computed again after the step, so another one is returned than the one that was differentiated.",
    "Which loss belongs to the gradients of this step: the one before it or the one after it?",
)
def loss_after_the_step(model, optimizer, loss_fn, X, y):
    optimizer.zero_grad()
    loss_fn(model(X), y).backward()
    optimizer.step()
    return loss_fn(model(X), y).item()


@torch_train_step.chaff(
    "arguments-swapped",
    "`loss_fn` got the labels first, as a loss of Keras wants them.",
    "In which order does a loss of PyTorch want predictions and labels?",
)
def arguments_swapped(model, optimizer, loss_fn, X, y):
    optimizer.zero_grad()
    loss = loss_fn(y, model(X))
    loss.backward()
    optimizer.step()
    return loss.item()


@torch_train_step.chaff(
    "softmax-before-the-loss",
    "a softmax stands before `loss_fn`; `CrossEntropyLoss` takes one itself.",
    "What does `CrossEntropyLoss` expect, probabilities or logits?",
)
def softmax_before_the_loss(model, optimizer, loss_fn, X, y):
    optimizer.zero_grad()
    loss = loss_fn(model(X).softmax(1), y)
    loss.backward()
    optimizer.step()
    return loss.item()


@torch_train_step.chaff(
    "own-optimizer",
    "the step is taken by hand, and the optimizer's momentum is passed by.",
    "Who knows the learning rate, and everything else about the step?",
)
def own_optimizer(model, optimizer, loss_fn, X, y):
    optimizer.zero_grad()
    loss = loss_fn(model(X), y)
    loss.backward()
    with torch.no_grad():
        for p in model.parameters():
            p -= optimizer.param_groups[0]["lr"] * p.grad
    return loss.item()


@torch_train_step.chaff(
    "new-optimizer",
    "the function makes an optimizer of its own in every call: with its own learning rate, and with a momentum that "
    "starts from nothing each time.",
    "Where does an optimizer keep what it remembers, and how long does yours live?",
    ("SGD", "Adam", "AdamW"),
)
def new_optimizer(model, optimizer, loss_fn, X, y):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    optimizer.zero_grad()
    loss = loss_fn(model(X), y)
    loss.backward()
    optimizer.step()
    return loss.item()


@torch_train_step.chaff(
    "step-twice", "`step` is taken twice for one gradient.", "How often does `step` run in one call of yours?"
)
def step_twice(model, optimizer, loss_fn, X, y):
    optimizer.zero_grad()
    loss = loss_fn(model(X), y)
    loss.backward()
    optimizer.step()
    optimizer.step()
    return loss.item()


@torch_train_step.chaff(
    "cut-by-no-grad",
    "the forward pass runs under `no_grad`: nothing is recorded for `backward`.",
    "What is `no_grad` for: the forward pass, or the update?",
    ("no_grad", "inference_mode", "set_grad_enabled"),
)
def cut_by_no_grad(model, optimizer, loss_fn, X, y):
    optimizer.zero_grad()
    with torch.no_grad():
        loss = loss_fn(model(X), y)
    loss.backward()
    optimizer.step()
    return loss.item()


@torch_train_step.chaff(
    "prediction-detached",
    "the graph is cut (`detach`, `.data`, `torch.tensor(…)`) between the model and the loss.",
    "What does `print(loss.grad_fn)` say just before `backward`?",
)
def prediction_detached(model, optimizer, loss_fn, X, y):
    optimizer.zero_grad()
    loss = loss_fn(model(X).detach(), y)
    loss.backward()
    optimizer.step()
    return loss.item()


@torch_train_step.chaff(
    "classes-for-logits",
    "`loss_fn` got the predicted classes (`argmax`), not the logits.",
    "How far does a loss fall if the class stays the same and the logits move a little?",
    ("argmax", "max"),
)
def classes_for_logits(model, optimizer, loss_fn, X, y):
    optimizer.zero_grad()
    loss = loss_fn(model(X).argmax(1), y)
    loss.backward()
    optimizer.step()
    return loss.item()


@torch_train_step.chaff(
    "backward-of-a-number",
    "`backward` is called on a number: `item()` has left the graph behind.",
    "Which of the two, the tensor or the number in it, knows how it was made?",
)
def backward_of_a_number(model, optimizer, loss_fn, X, y):
    optimizer.zero_grad()
    loss = loss_fn(model(X), y).item()
    loss.backward()
    optimizer.step()
    return loss


@torch_train_step.chaff(
    "update-recorded",
    "the weights are changed in place while the graph is switched on, and not by the optimizer.",
    "Who knows how to take a step, and keeps it out of the graph?",
)
def update_recorded(model, optimizer, loss_fn, X, y):
    optimizer.zero_grad()
    loss = loss_fn(model(X), y)
    loss.backward()
    for p in model.parameters():
        p -= optimizer.param_groups[0]["lr"] * p.grad
    return loss.item()


@torch_train_step.chaff(
    "evaluation-mode",
    "the model is in evaluation mode during the forward pass: dropout and batch norm would not train.",
    "What does `model.eval()` change, and for which layers?",
)
def evaluation_mode(model, optimizer, loss_fn, X, y):
    model.eval()
    optimizer.zero_grad()
    loss = loss_fn(model(X), y)
    loss.backward()
    optimizer.step()
    return loss.item()


@torch_train_step.chaff(
    "averaged-twice",
    "the loss is divided by the number of examples; `loss_fn` has averaged already.",
    "What does `reduction` stand at in a loss of PyTorch?",
)
def averaged_twice(model, optimizer, loss_fn, X, y):
    optimizer.zero_grad()
    loss = loss_fn(model(X), y) / len(X)
    loss.backward()
    optimizer.step()
    return loss.item()


@torch_train_step.chaff(
    "sum-returned",
    "the loss is multiplied by the number of examples before it is returned.",
    "Which loss does the exercise ask for: that of the batch as a sum, or as `loss_fn` gives it?",
)
def sum_returned(model, optimizer, loss_fn, X, y):
    optimizer.zero_grad()
    loss = loss_fn(model(X), y)
    loss.backward()
    optimizer.step()
    return loss.item() * len(X)


@torch_train_step.chaff(
    "labels-as-floats",
    "the labels are floats; a loss for classes wants whole numbers.",
    "Which dtype does `CrossEntropyLoss` ask for?",
)
def labels_as_floats(model, optimizer, loss_fn, X, y):
    optimizer.zero_grad()
    loss = loss_fn(model(X), y.float())
    loss.backward()
    optimizer.step()
    return loss.item()


@torch_train_step.chaff(
    "wrong-type",
    "the loss is returned as a tensor, which drags its whole graph along.",
    "What makes a number of a tensor that has one entry?",
)
def loss_as_a_tensor(model, optimizer, loss_fn, X, y):
    optimizer.zero_grad()
    loss = loss_fn(model(X), y)
    loss.backward()
    optimizer.step()
    return loss


@torch_train_step.chaff("returned-none", "nothing is returned.", "Is there a `return`?")
def nothing_returned(model, optimizer, loss_fn, X, y):
    optimizer.zero_grad()
    loss_fn(model(X), y).backward()
    optimizer.step()


# LogSumExp


class _Saved(torch.autograd.Function):
    """Right, and a base for answers that go wrong in one place."""

    @staticmethod
    def forward(ctx, X):
        Y = torch.logsumexp(X, -1)
        ctx.save_for_backward(X, Y)
        return Y

    @staticmethod
    def backward(ctx, dY):
        X, Y = ctx.saved_tensors
        return dY[..., None] * torch.exp(X - Y[..., None])


@LogSumExp.refer
class LogSumExpReference(torch.autograd.Function):
    @staticmethod
    def forward(ctx, X):
        top = X.max(dim=-1, keepdim=True).values
        Y = top[..., 0] + torch.log(torch.exp(X - top).sum(dim=-1))
        ctx.save_for_backward(X)
        return Y

    @staticmethod
    def backward(ctx, dY):
        (X,) = ctx.saved_tensors
        return dY.unsqueeze(-1) * torch.softmax(X, dim=-1)


@LogSumExp.wheat
class ByTheSavedOutput(_Saved):
    pass


@LogSumExp.wheat
class WithAMultiplication(torch.autograd.Function):
    @staticmethod
    def forward(ctx, X):
        ctx.save_for_backward(X)
        return X.logsumexp(dim=-1)

    @staticmethod
    def backward(ctx, dY):
        (X,) = ctx.saved_tensors
        return torch.einsum("...,...d->...d", dY, X.softmax(-1))


@LogSumExp.wheat
class WithSetupContext(torch.autograd.Function):
    @staticmethod
    def forward(X):
        return torch.logsumexp(X, dim=-1)

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(inputs[0])

    @staticmethod
    def backward(ctx, dY):
        (X,) = ctx.saved_tensors
        E = torch.exp(X - X.max(-1, keepdim=True).values.detach())
        return dY.unsqueeze(-1) * E / E.sum(-1, keepdim=True)


@LogSumExp.wheat
class ByLogSoftmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx, X):
        ctx.save_for_backward(X)
        return (X - X.log_softmax(-1)).mean(-1)

    @staticmethod
    def backward(ctx, *grads):
        return grads[0][..., None] * ctx.saved_tensors[0].log_softmax(-1).exp()


@LogSumExp.wheat
class ByLogaddexp(torch.autograd.Function):
    @staticmethod
    def forward(ctx, X):
        total = X[..., 0].clone()
        for column in range(1, X.shape[-1]):
            total = torch.logaddexp(total, X[..., column])
        ctx.save_for_backward(X)
        return total

    @staticmethod
    def backward(ctx, upstream):
        (X,) = ctx.saved_tensors
        return torch.softmax(X, -1) * upstream.reshape(*upstream.shape, 1)


@LogSumExp.wheat
class WithDifferentiableInside(torch.autograd.Function):
    @staticmethod
    def forward(ctx, X):
        ctx.save_for_backward(X)
        return torch.log(torch.exp(X - X.amax(-1, True)).sum(-1)) + X.amax(-1)

    @staticmethod
    def backward(ctx, dY):
        (X,) = ctx.saved_tensors
        shifted = X - X.amax(-1, keepdim=True)
        return (dY / shifted.exp().sum(-1)).unsqueeze(-1) * shifted.exp()


def _backward(change):
    """The function with another backward pass."""

    class Answer(_Saved):
        @staticmethod
        def backward(ctx, dY):
            return change(dY, *ctx.saved_tensors)

    return Answer


def _forward(change):
    class Answer(torch.autograd.Function):
        @staticmethod
        def forward(ctx, X):
            ctx.save_for_backward(X)
            return change(X)

        @staticmethod
        def backward(ctx, dY):
            (X,) = ctx.saved_tensors
            return dY[..., None] * X.softmax(-1)

    return Answer


@LogSumExp.chaff(
    "detached-in-backward",
    "the backward pass computes with detached tensors (`detach`, `.data`, `no_grad`), so it cannot be differentiated "
    "once more.",
    "`gradgradcheck` differentiates your `backward`. Which line of it is not recorded?",
    ("detach", "data", "no_grad", "numpy"),
)
class DetachedInBackward(_Saved):
    @staticmethod
    def backward(ctx, dY):
        return dY[..., None] * ctx.saved_tensors[0].detach().softmax(-1)


@LogSumExp.chaff(
    "upstream-detached",
    "the upstream gradient is cut from its graph: layers that come after this one are constants for the second "
    "derivative.",
    "What does your `backward` do with the upstream gradient before it multiplies?",
)
class UpstreamDetached(_Saved):
    @staticmethod
    def backward(ctx, dY):
        return dY.detach()[..., None] * ctx.saved_tensors[0].softmax(-1)


class _Overflowing(_Saved):
    """Right for small entries, and a base for answers that overflow at other places, too."""

    @staticmethod
    def forward(ctx, X):
        Y = X.exp().sum(-1).log()
        ctx.save_for_backward(X, Y)
        return Y


@LogSumExp.chaff(
    "overflows",
    "`exp` of a large entry overflows, and so the result is inf, from which `backward` starts: the largest entry has "
    "to be subtracted before.",
    "What is e to the 1000th, and how did chapter 2 avoid it?",
)
class OverflowingThroughTheResult(_Overflowing):
    pass


@LogSumExp.chaff(
    "overflows",
    "`exp` of a large entry overflows, in `forward` and in `backward`: the largest one has to be subtracted before.",
    "What is e to the 1000th, and how did chapter 2 avoid it?",
)
class OverflowingTwice(_Overflowing):
    @staticmethod
    def backward(ctx, dY):
        E = ctx.saved_tensors[0].exp()
        return dY[..., None] * E / E.sum(-1, keepdim=True)


@LogSumExp.chaff(
    "overflows-in-backward",
    "`forward` is safe; in `backward`, `exp` of a large entry overflows.",
    "Which function of PyTorch gives the whole fraction at once, and is safe?",
)
class OverflowingInBackward(_Saved):
    @staticmethod
    def backward(ctx, dY):
        E = ctx.saved_tensors[0].exp()
        return dY[..., None] * E / E.sum(-1, keepdim=True)


@LogSumExp.chaff(
    "overflows",
    "`exp` of a large entry overflows: the largest one has to be subtracted before. Besides, the exponentials are made "
    "in `forward`, where nothing is recorded: for the second derivative they are constants.",
    "What is e to the 1000th, and how did chapter 2 avoid it? And what does `backward` need, if it is to be "
    "differentiated once more: the exponentials, or `X`?",
)
class OverflowingAndKept(torch.autograd.Function):
    @staticmethod
    def forward(ctx, X):
        E = X.exp()
        ctx.save_for_backward(E, E.sum(-1))
        return E.sum(-1).log()

    @staticmethod
    def backward(ctx, dY):
        E, S = ctx.saved_tensors
        return (dY / S)[..., None] * E


@LogSumExp.chaff(
    "overflows-in-backward",
    "`forward` is safe; the exponentials that are kept for `backward` overflow, and for the second derivative they are "
    "constants.",
    "Which function of PyTorch gives the whole fraction at once, and is safe? And where is something recorded: in "
    "`forward`, or in `backward`?",
)
class OverflowingKeptOnly(torch.autograd.Function):
    @staticmethod
    def forward(ctx, X):
        E = X.exp()
        ctx.save_for_backward(E, E.sum(-1))
        return X.logsumexp(-1)

    @staticmethod
    def backward(ctx, dY):
        E, S = ctx.saved_tensors
        return dY[..., None] * (E / S[..., None])


@LogSumExp.chaff(
    "kept-as-an-attribute",
    "the softmax was made in `forward` and kept: nothing is recorded there, so for the second derivative it is a "
    "constant.",
    "What is recorded in `forward`, and what in `backward`? Which of the two may be differentiated once more?",
)
class KeptAsAnAttribute(torch.autograd.Function):
    @staticmethod
    def forward(ctx, X):
        ctx.P = torch.softmax(X, -1)
        return torch.logsumexp(X, -1)

    @staticmethod
    def backward(ctx, dY):
        return dY[..., None] * ctx.P


@LogSumExp.chaff(
    "once-differentiable",
    "`once_differentiable` forbids the second derivative that the exercise asks for.",
    "What does the decorator promise, and does your `backward` need it?",
)
class OnceDifferentiable(_Saved):
    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, dY):
        return dY[..., None] * ctx.saved_tensors[0].softmax(-1)


@LogSumExp.chaff(
    "ctx-forgotten",
    "`forward` has no `ctx`, and there is no `setup_context` that would take its place.",
    "What does `apply` hand to `forward` first?",
)
class CtxForgotten(torch.autograd.Function):
    @staticmethod
    def forward(X):
        return torch.logsumexp(X, -1)

    @staticmethod
    def backward(ctx, dY):
        return dY[..., None] * ctx.saved_tensors[0].softmax(-1)


@LogSumExp.chaff(
    "nothing-saved",
    "`backward` unpacks `saved_tensors`, and `forward` saved nothing.",
    "Who puts something into `ctx.saved_tensors`?",
)
class NothingSaved(_Saved):
    @staticmethod
    def forward(ctx, X):
        return torch.logsumexp(X, -1)


@LogSumExp.chaff(
    "upstream-without-its-axis",
    "the upstream gradient, one number a row, is multiplied with the rows as if it were one number a column.",
    "Write both shapes side by side. Which axis is missing in the upstream gradient?",
)
class UpstreamWithoutItsAxis(_Saved):
    @staticmethod
    def backward(ctx, dY):
        return dY * ctx.saved_tensors[0].softmax(-1)


for _cause, _misconception, _hint, _answer, *_tells in (
    ("upstream-ignored", "the upstream gradient is not used: this is the slope of the sum of the results.",
     "`backward` is handed something. What for?",
     _backward(lambda dY, X, Y: X.softmax(-1) + 0 * dY[..., None])),
    ("upstream-averaged", "one number, made of all upstream gradients, stands where each row has its own.",
     "Which rows of `X` does one entry of the result depend on?",
     _backward(lambda dY, X, Y: dY.mean() * X.softmax(-1))),
    ("softmax-over-the-first-axis", "the softmax runs over the first axis; the sum runs over the last.",
     "Which entries of `X` meet in one result?",
     _backward(lambda dY, X, Y: dY[..., None] * X.softmax(0))),
    ("exponentials-not-divided", "the exponentials are not divided by their sum.",
     "What is the derivative of log s in s?",
     _backward(lambda dY, X, Y: dY[..., None] * (X - X.amax(-1, keepdim=True)).exp())),
    ("log-softmax-for-softmax", "this is the logarithm of the softmax.",
     "Can the slope be negative, if an input that grows makes the result grow?",
     _backward(lambda dY, X, Y: dY[..., None] * X.log_softmax(-1))),
    ("cross-entropy-grad", "something is subtracted from the softmax, as if there were labels.",
     "Chapter 2 subtracts the one-hot label. Is there a label here?",
     _backward(lambda dY, X, Y: dY[..., None] * (X.softmax(-1) - (X.amax(-1, keepdim=True) == X).to(X.dtype)))),
    ("softmax-slope", "this is the slope of the softmax, p (1 − p), not of the log-sum-exp.",
     "Differentiate the logarithm first, then what is in it.",
     _backward(lambda dY, X, Y: dY[..., None] * X.softmax(-1) * (1 - X.softmax(-1)))),
    ("slope-of-the-maximum", "only the largest entry gets the upstream gradient, as if the function were the maximum.",
     "If a smaller entry grows a little, does the sum of the exponentials stay as it is?",
     _backward(lambda dY, X, Y: dY[..., None] * F.one_hot(X.argmax(-1), X.shape[-1]).to(X.dtype))),
    ("mean-for-sum", "the exponentials are averaged, not summed: the result is too small by log D.",
     "What does the S in LSE stand for?",
     _forward(lambda X: X.logsumexp(-1) - np.log(X.shape[-1]))),
    ("shift-not-added", "the largest entry is subtracted before, and not added again after.",
     "Put in one row of equal numbers, say 3, 3: what must come out?",
     _forward(lambda X: (X - X.amax(-1, keepdim=True)).exp().sum(-1).log())),
    ("one-maximum-for-all", "one maximum is taken for all rows: in a row far below it every exponential is 0.",
     "Over which axis is your maximum, and what becomes of a row far below it?",
     _forward(lambda X: X.max() + (X - X.max()).exp().sum(-1).log())),
    ("overflows", "`exp` of a large entry overflows: the largest one has to be subtracted before.",
     "What is e to the 1000th, and how did chapter 2 avoid it?",
     _forward(lambda X: X.exp().sum(-1).log())),
    ("keepdim-left", "the last axis is still there, with length 1.",
     "What shape has a sum over the last axis of `(N, D)`?",
     _forward(lambda X: X.logsumexp(-1, keepdim=True))),
    ("axis-0", "the sum runs over the first axis.", "Which axis is the last one?",
     _forward(lambda X: X.logsumexp(0))),
    ("all-axes", "the sum runs over all entries.", "How many results has a batch of N rows?",
     _forward(lambda X: X.flatten().logsumexp(0))),
):  # fmt: skip
    LogSumExp.chaff(_cause, _misconception, _hint, *_tells)(_answer)


# Affine


class _Affine(nn.Module):
    """Right, and a base for answers that go wrong in one place."""

    def __init__(self, d, m):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(d, m) / d**0.5)
        self.bias = nn.Parameter(torch.zeros(m))

    def forward(self, X):
        return X @ self.weight + self.bias


def _affine(forward=_Affine.forward, weight=None, bias=None):
    """The module with another forward pass, or with other tensors."""

    def construct(self, d, m):
        _Affine.__init__(self, d, m)
        if weight is not None:
            self.weight = nn.Parameter(weight(d, m))
        if bias is not None:
            self.bias = nn.Parameter(bias(m))

    return type("Affine", (_Affine,), {"__init__": construct, "forward": lambda self, X: forward(self, X)})


@Affine.refer
class AffineReference(nn.Module):
    def __init__(self, d, m):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(d, m))
        self.bias = nn.Parameter(torch.zeros(m))
        nn.init.xavier_normal_(self.weight)

    def forward(self, X):
        return X @ self.weight + self.bias


@Affine.wheat
class AffineByLinear(_Affine):
    def forward(self, X):
        return F.linear(X, self.weight.T, self.bias)


@Affine.wheat
class AffineByEinsum(_Affine):
    def forward(self, inputs):
        return torch.einsum("nd,dm->nm", inputs, self.weight).add(self.bias)


@Affine.wheat
class AffineRegistered(nn.Module):
    def __init__(self, d, m):
        super().__init__()
        self.register_parameter("bias", nn.Parameter(torch.empty(m)))
        self.register_parameter("weight", nn.Parameter(torch.empty((d, m), dtype=torch.float64)))
        nn.init.xavier_uniform_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, X):
        return torch.addmm(self.bias, X, self.weight)


@Affine.wheat
class AffineRowByRow(_Affine):
    def forward(self, X):
        return torch.stack([self.bias + (x[:, None] * self.weight).sum(0) for x in X])


@Affine.wheat
class AffineFromNumPy(nn.Module):
    def __init__(self, d, m):
        nn.Module.__init__(self)
        rng = np.random.default_rng()
        self.weight = nn.Parameter(torch.from_numpy(rng.standard_normal((d, m)) * np.sqrt(2 / d)))
        self.bias = nn.Parameter(torch.from_numpy(np.zeros(m)))

    def forward(self, X):
        return torch.matmul(X, self.weight) + self.bias.expand(len(X), -1)


class _AffineFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, X, weight, bias):
        ctx.save_for_backward(X, weight)
        return X @ weight + bias

    @staticmethod
    def backward(ctx, dY):
        X, weight = ctx.saved_tensors
        return dY @ weight.T, X.T @ dY, dY.sum(0)


@Affine.wheat
class AffineByAFunction(_Affine):
    def forward(self, X):
        return _AffineFunction.apply(X, self.weight, self.bias)


@Affine.chaff(
    "super-init-missing",
    "the constructor of `nn.Module` is never called, so there is nowhere to register a parameter.",
    "What is the first line of a constructor in a class that is derived from another one?",
)
class AffineWithoutSuper(_Affine):
    def __init__(self, d, m):
        self.weight = nn.Parameter(torch.randn(d, m))
        self.bias = nn.Parameter(torch.zeros(m))


@Affine.chaff(
    "not-a-parameter",
    "the weights are plain tensors: `model.parameters()` does not list them, and no optimizer trains them.",
    "Which class must a tensor have, so that a module registers it?",
)
class AffineOfPlainTensors(_Affine):
    def __init__(self, d, m):
        nn.Module.__init__(self)
        self.weight = torch.randn(d, m, requires_grad=True)
        self.bias = torch.zeros(m, requires_grad=True)


@Affine.chaff(
    "made-in-forward",
    "the parameters are made in `forward`: anew at every call, and after the optimizer was built.",
    "Which method runs once, and which at every call?",
)
class AffineMadeInForward(nn.Module):
    def __init__(self, d, m):
        super().__init__()
        self.d, self.m = d, m

    def forward(self, X):
        self.weight = nn.Parameter(torch.randn(self.d, self.m, dtype=X.dtype))
        self.bias = nn.Parameter(torch.zeros(self.m, dtype=X.dtype))
        return X @ self.weight + self.bias


@Affine.chaff(
    "weight-missing",
    "the module has parameters of other names: a layer inside it, say.",
    "What does `print([name for name, _ in model.named_parameters()])` say?",
)
class AffineAroundALayer(nn.Module):
    def __init__(self, d, m):
        super().__init__()
        self.linear = nn.Linear(d, m)

    def forward(self, X):
        return self.linear(X)


@Affine.chaff(
    "bias-missing", "there is no bias.", "Which parameters has an affine map, and how does a linear one differ from it?"
)
class AffineWithoutBias(_Affine):
    def __init__(self, d, m):
        super().__init__(d, m)
        del self.bias

    def forward(self, X):
        return X @ self.weight


@Affine.chaff(
    "bias-is-a-buffer",
    "the bias is a buffer: it is saved with the module, and no optimizer moves it.",
    "What is the difference between a buffer and a parameter?",
)
class AffineWithABuffer(nn.Module):
    def __init__(self, d, m):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(d, m))
        self.register_buffer("bias", torch.zeros(m))

    def forward(self, X):
        return X @ self.weight + self.bias


@Affine.chaff(
    "weight-transposed",
    "the weights are stored as `nn.Linear` stores them, outputs first; the exercise asks for `(d, m)`.",
    "The exercise wants inputs first. Which product does `forward` take then?",
)
class AffineTransposed(_Affine):
    def __init__(self, d, m):
        super().__init__(m, d)
        self.bias = nn.Parameter(torch.zeros(m))

    def forward(self, X):
        return X @ self.weight.T + self.bias


@Affine.chaff(
    "cut-by-no-grad",
    "`forward` runs under `no_grad`: its numbers are right, and no gradient finds its way back.",
    "When is `no_grad` of use: in training, or after it?",
    ("no_grad", "inference_mode"),
)
class AffineUnderNoGrad(_Affine):
    def forward(self, X):
        with torch.no_grad():
            return X @ self.weight + self.bias


@Affine.chaff(
    "result-detached",
    "the result is cut from its graph (`detach`, `.data`, `torch.tensor(…)`): no gradient finds its way back.",
    "What does `print(Y.grad_fn)` say before you return `Y`?",
)
class AffineDetached(_Affine):
    def forward(self, X):
        return (X @ self.weight + self.bias).detach()


for _cause, _misconception, _hint, _answer in (
    ("parameters-by-data", "`forward` reads `.data` of the parameters, or detaches them: they get no gradient.",
     "Through which tensors must the way from the result back to `weight` lead?",
     _affine(lambda self, X: X @ self.weight.data + self.bias.data)),
    ("weight-by-data", "`forward` reads `.data` of the weights, or detaches them: they get no gradient.",
     "Through which tensors must the way from the result back to `weight` lead?",
     _affine(lambda self, X: X @ self.weight.data + self.bias)),
    ("input-detached", "the input is cut from its graph: layers before this one get no gradient.",
     "If this is the second layer, what does the first one need?",
     _affine(lambda self, X: X.detach() @ self.weight + self.bias)),
    ("bias-not-added", "the bias is there, and `forward` does not use it.", "Which formula has an affine map?",
     _affine(lambda self, X: X @ self.weight)),
    ("bias-subtracted", "the bias is subtracted.", "Which formula has an affine map?",
     _affine(lambda self, X: X @ self.weight - self.bias)),
    ("activation-inside", "a ReLU stands at the end: this is a layer with its activation.",
     "May a result of an affine map be negative?",
     _affine(lambda self, X: torch.relu(X @ self.weight + self.bias))),
    ("weights-first", "the weights stand before the input in the product.",
     "Write the shapes beside it: which axes must meet?",
     _affine(lambda self, X: self.weight @ X + self.bias)),
    ("layout-of-linear", "`F.linear` transposes the weights; these are laid out the other way.",
     "Which shape does the documentation of `F.linear` ask for?",
     _affine(lambda self, X: F.linear(X, self.weight, self.bias))),
    ("weights-start-alike", "all weights start at the same number, so that all outputs learn the same.",
     "If two columns of `weight` are equal, how do their gradients differ?",
     _affine(weight=lambda d, m: torch.zeros(d, m))),
    ("bias-of-another-shape", "the bias has another shape than `(m,)`.",
     "How many numbers does one example need, and with how many axes?",
     _affine(bias=lambda m: torch.zeros(1, m))),
    ("divided-by-the-width", "the sum over the inputs is divided by their number, or by its root.",
     "Where does a factor such as 1/√d belong: in the starting values, or in `forward`?",
     _affine(lambda self, X: X @ self.weight / X.shape[1] ** 0.5 + self.bias)),
):  # fmt: skip
    Affine.chaff(_cause, _misconception, _hint)(_answer)


@Affine.chaff(
    "frozen", "the parameters have `requires_grad=False`: no optimizer can train them.", "Who sets `requires_grad`?"
)
class AffineFrozen(_Affine):
    def __init__(self, d, m):
        super().__init__(d, m)
        self.requires_grad_(False)


@Affine.chaff(
    "wrong-kind",
    "the class is not derived from `nn.Module`.",
    "What stands in the parentheses after the name of your class?",
)
class AffineOnItsOwn:
    def __init__(self, d, m):
        self.weight, self.bias = nn.Parameter(torch.randn(d, m)), nn.Parameter(torch.zeros(m))

    def __call__(self, X):
        return X @ self.weight + self.bias


# HuberLoss


class _Huber(nn.Module):
    def __init__(self, delta=1.0):
        super().__init__()
        self.delta = delta


def _huber(forward):
    """A module that computes this of the prediction, the target and delta."""
    return type("HuberLoss", (_Huber,), {"forward": lambda self, Y_hat, Y: forward(Y_hat, Y, self.delta)})


def _huber_of_errors(value):
    """A module that averages this over the errors."""
    return _huber(lambda Y_hat, Y, delta: value(Y_hat - Y, delta).mean())


@HuberLoss.refer
class HuberLossReference(nn.Module):
    def __init__(self, delta):
        super().__init__()
        self.delta = delta

    def forward(self, Y_hat, Y):
        e = (Y_hat - Y).abs()
        return torch.where(e <= self.delta, e**2 / 2, self.delta * (e - self.delta / 2)).mean()


@HuberLoss.wheat
class HuberLossByPyTorch(_Huber):
    def forward(self, Y_hat, Y):
        return F.huber_loss(Y_hat, Y, delta=self.delta)


@HuberLoss.wheat
class HuberLossByClamp(_Huber):
    def forward(self, Y_hat, Y):
        e = (Y - Y_hat).abs()
        q = e.clamp(max=self.delta)
        return (q * (e - q / 2)).sum() / e.numel()


@HuberLoss.wheat
class HuberLossByMasks(_Huber):
    def forward(self, prediction, target):
        e = prediction - target
        small = e.abs() < self.delta
        total = 0.5 * (e[small] ** 2).sum() + (self.delta * (e[~small].abs() - 0.5 * self.delta)).sum()
        return total / target.numel()


@HuberLoss.wheat
class HuberLossByFactors(_Huber):
    def forward(self, Y_hat, Y):
        e = Y_hat - Y
        near = (e.abs() <= self.delta).to(e.dtype)
        return torch.mean(near * 0.5 * e.pow(2) + (1 - near) * self.delta * (e * e.sign() - self.delta / 2))


@HuberLoss.wheat
class HuberLossByALoop(_Huber):
    def forward(self, Y_hat, Y):
        terms = []
        for p, t in zip(Y_hat.flatten(), Y.flatten(), strict=True):
            e = abs(p - t)
            terms.append(e * e / 2 if e <= self.delta else self.delta * (e - self.delta / 2))
        return torch.stack(terms).mean()


@HuberLoss.wheat
class HuberLossBySmoothL1(nn.Module):
    def __init__(self, delta=1.0):
        super().__init__()
        self.register_buffer("delta", torch.tensor(float(delta), dtype=torch.float64))
        self.inner = nn.SmoothL1Loss(beta=float(delta))

    def forward(self, Y_hat, Y):
        return self.delta * self.inner(Y_hat, Y)


@HuberLoss.chaff(
    "super-init-missing",
    "the constructor of `nn.Module` is never called.",
    "What is the first line of a constructor in a class that is derived from another one?",
)
class HuberLossWithoutSuper(nn.Module):
    def __init__(self, delta):
        self.delta = delta

    def forward(self, Y_hat, Y):
        return F.huber_loss(Y_hat, Y, delta=self.delta)


@HuberLoss.chaff(
    "cut-by-no-grad",
    "`forward` runs under `no_grad`: the loss is right, and no gradient finds its way back.",
    "When is `no_grad` of use: in training, or after it?",
    ("no_grad", "inference_mode"),
)
class HuberLossUnderNoGrad(_Huber):
    @torch.no_grad()
    def forward(self, Y_hat, Y):
        with torch.no_grad():
            return F.huber_loss(Y_hat, Y, delta=self.delta)


@HuberLoss.chaff(
    "prediction-detached",
    "the graph is cut (`detach`, `.data`, `torch.tensor(…)`): no gradient finds its way back to the prediction.",
    "What does `print(loss.grad_fn)` say before you return the loss?",
)
class HuberLossDetached(_Huber):
    def forward(self, Y_hat, Y):
        return F.huber_loss(Y_hat.detach(), Y, delta=self.delta)


@HuberLoss.chaff(
    "numpy-inside",
    "NumPy gets a tensor that belongs to a graph; it can't record what it does with it.",
    "Has PyTorch a function of its own for this?",
)
class HuberLossByNumPy(_Huber):
    def forward(self, Y_hat, Y):
        e = np.abs(Y_hat.numpy() - Y.numpy())
        return torch.tensor(np.where(e <= self.delta, e**2 / 2, self.delta * (e - self.delta / 2)).mean())


@HuberLoss.chaff(
    "no-tensor",
    "a number is returned, not a tensor: it does not know how it was made.",
    "On what does a training loop call `backward`?",
)
class HuberLossAsANumber(_Huber):
    def forward(self, Y_hat, Y):
        return F.huber_loss(Y_hat, Y, delta=self.delta).item()


@HuberLoss.chaff(
    "one-choice-for-all",
    "a Python `if` asks a whole tensor; each entry has a choice of its own.",
    "How many errors are there, and how many branches does an `if` take?",
)
class HuberLossByIf(_Huber):
    def forward(self, Y_hat, Y):
        e = (Y_hat - Y).abs()
        if e <= self.delta:
            return (e**2 / 2).mean()
        return (self.delta * (e - self.delta / 2)).mean()


for _cause, _misconception, _hint, _answer in (
    ("summed", "the terms are summed, not averaged.", "How does a mean over all entries differ from a sum?",
     _huber(lambda p, t, d: F.huber_loss(p, t, delta=d, reduction="sum"))),
    ("not-averaged", "every entry has a loss of its own; one number is asked for.",
     "On how many numbers can `backward` be called?",
     _huber(lambda p, t, d: F.huber_loss(p, t, delta=d, reduction="none"))),
    ("averaged-over-the-batch", "the sum is divided by the number of examples, not of all entries.",
     "How many entries has a target of N rows and M columns?",
     _huber(lambda p, t, d: F.huber_loss(p, t, delta=d, reduction="sum") / len(p))),
    ("half-missing", "the quadratic part has no ½, and does not meet the linear part at delta.",
     "What are the two parts at |e| = delta, and what their slopes?",
     _huber_of_errors(lambda e, d: torch.where(e.abs() <= d, e**2, d * (e.abs() - d / 2)))),
    ("all-without-half", "all is twice what it should be: e² near zero, and 2 δ |e| − δ² far away.",
     "What is the quadratic part of the Huber loss, at e = 1 with delta = 2?",
     _huber_of_errors(lambda e, d: torch.where(e.abs() <= d, e**2, 2 * d * e.abs() - d * d))),
    ("offset-without-half", "the linear part is δ (|e| − δ): it does not meet the quadratic one at delta.",
     "What are the two parts at |e| = delta?",
     _huber_of_errors(lambda e, d: torch.where(e.abs() <= d, e**2 / 2, d * (e.abs() - d)))),
    ("offset-missing", "the linear part is δ |e|: it does not meet the quadratic one at delta.",
     "What are the two parts at |e| = delta?",
     _huber_of_errors(lambda e, d: torch.where(e.abs() <= d, e**2 / 2, d * e.abs()))),
    ("offset-not-squared", "the linear part is δ |e| − δ/2: it does not meet the quadratic one at delta.",
     "What are the two parts at |e| = delta, for a delta other than 1?",
     _huber_of_errors(lambda e, d: torch.where(e.abs() <= d, e**2 / 2, d * e.abs() - d / 2))),
    ("median-for-mean", "the median of the terms is returned, not their mean.", "Which average does the exercise name?",
     _huber(lambda p, t, d: F.huber_loss(p, t, delta=d, reduction="none").median())),
    ("slope-of-one", "the linear part is |e| − δ/2, with slope 1; the quadratic one arrives with slope δ.",
     "Which slope has e²/2 at |e| = delta?",
     _huber_of_errors(lambda e, d: torch.where(e.abs() <= d, e**2 / 2, e.abs() - d / 2))),
    ("smooth-l1", "this is the smooth L1 loss: the Huber loss divided by delta.",
     "PyTorch has both. How do their formulas differ?",
     _huber(lambda p, t, d: F.smooth_l1_loss(p, t, beta=d))),
    ("delta-ignored", "delta is always 1.", "Does `self.delta` stand in your `forward`, at every place?",
     _huber(lambda p, t, d: F.huber_loss(p, t))),
    ("absolute-error", "this is the mean absolute error.", "What happens to small errors in the Huber loss?",
     _huber(lambda p, t, d: F.l1_loss(p, t))),
    ("only-quadratic", "this is half the mean squared error, for large errors, too.",
     "From where on does the loss stop growing like a square?",
     _huber_of_errors(lambda e, d: e**2 / 2)),
    ("squared-error", "this is the mean squared error.", "From where on does the loss stop growing like a square?",
     _huber(lambda p, t, d: F.mse_loss(p, t))),
    ("branches-swapped", "the two parts stand in each other's place.",
     "Which one does `torch.where` take where the condition is true?",
     _huber_of_errors(lambda e, d: torch.where(e.abs() > d, e**2 / 2, d * (e.abs() - d / 2)))),
    ("condition-without-abs", "the condition compares the signed error: every negative one counts as small.",
     "Is −100 smaller than delta? Is it a small error?",
     _huber_of_errors(lambda e, d: torch.where(e <= d, e**2 / 2, d * (e.abs() - d / 2)))),
    ("linear-without-abs", "the linear part takes the signed error, and falls for negative ones.",
     "What does your linear part give for an error of −100?",
     _huber_of_errors(lambda e, d: torch.where(e.abs() <= d, e**2 / 2, d * (e - d / 2)))),
    ("errors-clipped", "errors are clipped at delta, so that large ones have no gradient at all.",
     "Which slope has the Huber loss far away from zero?",
     _huber_of_errors(lambda e, d: e.clamp(-d, d) ** 2 / 2)),
    ("choice-by-the-mean", "one choice is made for all entries, by the mean error.",
     "If one error is large and all others are small, which part applies to which?",
     _huber_of_errors(lambda e, d: e**2 / 2 if e.abs().mean() <= d else d * (e.abs() - d / 2))),
    ("pseudo-huber", "this is the pseudo-Huber loss, a smooth relative.",
     "Is it quadratic, exactly, below delta?",
     _huber_of_errors(lambda e, d: d**2 * (torch.sqrt(1 + (e / d) ** 2) - 1))),
    ("root-of-a-square", "the absolute value is taken as √(e²), whose slope at 0 is 0/0.",
     "What is the derivative of the root at 0, and how would `abs` do there?",
     _huber_of_errors(lambda e, d: torch.where(torch.sqrt(e**2) <= d, torch.sqrt(e**2) ** 2 / 2,
                                               d * (torch.sqrt(e**2) - d / 2)))),
):  # fmt: skip
    HuberLoss.chaff(_cause, _misconception, _hint)(_answer)


# Swish


def _swish(forward):
    return type("Swish", (nn.Module,), {"forward": lambda self, X: forward(X)})


@Swish.refer
class SwishReference(nn.Module):
    def forward(self, X):
        return X * torch.sigmoid(X)


@Swish.wheat
class SwishByPyTorch(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.SiLU()

    def forward(self, X):
        return self.inner(X)


@Swish.wheat
class SwishByTanh(nn.Module):
    def forward(self, x):
        return x / 2 + x / 2 * torch.tanh(x / 2)


@Swish.wheat
class SwishByLogSigmoid(nn.Module):
    def forward(self, x):
        return torch.exp(F.logsigmoid(x)).mul(x)


class _SwishFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, X):
        s = torch.special.expit(X)
        ctx.save_for_backward(X, s)
        return X * s

    @staticmethod
    def backward(ctx, dY):
        X, s = ctx.saved_tensors
        return dY * (s + X * s * (1 - s))


@Swish.wheat
class SwishByAFunction(nn.Module):
    def forward(self, X):
        return _SwishFunction.apply(X)


@Swish.wheat
class SwishInTwoHalves(nn.Module):
    def forward(self, X):
        small = torch.exp(-X.abs())
        return torch.where(X >= 0, X, X * small) / (1 + small)


@Swish.wheat
class SwishByEntries(nn.Module):
    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, X):
        self.calls += 1
        return torch.stack([x * x.sigmoid() for x in X.reshape(-1)]).reshape(X.shape)


@Swish.chaff(
    "super-init-missing",
    "there is a constructor, and it never calls that of `nn.Module`.",
    "What is the first line of a constructor in a class that is derived from another one?",
)
class SwishWithoutSuper(nn.Module):
    def __init__(self):
        self.calls = 0

    def forward(self, X):
        return X * torch.sigmoid(X)


@Swish.chaff(
    "extra-parameters",
    "there is a factor that would be trained; this activation has none.",
    "Does the formula of the exercise have anything to learn?",
)
class SwishWithAFactor(nn.Module):
    def __init__(self):
        super().__init__()
        self.beta = nn.Parameter(torch.ones(()))

    def forward(self, X):
        return X * torch.sigmoid(self.beta * X)


@Swish.chaff(
    "cut-by-no-grad",
    "`forward` runs under `no_grad`: its numbers are right, and no gradient finds its way back.",
    "When is `no_grad` of use: in training, or after it?",
    ("no_grad", "inference_mode"),
)
class SwishUnderNoGrad(nn.Module):
    def forward(self, X):
        with torch.no_grad():
            return X * torch.sigmoid(X)


@Swish.chaff(
    "in-place",
    "the input is changed in place, and the way back needs it as it was.",
    "Which operators and methods change a tensor instead of making a new one?",
)
class SwishInPlace(nn.Module):
    def forward(self, X):
        X *= torch.sigmoid(X)
        return X


@Swish.chaff(
    "numpy-inside",
    "NumPy gets a tensor that belongs to a graph; it can't record what it does with it.",
    "Has PyTorch a function of its own for this?",
)
class SwishByNumPy(nn.Module):
    def forward(self, X):
        return torch.tensor(X.numpy() / (1 + np.exp(-X.numpy())))


@Swish.chaff(
    "not-called-forward",
    "the method that computes has another name than `forward`, which is what PyTorch calls.",
    "Which method does `model(X)` run?",
)
class SwishWithoutForward(nn.Module):
    def call(self, X):
        return X * torch.sigmoid(X)


SwishWithoutForward.__name__ = "Swish"  # the error's text begins with the name of the class


@Swish.chaff("returned-none", "`forward` returns nothing.", "Is there a `return`?")
class SwishWithoutReturn(nn.Module):
    def forward(self, X):
        X * torch.sigmoid(X)


for _cause, _misconception, _hint, _answer in (
    ("result-detached", "the graph is cut (`detach`, `.data`, `torch.tensor(…)`): no gradient finds its way back.",
     "What does `print(Y.grad_fn)` say before you return `Y`?",
     _swish(lambda X: (X * torch.sigmoid(X)).detach())),
    ("sigmoid-detached", "the sigmoid is taken as a constant: its own dependence on the input gets lost.",
     "`X` stands twice in the formula. Through which of the two does your gradient come?",
     _swish(lambda X: X * torch.sigmoid(X.detach()))),
    ("factor-detached", "the factor before the sigmoid is taken as a constant.",
     "`X` stands twice in the formula. Through which of the two does your gradient come?",
     _swish(lambda X: X.detach() * torch.sigmoid(X))),
    ("sigmoid-alone", "this is the sigmoid; the factor `X` is missing.", "What is Swish of a large number?",
     _swish(torch.sigmoid)),
    ("sign-in-the-sigmoid", "the sigmoid has the wrong sign: large numbers go to 0.",
     "What is Swish of a large number?", _swish(lambda X: X * torch.sigmoid(-X))),
    ("tanh-for-sigmoid", "a tanh stands where the sigmoid belongs.", "Between which numbers does the factor lie?",
     _swish(lambda X: X * torch.tanh(X))),
    ("softmax-for-sigmoid", "a softmax stands where the sigmoid belongs: entries depend on each other.",
     "Does one entry of the result depend on another entry of the input?",
     _swish(lambda X: X * torch.softmax(X, -1))),
    ("relu", "this is ReLU.", "What is Swish of −1?", _swish(torch.relu)),
    ("gelu", "this is GELU, a relative of Swish.", "By which function of X is X multiplied?", _swish(F.gelu)),
    ("gelu-by-sigmoid", "the sigmoid gets 1.702 X, as in an approximation of GELU.",
     "By which function of X is X multiplied?", _swish(lambda X: X * torch.sigmoid(1.702 * X))),
    ("mish", "this is Mish, a relative of Swish.", "By which function of X is X multiplied?", _swish(F.mish)),
    ("hard-swish", "this is the piecewise approximation of Swish.", "Is the sigmoid made of straight lines?",
     _swish(F.hardswish)),
    ("softplus", "this is the softplus, log(1 + eˣ).", "Can Swish be negative?",
     _swish(lambda X: torch.logaddexp(X, torch.zeros_like(X)))),
    ("overflows", "`exp` of a large number overflows: the value is still right, and the gradient is not.",
     "What is e to the 5000th, and how does `torch.sigmoid` avoid it?",
     _swish(lambda X: X / (1 + torch.exp(-X)))),
    ("overflows-on-the-right", "`exp` of a large number overflows, and ∞/∞ is no number.",
     "What is e to the 5000th, and how does `torch.sigmoid` avoid it?",
     _swish(lambda X: X * torch.exp(X) / (1 + torch.exp(X)))),
):  # fmt: skip
    Swish.chaff(_cause, _misconception, _hint)(_answer)


# Conv2d


class _Conv(nn.Module):
    """Holds the parameters; a base for answers that go wrong in one place."""

    def __init__(self, in_channels, out_channels, kernel_size, stride=1, padding=0):
        super().__init__()
        self.k, self.stride, self.padding = kernel_size, stride, padding
        scale = (in_channels * kernel_size**2) ** -0.5
        self.weight = nn.Parameter(scale * torch.randn(out_channels, in_channels, kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.zeros(out_channels))

    def size(self, X):
        """Rows and columns of the result."""
        return [(n + 2 * self.padding - self.k) // self.stride + 1 for n in X.shape[2:]]

    def patches(self, X):
        return F.unfold(X, self.k, padding=self.padding, stride=self.stride)

    def forward(self, X):
        Y = self.weight.flatten(1) @ self.patches(X) + self.bias[:, None]
        return Y.view(len(X), -1, *self.size(X))


def _conv(forward):
    return type("Conv2d", (_Conv,), {"forward": lambda self, X: forward(self, X)})


def _conv_of_weights(change):
    """A convolution with changed weights."""

    def forward(self, X):
        Y = change(self.weight).flatten(1) @ self.patches(X) + self.bias[:, None]
        return Y.view(len(X), -1, *self.size(X))

    return _conv(forward)


@Conv2d.refer
class Conv2dReference(nn.Module):
    def __init__(self, in_channels, out_channels, kernel_size, stride=1, padding=0):
        super().__init__()
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding
        self.weight = nn.Parameter(torch.zeros(out_channels, in_channels, kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        nn.init.kaiming_normal_(self.weight)

    def forward(self, X):
        patches = F.unfold(X, self.kernel_size, padding=self.padding, stride=self.stride)  # (N, C·k·k, L)
        Y = self.weight.flatten(1) @ patches + self.bias[:, None]  # (N, out, L)
        rows, columns = ((n + 2 * self.padding - self.kernel_size) // self.stride + 1 for n in X.shape[2:])
        return Y.view(len(X), -1, rows, columns)


@Conv2d.wheat
class ConvByFold(_Conv):
    def forward(self, X):
        Y = self.patches(X).transpose(1, 2) @ self.weight.reshape(len(self.weight), -1).T + self.bias
        return F.fold(Y.transpose(1, 2), self.size(X), 1)


@Conv2d.wheat
class ConvByViews(_Conv):
    def forward(self, X):
        p, k, s = self.padding, self.k, self.stride
        windows = F.pad(X, (p, p, p, p)).unfold(2, k, s).unfold(3, k, s)
        return torch.einsum("nchwij,ocij->nohw", windows, self.weight) + self.bias.view(1, -1, 1, 1)


@Conv2d.wheat
class ConvByLoops(_Conv):
    def forward(self, X):
        p, k, s = self.padding, self.k, self.stride
        X = F.pad(X, (p, p, p, p))
        rows, columns = ((n - k) // s + 1 for n in X.shape[2:])
        Y = self.bias[:, None, None]
        for i in range(k):
            for j in range(k):
                seen = X[:, :, i : i + s * rows : s, j : j + s * columns : s]
                seen = seen[:, :, :rows, :columns]
                Y = Y + torch.tensordot(seen, self.weight[:, :, i, j], ([1], [1])).permute(0, 3, 1, 2)
        return Y


@Conv2d.wheat
class ConvOneByOne(_Conv):
    def forward(self, X):
        pictures = []
        for x in X:
            columns = F.unfold(x[None], self.k, padding=self.padding, stride=self.stride)[0]
            pictures.append((self.weight.flatten(1) @ columns + self.bias.unsqueeze(1)).reshape(-1, *self.size(X)))
        return torch.stack(pictures)


@Conv2d.wheat
class ConvByAModule(_Conv):
    def __init__(self, in_channels, out_channels, kernel_size, stride=1, padding=0):
        super().__init__(in_channels, out_channels, kernel_size, stride, padding)
        self.lay_out = nn.Unfold((kernel_size, kernel_size), stride=stride, padding=padding)

    def forward(self, X):
        Y = torch.einsum("ok,nkl->nol", self.weight.flatten(1), self.lay_out(X))
        return Y.unflatten(2, self.size(X)) + self.bias.reshape(-1, 1, 1)


@Conv2d.wheat
class ConvWithTheBiasAsARow(_Conv):
    def forward(self, X):
        patches = self.patches(X)
        patches = torch.cat([patches, torch.ones_like(patches[:, :1])], dim=1)
        weights = torch.cat([self.weight.flatten(1), self.bias[:, None]], dim=1)
        return torch.matmul(weights, patches).reshape(X.shape[0], len(self.bias), *self.size(X))


@Conv2d.chaff(
    "conv2d-called",
    "PyTorch's own convolution is called: it is what this exercise asks you to write.",
    "`torch.nn.functional.unfold` lays out the patches. What is left then?",
)
class ConvByPyTorch(_Conv):
    def forward(self, X):
        return F.conv2d(X, self.weight, self.bias, self.stride, self.padding)


@Conv2d.chaff(
    "super-init-missing",
    "the constructor of `nn.Module` is never called, so there is nowhere to register a parameter.",
    "What is the first line of a constructor in a class that is derived from another one?",
)
class ConvWithoutSuper(_Conv):
    def __init__(self, in_channels, out_channels, kernel_size, stride=1, padding=0):
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel_size, kernel_size))


@Conv2d.chaff(
    "not-a-parameter",
    "the weights are plain tensors: `model.parameters()` does not list them, and no optimizer trains them.",
    "Which class must a tensor have, so that a module registers it?",
)
class ConvOfPlainTensors(_Conv):
    def __init__(self, in_channels, out_channels, kernel_size, stride=1, padding=0):
        super().__init__(in_channels, out_channels, kernel_size, stride, padding)
        del self.weight
        self.weight = torch.randn(out_channels, in_channels, kernel_size, kernel_size, requires_grad=True)


@Conv2d.chaff("bias-missing", "there is no bias.", "What is added to every channel of the result, after the product?")
class ConvWithoutBias(_Conv):
    def __init__(self, in_channels, out_channels, kernel_size, stride=1, padding=0):
        super().__init__(in_channels, out_channels, kernel_size, stride, padding)
        self.bias = None

    def forward(self, X):
        return (self.weight.flatten(1) @ self.patches(X)).view(len(X), -1, *self.size(X))


@Conv2d.chaff(
    "weight-of-another-shape",
    "`weight` has another shape than `(out_channels, in_channels, kernel_size, kernel_size)`.",
    "Which shape has the weight of `torch.nn.Conv2d`?",
)
class ConvOfFlatWeights(_Conv):
    def __init__(self, in_channels, out_channels, kernel_size, stride=1, padding=0):
        super().__init__(in_channels, out_channels, kernel_size, stride, padding)
        self.weight = nn.Parameter(self.weight.data.flatten(1))


@Conv2d.chaff(
    "weights-start-alike",
    "all weights start at the same number, so that all channels learn the same.",
    "If two kernels are equal, how do their gradients differ?",
)
class ConvOfZeros(_Conv):
    def __init__(self, in_channels, out_channels, kernel_size, stride=1, padding=0):
        super().__init__(in_channels, out_channels, kernel_size, stride, padding)
        nn.init.zeros_(self.weight)


@Conv2d.chaff(
    "cut-by-no-grad",
    "`forward` runs under `no_grad`: its numbers are right, and no gradient finds its way back.",
    "When is `no_grad` of use: in training, or after it?",
    ("no_grad", "inference_mode"),
)
class ConvUnderNoGrad(_Conv):
    def forward(self, X):
        with torch.no_grad():
            return super().forward(X)


@Conv2d.chaff(
    "result-detached",
    "the result is cut from its graph (`detach`, `.data`, `torch.tensor(…)`): no gradient finds its way back.",
    "What does `print(Y.grad_fn)` say before you return `Y`?",
)
class ConvDetached(_Conv):
    def forward(self, X):
        return super().forward(X).detach()


def _by_position(self, X):
    """`unfold` with its options in the order of `conv2d`."""
    patches = F.unfold(X, self.k, self.stride, self.padding)
    rows, columns = (n + 2 * self.padding - self.stride * (self.k - 1) for n in X.shape[2:])
    return (self.weight.flatten(1) @ patches + self.bias[:, None]).view(len(X), -1, rows, columns)


def _fixed(stride=None, padding=None):
    """A convolution with a stride or a padding of its own."""

    def forward(self, X):
        s, p = self.stride if stride is None else stride, self.padding if padding is None else padding
        rows, columns = ((n + 2 * p - self.k) // s + 1 for n in X.shape[2:])
        Y = self.weight.flatten(1) @ F.unfold(X, self.k, padding=p, stride=s) + self.bias[:, None]
        return Y.view(len(X), -1, rows, columns)

    return _conv(forward)


def _patches_by_views(order):
    """Patches whose entries lie in another order than the weights."""

    def forward(self, X):
        p, k, s = self.padding, self.k, self.stride
        windows = F.pad(X, (p, p, p, p)).unfold(2, k, s).unfold(3, k, s)  # n c h w i j
        patches = windows.permute(0, 2, 3, *order).reshape(len(X), -1, self.weight[0].numel())
        Y = patches @ self.weight.flatten(1).T + self.bias
        return Y.transpose(1, 2).reshape(len(X), -1, *self.size(X))

    return _conv(forward)


def _padded_with(mode):
    def forward(self, X):
        p = self.padding
        Y = self.weight.flatten(1) @ F.unfold(F.pad(X, (p, p, p, p), mode=mode), self.k, stride=self.stride)
        return (Y + self.bias[:, None]).view(len(X), -1, *self.size(X))

    return _conv(forward)


for _cause, _misconception, _hint, _answer in (
    ("kernel-flipped", "the kernel is turned by 180°: the convolution of mathematics, not that of networks.",
     "Compare with `torch.nn.functional.conv2d`: which entry of the kernel meets the upper left one of a patch?",
     _conv_of_weights(lambda W: W.flip(2, 3))),
    ("kernel-transposed", "rows and columns of the kernel stand in each other's place.",
     "In which order does `unfold` list the entries of a patch?",
     _conv_of_weights(lambda W: W.transpose(2, 3))),
    ("channels-last-in-the-weights", "the weights are laid out with the channels last; `unfold` lists channels first.",
     "In which order does `unfold` list the entries of a patch?",
     _conv_of_weights(lambda W: W.permute(0, 2, 3, 1))),
    ("channels-last-in-the-patches", "the patches are laid out with the channels last; the weights have them first.",
     "Which axes follow each other in `weight.flatten(1)`?", _patches_by_views((4, 5, 1))),
    ("bias-not-added", "the bias is there, and `forward` does not use it.",
     "What is added to every channel of the result?",
     _conv(lambda self, X: (self.weight.flatten(1) @ self.patches(X)).view(len(X), -1, *self.size(X)))),
    ("bias-along-the-columns", "the bias is added along the last axis, which counts columns.",
     "Which axis of the result counts the channels, and how does the bias get there?",
     _conv(lambda self, X: (self.weight.flatten(1) @ self.patches(X)).view(len(X), -1, *self.size(X)) + self.bias)),
    ("bias-along-the-patches", "the bias is added along the last axis, which counts patches.",
     "Which axis of the product counts the channels, and how does the bias get there?",
     _conv(lambda self, X: (self.weight.flatten(1) @ self.patches(X) + self.bias).view(len(X), -1, *self.size(X)))),
    ("result-scrambled", "the result is reshaped where its axes had to change places first.",
     "Which axis stands last before your reshape: the channels, or the places?",
     _conv(lambda self, X: (self.patches(X).transpose(1, 2) @ self.weight.flatten(1).T + self.bias)
           .reshape(len(X), -1, *self.size(X)))),
    ("rows-and-columns-swapped", "rows and columns of the result stand in each other's place.",
     "Which of the two comes first in the shape of `X`?",
     _conv(lambda self, X: (self.weight.flatten(1) @ self.patches(X) + self.bias[:, None])
           .view(len(X), -1, *self.size(X)[::-1]))),
    ("result-flat", "the places of the result still lie in one axis.",
     "How many axes has the result of `conv2d`?",
     _conv(lambda self, X: self.weight.flatten(1) @ self.patches(X) + self.bias[:, None])),
    ("places-as-a-square", "the result is taken for a square picture.",
     "How many rows and how many columns has the result, if the picture is 7 × 5?",
     _conv(lambda self, X: (self.weight.flatten(1) @ self.patches(X) + self.bias[:, None])
           .view(len(X), -1, self.size(X)[0], self.size(X)[0]))),
    ("stride-ignored", "the stride is always 1.", "To which of `unfold`'s options does your stride go?",
     _fixed(stride=1)),
    ("padding-ignored", "nothing is padded.", "To which of `unfold`'s options does your padding go?",
     _fixed(padding=0)),
    ("unfold-by-position", "`unfold` got the stride and the padding by position, and takes the first for `dilation`.",
     "In which order does `unfold` list its options? They may be given by name.", _conv(_by_position)),
    ("unfold-by-position", "`unfold` got the padding and the stride by position, and takes the first for `dilation`.",
     "In which order does `unfold` list its options? They may be given by name.",
     _conv(lambda self, X: (self.weight.flatten(1) @ F.unfold(X, self.k, self.padding, self.stride)
                            + self.bias[:, None]).view(len(X), -1, *self.size(X)))),
    ("fold-of-patches", "`fold` got the kernel size: it lays patches of that size into a picture, and adds where they "
     "overlap. In the product, each place has one number of each channel.",
     "How large is what `fold` has to lay down at each place of the result?",
     _conv(lambda self, X: F.fold(self.weight.flatten(1) @ self.patches(X) + self.bias[:, None], self.size(X),
                                  self.k))),
    ("fold-to-the-picture", "`fold` got the size of the picture that came in; the result has another one.",
     "How many patches lie side by side, and how many below each other?",
     _conv(lambda self, X: F.fold(self.weight.flatten(1) @ self.patches(X) + self.bias[:, None], X.shape[2:], 1))),
    ("channels-last-for-fold", "`fold` got an array (N, places, channels); it wants the channels before the places.",
     "Print the shape of what `fold` gets. Which of its axes counts the channels?",
     _conv(lambda self, X: F.fold(self.patches(X).transpose(1, 2) @ self.weight.flatten(1).T + self.bias,
                                  self.size(X), 1))),
    ("padded-with-the-edge", "the edge is padded with the picture's own values, not with zeros.",
     "What does `conv2d` see outside the picture?", _padded_with("replicate")),
    ("size-without-the-stride", "the size of the result is computed without the stride.",
     "How many patches fit side by side, if each starts `stride` after the one before?",
     _conv(lambda self, X: (self.weight.flatten(1) @ self.patches(X) + self.bias[:, None])
           .view(len(X), -1, *(n + 2 * self.padding - self.k + 1 for n in X.shape[2:])))),
    ("size-without-the-padding", "the size of the result is computed without the padding.",
     "How wide is the padded picture?",
     _conv(lambda self, X: (self.weight.flatten(1) @ self.patches(X) + self.bias[:, None])
           .view(len(X), -1, *((n - self.k) // self.stride + 1 for n in X.shape[2:])))),
    ("channels-averaged", "the products are averaged over the channels, not summed.",
     "What happens in one matrix product along the axis that both factors share?",
     _conv_of_weights(lambda W: W / W.shape[1])),
    ("weight-by-data", "`forward` reads `.data` of the weights, or detaches them: they get no gradient.",
     "Through which tensors must the way from the result back to `weight` lead?",
     _conv_of_weights(lambda W: W.detach())),
    ("input-detached", "the input is cut from its graph: layers before this one get no gradient.",
     "If this is the second layer, what does the first one need?",
     _conv(lambda self, X: _Conv.forward(self, X.detach()))),
):  # fmt: skip
    Conv2d.chaff(_cause, _misconception, _hint)(_answer)


# MomentumSGD


class _Momentum(torch.optim.Optimizer):
    """Right, and a base for answers that go wrong in one place: `move` takes the step of one parameter."""

    def __init__(self, params, lr, momentum=0.9):
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    self.move(p, p.grad, group["lr"], group["momentum"])

    def velocity(self, p):
        state = self.state[p]
        if "v" not in state:
            state["v"] = torch.zeros_like(p)
        return state["v"]

    def move(self, p, g, lr, beta):
        v = self.velocity(p)
        v.mul_(beta).add_(g)
        p.sub_(lr * v)


def _momentum(move):
    return type("MomentumSGD", (_Momentum,), {"move": move})


@MomentumSGD.refer
class MomentumSGDReference(torch.optim.Optimizer):
    def __init__(self, params, lr, momentum):
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if "v" not in state:
                    state["v"] = torch.zeros_like(p)
                state["v"].mul_(group["momentum"]).add_(p.grad)
                p.sub_(group["lr"] * state["v"])


@MomentumSGD.wheat
class MomentumSGDOfPyTorch(torch.optim.SGD):
    def __init__(self, params, lr, momentum):
        super().__init__(params, lr=lr, momentum=momentum)


@MomentumSGD.wheat
class MomentumSGDByData(torch.optim.Optimizer):
    def __init__(self, params, lr, momentum):
        super().__init__(params, dict(lr=lr, momentum=momentum))

    def step(self, closure=None):
        loss = closure() if closure is not None else None
        for group in self.param_groups:
            for p in (p for p in group["params"] if p.grad is not None):
                buffer = self.state[p].get("momentum_buffer", 0.0)
                self.state[p]["momentum_buffer"] = group["momentum"] * buffer + p.grad.data
                p.data.add_(self.state[p]["momentum_buffer"], alpha=-group["lr"])
        return loss


@MomentumSGD.wheat
class MomentumSGDWithClones(_Momentum):
    def move(self, p, g, lr, beta):
        state = self.state[p]
        state["v"] = g.clone() if "v" not in state else torch.add(g, state["v"], alpha=beta)
        p.copy_(p - lr * state["v"])


@MomentumSGD.wheat
class MomentumSGDByLists(torch.optim.Optimizer):
    def __init__(self, params, lr, momentum):
        super().__init__(params, {"lr": lr, "momentum": momentum})

    def step(self):
        with torch.no_grad():
            for group in self.param_groups:
                moved = [p for p in group["params"] if p.grad is not None]
                velocities = [self.state[p].setdefault("v", torch.zeros_like(p)) for p in moved]
                torch._foreach_mul_(velocities, group["momentum"])
                torch._foreach_add_(velocities, [p.grad for p in moved])
                torch._foreach_add_(moved, velocities, alpha=-group["lr"])


@MomentumSGD.chaff(
    "state-of-numpy",
    "the velocities are NumPy arrays: `load_state_dict` can bring back tensors and numbers, and no arrays.",
    "What type has everything that `torch.optim.SGD` keeps in its state?",
    ("numpy", "np", "asarray"),
)
class MomentumSGDByNumPy(_Momentum):
    def move(self, p, g, lr, beta):
        state = self.state[p]
        state["v"] = beta * state.get("v", np.zeros(tuple(p.shape))) + g.numpy()
        p -= lr * torch.as_tensor(state["v"])


@MomentumSGD.wheat
class MomentumSGDByTheLastStep(_Momentum):
    def move(self, p, g, lr, beta):
        state = self.state[p]
        state.setdefault("steps", torch.zeros(()))
        state["steps"] += 1
        v = g if state["steps"] == 1 else g + beta * state["v"]
        state["v"] = v.detach().clone()
        p[...] = p - lr * state["v"]


@MomentumSGD.wheat
class MomentumSGDMadeAtOnce(_Momentum):
    def __init__(self, params, lr, momentum):
        super().__init__(params, lr, momentum)
        for group in self.param_groups:
            for p in group["params"]:
                self.state[p] = {"v": torch.zeros_like(p, requires_grad=False)}


@MomentumSGD.chaff(
    "super-init-missing",
    "the constructor of `Optimizer` is never called: there are no parameter groups and there is no state.",
    "What is the first line of a constructor in a class that is derived from another one?",
)
class MomentumSGDWithoutSuper(_Momentum):
    def __init__(self, params, lr, momentum):
        self.params, self.lr, self.momentum = list(params), lr, momentum


@MomentumSGD.chaff(
    "defaults-no-dict",
    "the constructor of `Optimizer` takes a dict of defaults, and got the learning rate itself.",
    "From where does each parameter group take the options that it does not name itself?",
)
class MomentumSGDWithoutDefaults(_Momentum):
    def __init__(self, params, lr, momentum):
        torch.optim.Optimizer.__init__(self, params, lr)


@MomentumSGD.chaff(
    "param-group-misspelt",
    "the attribute is `param_groups`, in the plural.",
    "What does `print(vars(optimizer).keys())` list?",
    ("param_group",),
)
class MomentumSGDMisspelt(_Momentum):
    def step(self):
        for group in self.param_group:
            print(group)


MomentumSGDMisspelt.__name__ = "MomentumSGD"  # the error's text begins with the name of the class


@MomentumSGD.chaff(
    "update-recorded",
    "the update runs with the graph switched on: a leaf may not be changed in place there.",
    "Which context tells PyTorch that what follows is no part of the forward pass?",
)
class MomentumSGDRecorded(_Momentum):
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    self.move(p, p.grad, group["lr"], group["momentum"])


@MomentumSGD.chaff(
    "data-rebound",
    "`p.data` is bound to a new tensor: whoever holds a view of the old one sees nothing of the step.",
    "Which operations change a tensor, and which make a new one and leave the old one as it is?",
)
class MomentumSGDRebound(_Momentum):
    def move(self, p, g, lr, beta):
        p.data = p.data - lr * self.velocity(p).mul_(beta).add_(g)


@MomentumSGD.chaff(
    "local-name-rebound",
    "`p = p - …` gives the name to a new tensor; the parameter itself stays where it was.",
    "Which operations change a tensor, and which make a new one and leave the old one as it is?",
)
class MomentumSGDLocal(_Momentum):
    def move(self, p, g, lr, beta):
        p = p - lr * self.velocity(p).mul_(beta).add_(g)


@MomentumSGD.chaff(
    "grad-of-none",
    "a parameter without a gradient makes the step fail.",
    "`.grad` of a layer that was not used is None. What should a step do with it?",
)
class MomentumSGDOfNone(_Momentum):
    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                self.move(p, p.grad.data, group["lr"], group["momentum"])


@MomentumSGD.chaff(
    "none-taken-for-zero",
    "a parameter without a gradient is moved on by its momentum, as if the gradient were 0.",
    "What does `torch.optim.SGD` do with a parameter whose `.grad` is None?",
)
class MomentumSGDOfZero(_Momentum):
    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                g = torch.zeros_like(p) if p.grad is None else p.grad
                self.move(p, g, group["lr"], group["momentum"])


@MomentumSGD.chaff(
    "stops-at-none",
    "the first parameter without a gradient ends the step, and those after it stay where they are.",
    "Which word leaves one round of a loop, and which ones leave the loop, or the function?",
)
class MomentumSGDThatStops(_Momentum):
    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    return
                self.move(p, p.grad, group["lr"], group["momentum"])


@MomentumSGD.chaff(
    "lr-not-from-the-group",
    "the learning rate is the one of the constructor, for all groups and for ever.",
    "Where does a schedule write the new learning rate, and where do you read it?",
)
class MomentumSGDOfOneRate(_Momentum):
    def move(self, p, g, lr, beta):
        super().move(p, g, self.defaults["lr"], beta)


@MomentumSGD.chaff(
    "lr-of-the-first-group",
    "all groups use the options of the first one.",
    "In a loop over the groups, whose options do you read?",
)
class MomentumSGDOfTheFirstGroup(_Momentum):
    def move(self, p, g, lr, beta):
        super().move(p, g, self.param_groups[0]["lr"], beta)


@MomentumSGD.chaff(
    "only-the-first-group",
    "only the first group of parameters moves.",
    "How many entries has `param_groups`?",
)
class MomentumSGDOnlyTheFirst(_Momentum):
    @torch.no_grad()
    def step(self):
        group = self.param_groups[0]
        for p in group["params"]:
            self.move(p, p.grad, group["lr"], group["momentum"])


@MomentumSGD.chaff(
    "momentum-not-from-the-group",
    "the momentum is the one of the constructor: `load_state_dict` can't bring back another.",
    "What does a saved state hold: the attributes of your object, or its groups and its state?",
)
class MomentumSGDOfOneMomentum(_Momentum):
    def move(self, p, g, lr, beta):
        super().move(p, g, lr, self.defaults["momentum"])


@MomentumSGD.chaff(
    "state-outside-of-state",
    "the velocities are kept in an attribute of your own: `state_dict` does not hold them, and a restart loses them.",
    "What does `print(optimizer.state_dict())` show after a step?",
)
class MomentumSGDWithAnAttribute(_Momentum):
    def __init__(self, params, lr, momentum):
        super().__init__(params, lr, momentum)
        self.velocities = {}

    def velocity(self, p):
        return self.velocities.setdefault(p, torch.zeros_like(p))


@MomentumSGD.chaff(
    "velocities-by-position",
    "the velocities stand in a list, and a parameter that is passed over does not count: those after it get the "
    "velocity of another.",
    "If the second parameter has no gradient, which velocity does the third one get?",
)
class MomentumSGDByPosition(_Momentum):
    def __init__(self, params, lr, momentum):
        super().__init__(params, lr, momentum)
        self.velocities = [torch.zeros_like(p) for group in self.param_groups for p in group["params"]]

    @torch.no_grad()
    def step(self):
        i = 0
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                self.velocities[i] = group["momentum"] * self.velocities[i] + p.grad
                p.sub_(group["lr"] * self.velocities[i])
                i += 1


@MomentumSGD.chaff(
    "velocity-shared",
    "all parameters share one velocity.",
    "How many velocities does a network of four parameters need, and of which shapes?",
)
class MomentumSGDSharing(_Momentum):
    def move(self, p, g, lr, beta):
        v = self.state["all"]["v"] = beta * self.state["all"].get("v", 0.0) + g
        p.sub_(lr * v)


@MomentumSGD.chaff(
    "velocity-of-the-group",
    "the parameters of a group share one velocity.",
    "How many velocities does a network of four parameters need, and of which shapes?",
)
class MomentumSGDSharingInAGroup(_Momentum):
    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    group["v"] = group["momentum"] * group.get("v", 0.0) + p.grad
                    p.sub_(group["lr"] * group["v"])


@MomentumSGD.chaff(
    "gradients-emptied",
    "the step empties the gradients; that is the business of `zero_grad`, which the training loop calls.",
    "May somebody want to look at `.grad` after the step?",
)
class MomentumSGDThatEmpties(_Momentum):
    @torch.no_grad()
    def step(self):
        super().step()
        self.zero_grad()


def _nesterov(self, p, g, lr, beta):
    v = self.velocity(p).mul_(beta).add_(g)
    p.sub_(lr * (g + beta * v))


def _velocity_last(self, p, g, lr, beta):
    p.sub_(lr * self.velocity(p))
    self.velocity(p).mul_(beta).add_(g)


def _rate_inside(self, p, g, lr, beta):
    p.sub_(self.velocity(p).mul_(beta).add_(lr * g))


def _gradient_kept(self, p, g, lr, beta):
    state = self.state[p]
    if "v" in state:
        state["v"].mul_(beta).add_(g)
    else:
        state["v"] = g
    p.sub_(lr * state["v"])


def _gradient_changed(self, p, g, lr, beta):
    self.velocity(p).copy_(g.add_(self.velocity(p), alpha=beta))
    p.sub_(lr * self.velocity(p))


for _cause, _misconception, _hint, _answer in (
    ("momentum-missing", "this is plain gradient descent: nothing is remembered from step to step.",
     "What does a step add to the old velocity, and where is the new one kept?",
     _momentum(lambda self, p, g, lr, beta: p.sub_(lr * g))),
    ("damped", "the gradient enters the velocity with the factor 1 − β.",
     "PyTorch's convention is v = β v + g. What is g multiplied by?",
     _momentum(lambda self, p, g, lr, beta: p.sub_(lr * self.velocity(p).mul_(beta).add_((1 - beta) * g)))),
    ("lr-inside-the-velocity", "the learning rate is part of the velocity: old gradients keep the old rate.",
     "If the learning rate is halved, what becomes of the velocity that has gathered so far?",
     _momentum(_rate_inside)),
    ("nesterov", "this is Nesterov's momentum.",
     "By which vector does the step move: the velocity, or one that looks on?",
     _momentum(_nesterov)),
    ("uphill", "the step goes uphill.", "In which direction does the loss fall: along the gradient, or against it?",
     _momentum(lambda self, p, g, lr, beta: p.add_(lr * self.velocity(p).mul_(beta).add_(g)))),
    ("velocity-last", "the step uses the velocity of the step before: the new gradient comes one step late.",
     "Which comes first: the new velocity, or the step?", _momentum(_velocity_last)),
    ("velocity-subtracted", "the gradient is subtracted from the velocity, and that from the weights.",
     "Follow the sign of the gradient through both lines.",
     _momentum(lambda self, p, g, lr, beta: p.sub_(lr * self.velocity(p).mul_(-beta).add_(g)))),
    ("momentum-on-the-sum", "the factor β is applied after the gradient was added: to it as well.",
     "PyTorch's convention is v = β v + g. What is g multiplied by?",
     _momentum(lambda self, p, g, lr, beta: p.sub_(lr * self.velocity(p).add_(g).mul_(beta)))),
    ("never-forgets", "the velocity is the plain sum of all gradients: β is not used.",
     "By what is the old velocity multiplied?",
     _momentum(lambda self, p, g, lr, beta: p.sub_(lr * self.velocity(p).add_(g)))),
    ("velocity-is-the-gradient", "the first velocity is the very tensor of the gradient: each later change of one "
     "changes the other.",
     "What does `a = b` do with a tensor: does it copy?", _momentum(_gradient_kept)),
    ("gradient-changed", "the gradient itself is changed in place; whoever looks at `.grad` later sees something else.",
     "Which methods end in an underscore, and on which tensor do you call them?", _momentum(_gradient_changed)),
):  # fmt: skip
    MomentumSGD.chaff(_cause, _misconception, _hint)(_answer)


# ArrayDataset


class _Arrays(Dataset):
    def __init__(self, X, y):
        self.X, self.y = X, y

    def __len__(self):
        return len(self.X)

    def __getitem__(self, i):
        return self.X[i], self.y[i]


def _arrays(item=_Arrays.__getitem__, length=_Arrays.__len__):
    return type(
        "ArrayDataset", (_Arrays,), {"__getitem__": lambda self, i: item(self, i), "__len__": lambda self: length(self)}
    )


@ArrayDataset.refer
class ArrayDatasetReference(Dataset):
    def __init__(self, X, y):
        self.X, self.y = torch.tensor(X), torch.tensor(y)

    def __len__(self):
        return len(self.X)

    def __getitem__(self, i):
        return self.X[i], self.y[i]


@ArrayDataset.wheat
class ArraysAsTheyAre(_Arrays):
    pass


@ArrayDataset.wheat
class ArraysMadeTensorsLate(_Arrays):
    def __getitem__(self, i):
        return torch.from_numpy(self.X[i]), int(self.y[i])


@ArrayDataset.wheat
class ArraysInAList(Dataset):
    def __init__(self, X, y):
        super().__init__()
        self.pairs = list(zip(X, y, strict=True))

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, index):
        return self.pairs[index]


@ArrayDataset.wheat
class ArraysOfPyTorch(torch.utils.data.TensorDataset):
    def __init__(self, X, y):
        super().__init__(torch.as_tensor(X), torch.as_tensor(y))


@ArrayDataset.wheat
class ArraysInSinglePrecision(_Arrays):
    def __getitem__(self, i):
        return torch.tensor(self.X[i], dtype=torch.float32), torch.tensor(self.y[i], dtype=torch.long)


@ArrayDataset.wheat
class ArraysInADict(Dataset):
    def __init__(self, X, y):
        self.data = {"X": np.array(X), "y": np.array(y)}

    def __len__(self):
        return self.data["y"].size

    def __getitem__(self, i):
        return [self.data["X"][i], self.data["y"][i].item()]


@ArrayDataset.chaff(
    "wrong-kind",
    "the class is not derived from `Dataset`.",
    "What stands in the parentheses after the name of your class?",
)
class ArraysOnTheirOwn:
    def __init__(self, X, y):
        self.X, self.y = X, y

    __len__, __getitem__ = _Arrays.__len__, _Arrays.__getitem__


@ArrayDataset.chaff(
    "length-missing",
    "there is no `__len__`: the loader can't know what to shuffle.",
    "Which two methods does a dataset have?",
)
class ArraysWithoutLength(Dataset):
    def __init__(self, X, y):
        self.X, self.y = X, y

    def __getitem__(self, i):
        return self.X[i], self.y[i]


@ArrayDataset.chaff(
    "getitem-missing",
    "there is no `__getitem__`, so that nobody can ask for an example.",
    "Which two methods does a dataset have?",
)
class ArraysWithoutItems(Dataset):
    def __init__(self, X, y):
        self.X, self.y = X, y

    def __len__(self):
        return len(self.X)


@ArrayDataset.chaff(
    "arguments-to-super",
    "the constructor of `Dataset` got the arrays; it takes nothing.",
    "Who keeps the arrays: your class, or the one that it is derived from?",
)
class ArraysForSuper(_Arrays):
    def __init__(self, X, y):
        Dataset.__init__(self, X, y)


@ArrayDataset.chaff(
    "arrays-not-kept",
    "the constructor does not keep the arrays in `self`.",
    "What is left of `X` when the constructor has returned?",
)
class ArraysNotKept(_Arrays):
    def __init__(self, X, y):
        X, y = torch.tensor(X), torch.tensor(y)


ArraysNotKept.__name__ = "ArrayDataset"  # the error's text begins with the name of the class


@ArrayDataset.chaff(
    "own-counter",
    "the examples come one after the other, whichever the loader asks for: nothing is shuffled.",
    "What is the argument of `__getitem__` for?",
)
class ArraysInTheirOrder(_Arrays):
    next = -1

    def __getitem__(self, i):
        self.next = (self.next + 1) % len(self.X)
        return self.X[self.next], self.y[self.next]


@ArrayDataset.chaff(
    "cannot-be-sent",
    "the dataset holds what can't be sent to a worker: a function made on the spot, a generator, an open file.",
    "Which of the things that you keep in `self` could be written to a file?",
)
class ArraysWithALambda(_Arrays):
    def __init__(self, X, y):
        super().__init__(X, y)
        self.transform = lambda x: torch.tensor(x)


@ArrayDataset.chaff(
    "standardised",
    "the features are changed: centred, or divided by their spread.",
    "Does the exercise ask for other numbers than those of `X`?",
)
class ArraysStandardised(_Arrays):
    def __init__(self, X, y):
        super().__init__((X - X.mean(0)) / (X.std(0) + 1e-8), y)


@ArrayDataset.chaff(
    "stacked-into-one-array",
    "inputs and labels are put into one array: it has one dtype, so that labels become floats, and pictures have more "
    "axes than a label.",
    "Must the two live in one array, if `__getitem__` returns a pair?",
)
class ArraysStacked(_Arrays):
    def __init__(self, X, y):
        self.A = np.column_stack([X, y])

    def __len__(self):
        return len(self.A)

    def __getitem__(self, i):
        return self.A[i, :-1], self.A[i, -1]


@ArrayDataset.chaff(
    "stacked-into-one-array",
    "inputs and labels are put into one tensor: it has one dtype, so that labels become floats, and pictures have more "
    "axes than a label.",
    "Must the two live in one tensor, if `__getitem__` returns a pair?",
)
class TensorsStacked(ArraysStacked):
    def __init__(self, X, y):
        self.A = torch.cat([torch.tensor(X), torch.tensor(y)[:, None]], dim=1)


for _cause, _misconception, _hint, _answer in (
    ("no-pair", "an example is no pair of an input and its label.",
     "What does a training loop unpack: `for x, y in loader`?",
     _arrays(lambda self, i: {"x": self.X[i], "y": self.y[i]})),
    ("label-first", "the label comes first, and then the input.",
     "In which order does a training loop unpack: `for x, y in loader`?",
     _arrays(lambda self, i: (self.y[i], self.X[i]))),
    ("everything-returned", "the whole arrays are returned for each example.",
     "What is the argument of `__getitem__` for?",
     _arrays(lambda self, i: (self.X, self.y))),
    ("first-example-only", "the first example is returned, whichever is asked for.",
     "What is the argument of `__getitem__` for?",
     _arrays(lambda self, i: (self.X[0], self.y[0]))),
    ("counted-from-1", "the index is taken for one that counts from 1.", "Which index has the first example?",
     _arrays(lambda self, i: (self.X[i - 1], self.y[i - 1]))),
    ("axis-kept", "an example is a slice of length 1, with an axis too many.",
     "What shape has one row of `X`: `X[i]`, or `X[i:i + 1]`?",
     _arrays(lambda self, i: (self.X[i : i + 1], self.y[i : i + 1]))),
    ("column-for-row", "a column of `X` is returned, one feature of all examples.",
     "Which axis of `X` counts the examples?",
     _arrays(lambda self, i: (self.X[:, i], self.y[i]))),
    ("index-for-label", "the index is returned where the label belongs.", "What stands in `y`?",
     _arrays(lambda self, i: (self.X[i], i))),
    ("label-of-the-first", "the label is always that of the first example.", "Which label belongs to `X[i]`?",
     _arrays(lambda self, i: (self.X[i], self.y[0]))),
    ("labels-as-floats", "the labels come as floats; a loss for classes wants whole numbers.",
     "Which dtype does `CrossEntropyLoss` ask for?",
     _arrays(lambda self, i: (self.X[i], torch.tensor(self.y[i], dtype=torch.float64)))),
    ("labels-one-hot", "the labels come one-hot.", "What shape has `y`, and what shape has a batch of yours?",
     _arrays(lambda self, i: (self.X[i], np.eye(int(self.y.max()) + 1)[self.y[i]]))),
    ("features-cut-to-integers", "the features are cut to whole numbers.",
     "Which dtype has `X`, and which one has your tensor?",
     _arrays(lambda self, i: (torch.tensor(self.X[i]).long(), self.y[i]))),
    ("features-left-out", "the last feature of the example is left out, as if it were the label.",
     "Where does the label come from: from `X`, or from `y`?",
     _arrays(lambda self, i: (self.X[i][:-1], self.y[i]))),
    ("features-left-out", "the first feature of the example is left out.",
     "Which entries of `X[i]` belong to the input?",
     _arrays(lambda self, i: (self.X[i][1:], self.y[i]))),
    ("features-left-out", "only the first feature of the example is left.",
     "Which entries of `X[i]` belong to the input?",
     _arrays(lambda self, i: (self.X[i][:1], self.y[i]))),
    ("features-left-out", "one number is left of the example: `X[i]` was indexed once more.",
     "What shape has one row of `X`?",
     _arrays(lambda self, i: (self.X[i][0], self.y[i]))),
    ("features-scaled", "the features are multiplied by 2; a dataset hands them out as they are.",
     "Does the exercise ask for other numbers than those of `X`?",
     _arrays(lambda self, i: (self.X[i] * 2, self.y[i]))),
    ("features-scaled", "the features are divided by 255, as if they were bytes of a picture.",
     "Does the exercise ask for other numbers than those of `X`?",
     _arrays(lambda self, i: (self.X[i] / 255, self.y[i]))),
    ("features-flattened", "an example is flattened; a picture has rows and columns.",
     "What shape has `X[i]` in the case of the images?",
     _arrays(lambda self, i: (self.X[i].reshape(-1), self.y[i]))),
    ("last-one-left-out", "the length is one too small: the last example is never seen.",
     "If the last index is N − 1, how many examples are there?",
     _arrays(length=lambda self: len(self.X) - 1)),
    ("one-too-many", "the length is one too large.", "If the last index is N − 1, how many examples are there?",
     _arrays(length=lambda self: len(self.X) + 1)),
    ("length-of-a-row", "the length is the number of features.", "Which axis of `X` counts the examples?",
     _arrays(length=lambda self: self.X.shape[1])),
    ("length-of-all-entries", "the length is the number of all entries of `X`.",
     "Which axis of `X` counts the examples?", _arrays(length=lambda self: self.X.size)),
):  # fmt: skip
    ArrayDataset.chaff(_cause, _misconception, _hint)(_answer)
