"""Right and wrong answers to the exercises of chapter 13 about PyTorch. Importing this module imports PyTorch."""

import difflib
import inspect
from itertools import pairwise

import torch
from torch import nn

from autograder.exercises.bug_clinic_pytorch import (
    FixedImageNet,
    FixedSGD,
    fix_build,
    fix_double_softmax,
    fix_label_loss,
    fix_optimizer_names,
    fix_training_loop,
)

# There is no `F` in this module: that it was never imported is one of the bugs.

# fix_training_loop


@fix_training_loop.refer
def fix_training_loop_reference(model, optimizer, loss_fn, batches):
    losses = []
    for X, y in batches:
        optimizer.zero_grad()
        loss = loss_fn(model(X), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@fix_training_loop.wheat
def zeroed_at_the_end_of_each_round(model, optimizer, loss_fn, batches):
    losses = []
    for X, y in batches:
        loss = loss_fn(model(X), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss))
    return losses


@fix_training_loop.wheat
def zeroed_by_the_model(model, optimizer, loss_fn, batches):
    losses = []
    model.train()
    for batch in batches:
        loss = loss_fn(model(batch[0]), batch[1])
        losses.append(loss.detach().item())
        model.zero_grad()
        loss.backward()
        optimizer.step()
    return losses


@fix_training_loop.wheat
def zeroed_to_zeros(model, optimizer, loss_fn, batches):
    losses = [0.0] * len(batches)
    for i, (X, y) in enumerate(batches):
        loss = loss_fn(model(X), y)
        optimizer.zero_grad(set_to_none=False)
        loss.backward()
        optimizer.step()
        losses[i] = loss.tolist()
    return losses


@fix_training_loop.wheat
def zeroed_in_a_closure(model, optimizer, loss_fn, batches):
    def one(X, y):
        def closure():
            optimizer.zero_grad()
            loss = loss_fn(model(X), y)
            loss.backward()
            return loss

        return optimizer.step(closure).item()

    return [one(X, y) for X, y in batches]


@fix_training_loop.wheat
def emptied_by_hand(model, optimizer, loss_fn, batches):
    losses = []
    optimizer.zero_grad()
    for X, y in batches:
        loss = loss_fn(model(X), y)
        loss.backward()
        optimizer.step()
        for p in model.parameters():
            p.grad = None
        losses.append(loss.item())
    return losses


@fix_training_loop.wheat
def zeroed_in_place(model, optimizer, loss_fn, batches):
    losses = []
    for X, y in batches:
        for group in optimizer.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p.grad.zero_()
        loss = loss_fn(model(X), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@fix_training_loop.wheat
def gradients_asked_for_and_put(model, optimizer, loss_fn, batches):
    losses, params = [], list(model.parameters())
    for X, y in batches:
        loss = loss_fn(model(X), y)
        for p, grad in zip(params, torch.autograd.grad(loss, params), strict=True):
            p.grad = grad
        optimizer.step()
        losses.append(loss.item())
    return losses


@fix_training_loop.chaff(
    "unchanged",
    "nothing empties `.grad` between one batch and the next: each gradient is added to those before it.",
    "Print `.grad` of one parameter before and after each `backward`. Whose gradients does the second step follow?",
)
def loop_unchanged(model, optimizer, loss_fn, batches):
    losses = []
    for X, y in batches:
        loss = loss_fn(model(X), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@fix_training_loop.chaff(
    "arguments-swapped",
    "`loss_fn` got the labels first, as a loss of Keras wants them.",
    "In which order does a loss of PyTorch want predictions and labels? Compare with the published loop.",
)
def labels_first(model, optimizer, loss_fn, batches):
    losses = []
    for X, y in batches:
        optimizer.zero_grad()
        loss = loss_fn(y, model(X))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@fix_training_loop.chaff(
    "zero-grad-once",
    "`zero_grad` runs once for all batches: from the second batch on, each gradient is added to those before it.",
    "How often does `backward` run, and how often `zero_grad`?",
)
def zeroed_once_before_the_loop(model, optimizer, loss_fn, batches):
    losses = []
    optimizer.zero_grad()
    for X, y in batches:
        loss = loss_fn(model(X), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@fix_training_loop.chaff(
    "zeroed-after-backward",
    "`zero_grad` stands between `backward` and `step`: it throws away what `backward` has just found.",
    "Follow `.grad` through your lines: what does it hold when `step` reads it?",
)
def zeroed_after_backward(model, optimizer, loss_fn, batches):
    losses = []
    for X, y in batches:
        loss = loss_fn(model(X), y)
        loss.backward()
        optimizer.zero_grad()
        optimizer.step()
        losses.append(loss.item())
    return losses


@fix_training_loop.chaff(
    "step-before-backward",
    "`step` comes between `zero_grad` and `backward`: it finds nothing, and what `backward` finds is emptied unused.",
    "What does `step` need, and which line brings it?",
)
def step_on_empty_gradients(model, optimizer, loss_fn, batches):
    losses = []
    for X, y in batches:
        optimizer.zero_grad()
        loss = loss_fn(model(X), y)
        optimizer.step()
        loss.backward()
        losses.append(loss.item())
    return losses


@fix_training_loop.chaff(
    "step-after-the-forward-pass",
    "`step` stands between the forward pass and `backward`: it changes weights that `backward` needs as they were.",
    "What does `step` need, and which line brings it?",
)
def step_after_the_forward_pass(model, optimizer, loss_fn, batches):
    losses = []
    for X, y in batches:
        loss = loss_fn(model(X), y)
        optimizer.step()
        optimizer.zero_grad()
        loss.backward()
        losses.append(loss.item())
    return losses


@fix_training_loop.chaff(
    "step-one-batch-late",
    "each round begins with `step`: it follows the gradient of the batch before, and that of the last one is not used.",
    "Which gradient does the first `step` follow, and who follows the last gradient?",
)
def step_one_batch_late(model, optimizer, loss_fn, batches):
    losses = []
    for X, y in batches:
        optimizer.step()
        optimizer.zero_grad()
        loss = loss_fn(model(X), y)
        loss.backward()
        losses.append(loss.item())
    return losses


@fix_training_loop.chaff(
    "step-missing", "gradients are computed and emptied, and nobody takes a step.", "Do the weights move?"
)
def step_lost(model, optimizer, loss_fn, batches):
    losses = []
    for X, y in batches:
        optimizer.zero_grad()
        loss = loss_fn(model(X), y)
        loss.backward()
        losses.append(loss.item())
    return losses


@fix_training_loop.chaff(
    "backward-missing", "nothing calls `backward`: every step finds no gradient.", "Who fills `.grad`?"
)
def backward_lost(model, optimizer, loss_fn, batches):
    losses = []
    for X, y in batches:
        optimizer.zero_grad()
        loss = loss_fn(model(X), y)
        optimizer.step()
        losses.append(loss.item())
    return losses


@fix_training_loop.chaff(
    "stepped-by-hand",
    "the steps are taken by hand, and the optimizer's momentum is passed by.",
    "Who knows the learning rate, and everything else about the step?",
    ("no_grad",),
)
def stepped_by_hand(model, optimizer, loss_fn, batches):
    losses = []
    for X, y in batches:
        model.zero_grad()
        loss = loss_fn(model(X), y)
        loss.backward()
        with torch.no_grad():
            for p in model.parameters():
                p -= optimizer.param_groups[0]["lr"] * p.grad
        losses.append(loss.item())
    return losses


@fix_training_loop.chaff(
    "new-optimizer",
    "every batch gets a fresh optimizer: what the old one remembers of earlier steps, its momentum, is lost.",
    "Where does an optimizer keep what it remembers, and how long does yours live?",
)
def optimizer_for_each_batch(model, optimizer, loss_fn, batches):
    losses = []
    for X, y in batches:
        fresh = torch.optim.SGD(model.parameters(), lr=optimizer.param_groups[0]["lr"])
        fresh.zero_grad()
        loss = loss_fn(model(X), y)
        loss.backward()
        fresh.step()
        losses.append(loss.item())
    return losses


@fix_training_loop.chaff(
    "new-optimizer-for-zero-grad",
    "every batch gets a fresh optimizer, and the gradients pile up all the same: they are kept by the parameters.",
    "Where is `.grad` kept: in the optimizer, or in the tensors that it moves?",
)
def optimizer_for_each_batch_without_zeroing(model, optimizer, loss_fn, batches):
    losses = []
    for X, y in batches:
        fresh = torch.optim.SGD(model.parameters(), lr=optimizer.param_groups[0]["lr"])
        loss = loss_fn(model(X), y)
        loss.backward()
        fresh.step()
        losses.append(loss.item())
    return losses


@fix_training_loop.chaff(
    "one-step-for-all",
    "the losses of all batches are added up, and one step is taken for the sum.",
    "How many steps does a pass over three batches take?",
)
def one_step_for_all(model, optimizer, loss_fn, batches):
    losses, total = [], 0.0
    optimizer.zero_grad()
    for X, y in batches:
        loss = loss_fn(model(X), y)
        total = total + loss
        losses.append(loss.item())
    total.backward()
    optimizer.step()
    return losses


@fix_training_loop.chaff(
    "one-step-at-the-end",
    "all gradients are gathered, and one step is taken for them after the last batch.",
    "How many steps does a pass over three batches take?",
)
def one_step_at_the_end(model, optimizer, loss_fn, batches):
    losses = []
    optimizer.zero_grad()
    for X, y in batches:
        loss = loss_fn(model(X), y)
        loss.backward()
        losses.append(loss.item())
    optimizer.step()
    return losses


@fix_training_loop.chaff(
    "step-twice", "`step` is taken twice for one gradient.", "How often does `step` run in one round of the loop?"
)
def stepped_twice(model, optimizer, loss_fn, batches):
    losses = []
    for X, y in batches:
        optimizer.zero_grad()
        loss = loss_fn(model(X), y)
        loss.backward()
        optimizer.step()
        optimizer.step()
        losses.append(loss.item())
    return losses


@fix_training_loop.chaff(
    "loss-after-the-step",
    "the loss is computed again after the step, and that one is kept.",
    "Which loss belongs to the gradient of a step: the one before it or the one after it?",
)
def losses_after_the_step(model, optimizer, loss_fn, batches):
    losses = []
    for X, y in batches:
        optimizer.zero_grad()
        loss_fn(model(X), y).backward()
        optimizer.step()
        losses.append(loss_fn(model(X), y).item())
    return losses


@fix_training_loop.chaff(
    "weights-emptied",
    "the parameters themselves are set to zero, not their gradients.",
    "What is the difference between `p` and `p.grad`?",
)
def weights_emptied(model, optimizer, loss_fn, batches):
    losses = []
    for X, y in batches:
        for p in model.parameters():
            p.data.zero_()
        loss = loss_fn(model(X), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@fix_training_loop.chaff(
    "grad-of-none",
    "before the first `backward` there is no `.grad` that could be set to zero: it is None.",
    "What is `.grad` of a parameter that no `backward` has reached yet?",
)
def zeroed_before_there_is_one(model, optimizer, loss_fn, batches):
    losses = []
    for X, y in batches:
        for p in model.parameters():
            p.grad.zero_()
        loss = loss_fn(model(X), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@fix_training_loop.chaff(
    "zero-grad-of-a-tensor",
    "`zero_grad` is asked of a tensor, which has no such method.",
    "Who knows all the parameters whose `.grad` has to be emptied?",
    ("zero_grad",),
)
def zero_grad_of_the_loss(model, optimizer, loss_fn, batches):
    losses = []
    for X, y in batches:
        loss = loss_fn(model(X), y)
        loss.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@fix_training_loop.chaff(
    "backward-of-a-number",
    "`backward` is called on a number: `item()` has left the graph behind.",
    "Which of the two, the tensor or the number in it, knows how it was made?",
)
def backward_of_a_number(model, optimizer, loss_fn, batches):
    losses = []
    for X, y in batches:
        optimizer.zero_grad()
        loss = loss_fn(model(X), y).item()
        loss.backward()
        optimizer.step()
        losses.append(loss)
    return losses


@fix_training_loop.chaff(
    "graph-cut",
    "the graph is cut before `backward`: by `detach`, by `no_grad`, or by a new tensor made of the old one's numbers.",
    "What does `print(loss.grad_fn)` say just before `backward`?",
)
def loss_detached(model, optimizer, loss_fn, batches):
    losses = []
    for X, y in batches:
        optimizer.zero_grad()
        loss = loss_fn(model(X), y).detach()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@fix_training_loop.chaff(
    "wrong-type",
    "the losses are kept as tensors, each of which drags its whole graph along.",
    "What makes a number of a tensor that has one entry?",
)
def losses_as_tensors(model, optimizer, loss_fn, batches):
    losses = []
    for X, y in batches:
        optimizer.zero_grad()
        loss = loss_fn(model(X), y)
        loss.backward()
        optimizer.step()
        losses.append(loss)
    return losses


@fix_training_loop.chaff(
    "returned-in-the-loop",
    "`return` stands inside the loop: the first batch is the last one.",
    "How far is your `return` indented?",
)
def returned_in_the_loop(model, optimizer, loss_fn, batches):
    losses = []
    for X, y in batches:
        optimizer.zero_grad()
        loss = loss_fn(model(X), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        return losses


@fix_training_loop.chaff(
    "last-loss-only",
    "only the loss of the last batch is returned.",
    "One number for each batch is asked for. Where do the others go?",
)
def last_loss_only(model, optimizer, loss_fn, batches):
    for X, y in batches:
        optimizer.zero_grad()
        loss = loss_fn(model(X), y)
        loss.backward()
        optimizer.step()
    return loss.item()


@fix_training_loop.chaff(
    "mean-of-losses",
    "the mean of the losses is returned.",
    "One number for each batch is asked for. Could you still see from a mean whether the loss falls?",
)
def mean_of_losses(model, optimizer, loss_fn, batches):
    losses = fix_training_loop_reference(model, optimizer, loss_fn, batches)
    return sum(losses) / len(losses)


@fix_training_loop.chaff("returned-none", "nothing is returned.", "Is there a `return`?")
def no_losses(model, optimizer, loss_fn, batches):
    fix_training_loop_reference(model, optimizer, loss_fn, batches)


# fix_build


class _Net(nn.Module):
    """Right, and a base for nets that go wrong in one place."""

    bias = True

    def __init__(self, sizes):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(d, m, bias=self.bias) for d, m in pairwise(sizes))

    def forward(self, x):
        for layer in self.layers[:-1]:
            x = torch.relu(layer(x))
        return self.layers[-1](x)


def _adam(net, lr):
    return net, torch.optim.Adam(net.parameters(), lr=lr)


@fix_build.refer
def fix_build_reference(sizes, lr):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList(nn.Linear(d, m) for d, m in pairwise(sizes))

        def forward(self, x):
            for layer in self.layers[:-1]:
                x = torch.relu(layer(x))
            return self.layers[-1](x)

    net = Net()
    return net, torch.optim.Adam(net.parameters(), lr=lr)


@fix_build.wheat
def build_as_a_sequence(sizes, lr):
    layers = []
    for i in range(len(sizes) - 1):
        layers += [nn.ReLU(), nn.Linear(sizes[i], sizes[i + 1])]
    net = nn.Sequential(*layers[1:])
    return net, torch.optim.Adam(net.parameters(), lr)


@fix_build.wheat
def build_with_the_import(sizes, lr):
    import torch.nn.functional as F

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            for i, (d, m) in enumerate(pairwise(sizes)):
                setattr(self, f"fc{i}", nn.Linear(d, m))

        def forward(self, x):
            for i in range(len(sizes) - 2):
                x = F.relu(getattr(self, f"fc{i}")(x))
            return getattr(self, f"fc{len(sizes) - 2}")(x)

    net = Net()
    return [net, torch.optim.Adam(list(net.parameters()), lr=lr)]


@fix_build.wheat
def build_from_the_end(sizes, lr):
    net = None
    for i, (d, m) in reversed(list(enumerate(pairwise(sizes)))):
        layer = nn.Linear(d, m) if i == 0 else nn.Sequential(nn.ReLU(), nn.Linear(d, m))
        net = layer if net is None else nn.Sequential(layer, net)
    return net, torch.optim.Adam(params=net.parameters(), lr=lr)


@fix_build.wheat
def build_registered_backwards(sizes, lr):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.last = nn.Linear(sizes[-2], sizes[-1])
            for i in reversed(range(len(sizes) - 2)):
                self.add_module(f"layer {i}", nn.Linear(sizes[i], sizes[i + 1]))

        def forward(self, x):
            for i in range(len(sizes) - 2):
                x = self.get_submodule(f"layer {i}")(x).clamp(min=0)
            return self.last(x)

    net = Net()
    return net, torch.optim.Adam(reversed(list(net.parameters())), lr=lr)


@fix_build.wheat
def build_with_groups(sizes, lr):
    net = _Net(sizes)
    groups = [{"params": layer.parameters(), "lr": lr} for layer in net.layers]
    return net, torch.optim.Adam(groups)


@fix_build.wheat
def build_in_double_precision(sizes, lr):
    net = _Net(sizes).double()
    optimizer = torch.optim.Adam(net.named_parameters(), lr=lr, foreach=False)
    return net, optimizer


@fix_build.chaff(
    "unchanged",
    "Adam is built from `net` before there is a `net`.",
    "Read the lines in the order in which they run. What does the name `net` stand for when Adam asks for it?",
)
def build_unchanged(sizes, lr):
    optimizer = torch.optim.Adam(net.parameters(), lr=lr)  # noqa: F821

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList(nn.Linear(d, m) for d, m in pairwise(sizes))

        def forward(self, x):
            for layer in self.layers[:-1]:
                x = F.relu(layer(x))  # noqa: F821
            return self.layers[-1](x)

    net = Net()
    return net, optimizer


@fix_build.chaff(
    "import-missing",
    "the name `F` is used in `forward`, and nothing has given it a meaning.",
    "A name that stands inside a function is looked up when the function runs. Who imports `F`?",
)
def build_without_the_import(sizes, lr):
    class Net(_Net):
        def forward(self, x):
            for layer in self.layers[:-1]:
                x = F.relu(layer(x))  # noqa: F821
            return self.layers[-1](x)

    return _adam(Net(sizes), lr)


@fix_build.chaff(
    "relu-module-for-function",
    "`nn.ReLU` is a class: called with a tensor it makes a layer, and this layer is handed on in place of numbers.",
    "What does `nn.ReLU(x)` return? What comes of `nn.ReLU()`, and what of calling that?",
    ("ReLU",),
)
def build_with_a_layer_for_numbers(sizes, lr):
    class Net(_Net):
        def forward(self, x):
            for layer in self.layers[:-1]:
                x = nn.ReLU(layer(x))
            return self.layers[-1](x)

    return _adam(Net(sizes), lr)


@fix_build.chaff(
    "relu-at-the-end",
    "a ReLU follows the last layer as well: no logit can be negative.",
    "What do the last layer's numbers stand for, and may they be negative?",
)
def build_with_relu_at_the_end(sizes, lr):
    class Net(_Net):
        def forward(self, x):
            for layer in self.layers:
                x = torch.relu(layer(x))
            return x

    return _adam(Net(sizes), lr)


@fix_build.chaff(
    "relu-missing",
    "there is nothing between the layers: all of them together are one linear map.",
    "What is the product of two matrices?",
)
def build_without_relu(sizes, lr):
    return _adam(nn.Sequential(*(nn.Linear(d, m) for d, m in pairwise(sizes))), lr)


@fix_build.chaff(
    "relu-after-the-first-only",
    "only the first layer is followed by a ReLU; the layers after it are one linear map.",
    "How many gaps are there between three layers?",
)
def build_with_one_relu(sizes, lr):
    class Net(_Net):
        def forward(self, x):
            x = self.layers[0](x)
            if len(self.layers) > 1:
                x = torch.relu(x)
            for layer in self.layers[1:]:
                x = layer(x)
            return x

    return _adam(Net(sizes), lr)


def _with_activation(activation):
    class Net(_Net):
        def forward(self, x):
            for layer in self.layers[:-1]:
                x = activation(layer(x))
            return self.layers[-1](x)

    return lambda sizes, lr: _adam(Net(sizes), lr)


@fix_build.chaff(
    "lr-not-used",
    "Adam got no learning rate, and takes its own, 0.001.",
    "What does `print(optimizer)` show? Which argument of your function is never used?",
)
def build_without_lr(sizes, lr):
    net = _Net(sizes)
    return net, torch.optim.Adam(net.parameters())


@fix_build.chaff(
    "last-layer-only",
    "Adam knows the parameters of the last layer only; the others never move.",
    "How many tensors does `optimizer.param_groups[0]['params']` list, and how many has the net?",
)
def build_with_adam_for_the_last_layer(sizes, lr):
    net = _Net(sizes)
    return net, torch.optim.Adam(net.layers[-1].parameters(), lr=lr)


@fix_build.chaff(
    "first-layer-only",
    "Adam knows the parameters of the first layer only; the others never move.",
    "How many tensors does `optimizer.param_groups[0]['params']` list, and how many has the net?",
)
def build_with_adam_for_the_first_layer(sizes, lr):
    net = _Net(sizes)
    return net, torch.optim.Adam(net.layers[0].parameters(), lr=lr)


@fix_build.chaff(
    "weights-only",
    "Adam knows the weights only; the biases never move.",
    "How many tensors does `optimizer.param_groups[0]['params']` list, and how many has the net?",
)
def build_with_adam_for_the_weights(sizes, lr):
    net = _Net(sizes)
    return net, torch.optim.Adam([layer.weight for layer in net.layers], lr=lr)


@fix_build.chaff(
    "another-net",
    "Adam moves the parameters of another net than the one that is returned.",
    "How often is a net made in your code? Are the tensors in `optimizer.param_groups` those of the one you return?",
)
def build_two_nets(sizes, lr):
    optimizer = torch.optim.Adam(_Net(sizes).parameters(), lr=lr)
    net = _Net(sizes)
    return net, optimizer


@fix_build.chaff(
    "no-parameters",
    "`net.parameters()` is empty when Adam asks: the layers stand in a plain list, or are not made yet.",
    "Where does a module look for its layers: in lists, too? What does `print(net)` show?",
)
def build_with_a_plain_list(sizes, lr):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = [nn.Linear(d, m) for d, m in pairwise(sizes)]

        def forward(self, x):
            for layer in self.layers[:-1]:
                x = torch.relu(layer(x))
            return self.layers[-1](x)

    return _adam(Net(), lr)


@fix_build.chaff(
    "layers-missing",
    "the net knows nothing of its layers, which stand in a plain list; only Adam has been told of them.",
    "Where does a module look for its layers? What does `print(net)` show?",
)
def build_with_a_list_gathered_for_adam(sizes, lr):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = [nn.Linear(d, m).double() for d, m in pairwise(sizes)]

        def forward(self, x):
            for layer in self.layers[:-1]:
                x = torch.relu(layer(x))
            return self.layers[-1](x)

    net = Net()
    return net, torch.optim.Adam([p for layer in net.layers for p in layer.parameters()], lr=lr)


@fix_build.chaff("another-optimizer", "the optimizer is not Adam.", "Which optimizer does the exercise name?")
def build_with_sgd(sizes, lr):
    net = _Net(sizes)
    return net, torch.optim.SGD(net.parameters(), lr=lr)


@fix_build.chaff(
    "bias-missing", "the layers have no biases.", "What is added after the product, and which keyword leaves it out?"
)
def build_without_biases(sizes, lr):
    class Net(_Net):
        bias = False

    return _adam(Net(sizes), lr)


@fix_build.chaff(
    "super-init-missing",
    "the constructor of `nn.Module` has not run when the first layer is kept.",
    "What is the first line of a constructor in a class that is derived from another one?",
)
def build_without_super(sizes, lr):
    class Net(nn.Module):
        def __init__(self):
            self.layers = nn.ModuleList(nn.Linear(d, m) for d, m in pairwise(sizes))

    return _adam(Net(), lr)


@fix_build.chaff(
    "parameters-not-called",
    "Adam got the method `net.parameters` itself, and not what it returns.",
    "What is the difference between `f` and `f()`?",
)
def build_with_the_method(sizes, lr):
    net = _Net(sizes)
    return net, torch.optim.Adam(net.parameters, lr=lr)


@fix_build.chaff(
    "class-for-object",
    "Adam was built from the class of the net: there are no parameters before a net is made.",
    "What is the difference between `Net` and `Net()`?",
)
def build_from_the_class(sizes, lr):
    return _Net(sizes), torch.optim.Adam(_Net.parameters(), lr=lr)


@fix_build.chaff(
    "layer-sizes-swapped",
    "the layers don't fit into each other, or onto the input: each got its two sizes in the wrong order.",
    "Which does `nn.Linear` want first: what comes in, or what goes out?",
)
def build_with_sizes_swapped(sizes, lr):
    layers = []
    for d, m in pairwise(sizes):
        layers += [nn.Linear(m, d), nn.ReLU()]
    return _adam(nn.Sequential(*layers[:-1]), lr)


@fix_build.chaff(
    "layers-of-other-sizes",
    "there are fewer layers than the sizes make.",
    "How many layers do four sizes make?",
)
def build_with_a_layer_too_few(sizes, lr):
    return _adam(nn.Linear(sizes[0], sizes[-1]), lr)


@fix_build.chaff(
    "outputs-swapped", "the optimizer is returned first, and the net second.", "In which order are they asked for?"
)
def build_swapped(sizes, lr):
    net, optimizer = _adam(_Net(sizes), lr)
    return optimizer, net


@fix_build.chaff("no-pair", "only one of the two is returned.", "Which two things does the signature promise?")
def build_net_alone(sizes, lr):
    return _Net(sizes)


for _cause, _misconception, _hint, _answer in (
    ("sigmoid-for-relu", "a sigmoid stands between the layers.", "Which activation does the published code name?",
     _with_activation(torch.sigmoid)),
    ("tanh-for-relu", "a tanh stands between the layers.", "Which activation does the published code name?",
     _with_activation(torch.tanh)),
):  # fmt: skip
    fix_build.chaff(_cause, _misconception, _hint)(_answer)


# fix_label_loss


@fix_label_loss.refer
def fix_label_loss_reference(logits, y):
    return nn.functional.cross_entropy(logits, y)


@fix_label_loss.wheat
def label_loss_as_a_module(logits, y):
    loss_fn = nn.CrossEntropyLoss()
    return loss_fn(logits, y)


@fix_label_loss.wheat
def label_loss_in_two_steps(logits, y):
    return nn.NLLLoss()(nn.LogSoftmax(dim=1)(logits), y)


@fix_label_loss.wheat
def label_loss_of_one_hot_labels(logits, y):
    targets = nn.functional.one_hot(y, logits.shape[1]).to(logits.dtype)
    return nn.functional.cross_entropy(logits, targets)


@fix_label_loss.wheat
def label_loss_written_out(logits, y):
    picked = logits.gather(1, y[:, None]).squeeze(1)
    return (torch.logsumexp(logits, dim=1) - picked).mean()


@fix_label_loss.wheat
def label_loss_shifted_by_hand(logits, y):
    shifted = logits - logits.max(dim=1, keepdim=True).values.detach()
    log_p = shifted - shifted.exp().sum(dim=1, keepdim=True).log()
    return -log_p[torch.arange(len(y)), y].sum() / len(y)


@fix_label_loss.wheat
def label_loss_example_by_example(logits, y):
    total = 0.0
    for row, label in zip(logits, y, strict=True):
        total = total + nn.functional.cross_entropy(row, label)
    return total / len(y)


@fix_label_loss.chaff(
    "unchanged",
    "a squared error is taken between C logits and one label: where their shapes happen to fit, each logit is compared "
    "with the number of some label.",
    "What is the shape of `logits`, and what of `y`? Is class 4 twice as far from class 0 as class 2?",
)
def label_loss_unchanged(logits, y):
    return nn.MSELoss()(logits, y)


@fix_label_loss.chaff(
    "labels-as-a-column",
    "the labels are made a column, so that the shapes fit: now every logit is pulled towards the number of the label.",
    "Is class 4 twice as far from class 0 as class 2?",
)
def label_loss_of_a_column(logits, y):
    return nn.MSELoss()(logits, y[:, None].to(logits.dtype))


@fix_label_loss.chaff(
    "mse-of-one-hot",
    "a squared error between the logits and one-hot labels: logits are pulled to 0 and 1.",
    "May a logit be 20? Which loss is meant for classes?",
)
def label_loss_squared(logits, y):
    return nn.MSELoss()(logits, nn.functional.one_hot(y, logits.shape[1]).to(logits.dtype))


@fix_label_loss.chaff(
    "mse-of-probabilities",
    "a squared error between probabilities and one-hot labels.",
    "Chapter 2: how large is this loss's slope if the net is sure, and wrong? Which loss is meant for classes?",
)
def label_loss_of_brier(logits, y):
    return nn.MSELoss()(logits.softmax(1), nn.functional.one_hot(y, logits.shape[1]).to(logits.dtype))


@fix_label_loss.chaff(
    "mse-of-classes",
    "the predicted class is compared with the label as a number; `argmax` has no slope, and the graph ends there.",
    "How far does this loss fall if the class stays the same and the logits move a little?",
)
def label_loss_of_argmax(logits, y):
    return nn.MSELoss()(logits.argmax(1).double(), y.double())


@fix_label_loss.chaff(
    "mse-of-the-largest-logit",
    "the largest logit of each row is compared with the number of the label.",
    "Is class 4 twice as far from class 0 as class 2?",
)
def label_loss_of_the_largest(logits, y):
    return nn.MSELoss()(logits.max(1).values, y.double())


@fix_label_loss.chaff(
    "arguments-swapped",
    "the loss got the labels first, as a loss of Keras wants them.",
    "In which order does a loss of PyTorch want logits and labels?",
)
def label_loss_of_labels_first(logits, y):
    return nn.CrossEntropyLoss()(y, logits)


@fix_label_loss.chaff(
    "target-with-two-axes",
    "what the loss takes for labels has two axes: it is the logits, if the labels stand first as in Keras, or rows of "
    "one-hot numbers.",
    "What shape has each of the two arguments of your loss, and which of them comes first?",
)
def label_loss_of_floats_first(logits, y):
    return nn.CrossEntropyLoss()(y.to(logits.dtype), logits)


@fix_label_loss.chaff(
    "double-softmax",
    "a softmax stands before the cross-entropy, which takes one itself.",
    "What does `CrossEntropyLoss` expect, probabilities or logits?",
)
def label_loss_of_probabilities(logits, y):
    return nn.CrossEntropyLoss()(logits.softmax(1), y)


@fix_label_loss.chaff(
    "nll-of-logits",
    "`NLLLoss` got the logits; it only picks numbers, and takes neither a softmax nor a logarithm.",
    "What does `NLLLoss` expect?",
)
def label_loss_that_picks_logits(logits, y):
    return nn.NLLLoss()(logits, y)


@fix_label_loss.chaff(
    "nll-of-probabilities",
    "`NLLLoss` got probabilities; it only picks numbers, and takes no logarithm.",
    "What does `NLLLoss` expect?",
)
def label_loss_that_picks_probabilities(logits, y):
    return nn.NLLLoss()(logits.softmax(1), y)


@fix_label_loss.chaff(
    "yes-or-no-per-class",
    "each class is a yes-or-no question of its own here, and an example may belong to all of them.",
    "Do your probabilities of one example add up to 1?",
)
def label_loss_of_questions(logits, y):
    return nn.BCEWithLogitsLoss()(logits, nn.functional.one_hot(y, logits.shape[1]).to(logits.dtype))


@fix_label_loss.chaff(
    "labels-as-floats",
    "the labels are floats; a loss for classes wants whole numbers.",
    "Which dtype does `CrossEntropyLoss` ask for?",
)
def label_loss_of_floats(logits, y):
    return nn.CrossEntropyLoss()(logits, y.float())


@fix_label_loss.chaff(
    "one-hot-of-integers",
    "the one-hot labels are whole numbers; as probabilities they have to be floats.",
    "`CrossEntropyLoss` takes classes or probabilities. Which dtype tells it which?",
)
def label_loss_of_whole_one_hot(logits, y):
    return nn.CrossEntropyLoss()(logits, nn.functional.one_hot(y, logits.shape[1]))


@fix_label_loss.chaff(
    "classes-counted-from-the-batch",
    "the number of classes is taken from the labels of the batch: where the last class does not occur, columns are "
    "missing.",
    "How does `one_hot` know how many classes there are? Which array has a column for each?",
)
def label_loss_of_short_one_hot(logits, y):
    return nn.CrossEntropyLoss()(logits, nn.functional.one_hot(y).to(logits.dtype))


@fix_label_loss.chaff(
    "sum-for-mean", "the losses of the examples are added up, not averaged.", "What does `reduction` stand at?"
)
def label_loss_summed(logits, y):
    return nn.CrossEntropyLoss(reduction="sum")(logits, y)


@fix_label_loss.chaff(
    "not-averaged",
    "there is one loss for each example.",
    "`backward` wants one number. What does `reduction` stand at?",
)
def label_losses(logits, y):
    return nn.CrossEntropyLoss(reduction="none")(logits, y)


@fix_label_loss.chaff(
    "averaged-twice",
    "the mean over the batch is divided by the number of examples once more.",
    "What does `reduction` stand at in a loss of PyTorch?",
)
def label_loss_averaged_twice(logits, y):
    return nn.CrossEntropyLoss()(logits, y) / len(y)


@fix_label_loss.chaff(
    "averaged-over-the-classes",
    "the sum is divided by the number of all logits, and not by the number of examples.",
    "How many of the terms of one example differ from 0?",
)
def label_loss_over_all_entries(logits, y):
    return -(nn.functional.one_hot(y, logits.shape[1]) * logits.log_softmax(1)).mean()


@fix_label_loss.chaff(
    "sign-flipped",
    "the log-likelihood itself is returned: it is to grow, and a loss is to fall.",
    "What is the sign of a logarithm of a probability?",
)
def label_loss_with_its_sign_flipped(logits, y):
    return logits.log_softmax(1)[torch.arange(len(y)), y].mean()


@fix_label_loss.chaff(
    "softmax-over-the-batch",
    "the softmax runs over the examples, and not over the classes.",
    "Which axis of the logits has one entry for each class?",
)
def label_loss_over_the_batch(logits, y):
    return nn.NLLLoss()(logits.log_softmax(0), y)


@fix_label_loss.chaff(
    "overflow",
    "the exponentials of the logits themselves are taken, and for large logits they are infinite.",
    "`torch.exp(torch.tensor(1000.0))` is inf. Which function of PyTorch starts from logits?",
)
def label_loss_that_overflows(logits, y):
    e = logits.exp()
    return -(e[torch.arange(len(y)), y] / e.sum(1)).log().mean()


@fix_label_loss.chaff(
    "log-of-a-rounded-zero",
    "the softmax is taken first and its logarithm after it: a probability that was rounded to 0 has none.",
    "Can both be taken in one step, from the logits?",
)
def label_loss_of_rounded_probabilities(logits, y):
    return nn.NLLLoss()(logits.softmax(1).log(), y)


@fix_label_loss.chaff(
    "no-tensor",
    "a number is returned: `item()` has left the graph behind.",
    "Which of the two, the tensor or the number in it, knows how it was made?",
)
def label_loss_as_a_number(logits, y):
    return nn.CrossEntropyLoss()(logits, y).item()


@fix_label_loss.chaff(
    "cut-by-no-grad",
    "the loss is computed under `no_grad`: nothing is recorded for `backward`.",
    "What is `no_grad` for: the forward pass, or the update?",
    ("no_grad", "inference_mode", "set_grad_enabled"),
)
def label_loss_under_no_grad(logits, y):
    with torch.no_grad():
        return nn.CrossEntropyLoss()(logits, y)


@fix_label_loss.chaff(
    "graph-cut",
    "the graph is cut on the way: by `detach`, or by a new tensor made of the old one's numbers.",
    "What does `print(loss.grad_fn)` say?",
)
def label_loss_detached(logits, y):
    return nn.CrossEntropyLoss()(logits.detach(), y)


# FixedImageNet


class _ImageNet(nn.Module):
    """Right, and a base for nets that go wrong in one place."""

    def __init__(self, side, hidden, classes):
        super().__init__()
        self.side = side
        self.fc1 = nn.Linear(side * side, hidden)
        self.fc2 = nn.Linear(hidden, classes)

    def flat(self, images):
        return images.flatten(1)

    def head(self, x):
        return self.fc2(torch.relu(self.fc1(x)))

    def forward(self, images):
        return self.head(self.flat(images))


@FixedImageNet.refer
class FixedImageNetReference(nn.Module):
    def __init__(self, side, hidden, classes):
        super().__init__()
        self.fc1 = nn.Linear(side * side, hidden)
        self.fc2 = nn.Linear(hidden, classes)

    def forward(self, images):
        return self.fc2(torch.relu(self.fc1(images.flatten(start_dim=1))))


@FixedImageNet.wheat
class ImagesViewed(_ImageNet):
    def flat(self, images):
        return images.view(images.size(0), -1)


@FixedImageNet.wheat
class ImagesReshaped(_ImageNet):
    def flat(self, images):
        return torch.reshape(images, (len(images), self.side**2))


@FixedImageNet.wheat
class ImagesThroughALayer(nn.Module):
    def __init__(self, side, hidden, classes):
        super().__init__()
        self.stack = nn.Sequential(
            nn.Flatten(), nn.Linear(side * side, hidden), nn.ReLU(inplace=True), nn.Linear(hidden, classes)
        )
        self.fc1, self.fc2 = self.stack[1], self.stack[3]

    def forward(self, images):
        return self.stack(images)


@FixedImageNet.wheat
class ImagesWithTheChannelLast(_ImageNet):
    def flat(self, images):
        N, rows, columns, channels = images.permute(0, 2, 3, 1).shape
        return images.permute(0, 2, 3, 1).reshape(N, rows * columns * channels)


@FixedImageNet.wheat
class ImagesWithoutTheChannel(_ImageNet):
    def flat(self, images):
        return images.squeeze(1).flatten(-2)


@FixedImageNet.wheat
class ImagesOneByOne(_ImageNet):
    def forward(self, images):
        return torch.stack([self.head(image.reshape(-1)) for image in images])


@FixedImageNet.wheat
class ImagesOfUnknownSize(_ImageNet):
    def __init__(self, side, hidden, classes):
        super().__init__(side, hidden, classes)
        self.fc1 = nn.LazyLinear(hidden)


@FixedImageNet.wheat
class ImagesOverTheirRows(_ImageNet):
    def forward(self, images):
        weight = self.fc1.weight.unflatten(1, (self.side, self.side))
        Z = torch.einsum("nrc,hrc->nh", images[:, 0], weight) + self.fc1.bias
        return nn.functional.linear(Z.clamp(min=0), self.fc2.weight, self.fc2.bias)


@FixedImageNet.chaff(
    "unchanged",
    "where the images reach `fc1`, their last axis is not that of all pixels, and `fc1` looks at the last axis only.",
    "What is the shape of `images`, and which shape does `fc1` expect? Print both.",
)
class ImagesUnchanged(nn.Module):
    def __init__(self, side, hidden, classes):
        super().__init__()
        self.fc1 = nn.Linear(side * side, hidden)
        self.fc2 = nn.Linear(hidden, classes)

    def forward(self, images):
        return self.fc2(torch.relu(self.fc1(images)))


@FixedImageNet.chaff(
    "batch-flattened-away",
    "all images of the batch are laid into one long row.",
    "Which axis has to stay? What does `images.flatten()` do with it?",
)
class ImagesInOneRow(_ImageNet):
    def flat(self, images):
        return images.view(-1)


@FixedImageNet.chaff(
    "pixels-across-images",
    "the numbers are laid out anew and then transposed: the shape is right, and each row has pixels of several images.",
    "Fill image n with the number n. What should row n of the flat array hold?",
)
class ImagesMixed(_ImageNet):
    def flat(self, images):
        return images.reshape(self.side * self.side, -1).T


@FixedImageNet.chaff(
    "images-cut-in-pieces",
    "the rows are made of so many pixels each, however large an image is: a larger one is cut into pieces, each of "
    "which is taken for an image.",
    "Which axis of the images has to stay as it is? Which number tells how many rows there are?",
)
class ImagesCutInPieces(_ImageNet):
    def flat(self, images):
        return images.reshape(-1, self.side * self.side)


@FixedImageNet.chaff(
    "images-transposed",
    "rows and columns of each image have changed places.",
    "Which pixel of the image comes second in your flat row: the one to the right, or the one below?",
)
class ImagesTransposed(_ImageNet):
    def flat(self, images):
        return images.transpose(2, 3).flatten(1)


@FixedImageNet.chaff(
    "view-of-a-permuted-tensor",
    "`view` can't lay out a tensor whose axes have changed places.",
    "Do the axes have to change places at all? Which method copies where `view` can't?",
)
class ImagesPermutedAndViewed(_ImageNet):
    def flat(self, images):
        return images.permute(0, 3, 2, 1).view(len(images), -1)


@FixedImageNet.chaff(
    "one-row-for-all-images",
    "there is one row for all images: the batch was laid flat as well, or it changed places with the channel.",
    "How many rows does `fc1` get, and how many images are there? Which axis has to stay first?",
)
class ImagesOfTheChannel(_ImageNet):
    def flat(self, images):
        return images.transpose(0, 1).flatten(1)


@FixedImageNet.chaff(
    "batch-axis-squeezed",
    "`squeeze()` removes every axis of length 1: of a batch of one image, the batch as well.",
    "How does `squeeze` know which axis you mean?",
)
class ImagesSqueezed(_ImageNet):
    def flat(self, images):
        return images.squeeze().flatten(1)


@FixedImageNet.chaff(
    "result-squeezed",
    "`squeeze()` at the end removes every axis of length 1: of a batch of one image, the batch as well.",
    "Which shape should the logits of one image have?",
)
class LogitsSqueezed(_ImageNet):
    def head(self, x):
        return super().head(x).squeeze()


@FixedImageNet.chaff(
    "size-written-in",
    "the number 784 is written into `forward`; the images have another size here.",
    "784 is 28 · 28. Which argument tells the size of these images?",
)
class ImagesOf784(_ImageNet):
    def flat(self, images):
        return images.view(-1, 784)


@FixedImageNet.chaff(
    "batch-size-written-in",
    "the size of the batch is written into `forward`; the last batch of an epoch may have another one.",
    "Who knows how many images there are?",
)
class ImagesOf64(_ImageNet):
    def flat(self, images):
        return images.view(64, -1)


@FixedImageNet.chaff(
    "layer-of-another-size",
    "`fc1` has another size than an image has pixels.",
    "How many numbers is one image?",
)
class ImagesByRows(_ImageNet):
    def __init__(self, side, hidden, classes):
        super().__init__(side, hidden, classes)
        self.fc1 = nn.Linear(side, hidden)

    def flat(self, images):
        return images.mean(dim=(1, 2))


@FixedImageNet.chaff(
    "layer-missing", "the layers have other names than was asked for.", "Which two layers does the exercise name?"
)
class ImagesWithOtherNames(nn.Module):
    def __init__(self, side, hidden, classes):
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(side * side, hidden), nn.ReLU(), nn.Linear(hidden, classes))

    def forward(self, images):
        return self.net(images)


@FixedImageNet.chaff(
    "super-init-missing",
    "the constructor of `nn.Module` has not run when the first layer is kept.",
    "What is the first line of a constructor in a class that is derived from another one?",
)
class ImagesWithoutSuper(_ImageNet):
    def __init__(self, side, hidden, classes):
        self.fc1 = nn.Linear(side * side, hidden)
        self.fc2 = nn.Linear(hidden, classes)


def _image_net(head):
    return type("FixedImageNet", (_ImageNet,), {"head": head})


for _cause, _misconception, _hint, _answer in (
    ("relu-missing", "there is no ReLU: the two layers are one linear map.", "What is the product of two matrices?",
     _image_net(lambda self, x: self.fc2(self.fc1(x)))),
    ("relu-at-the-end", "a ReLU follows the last layer as well: no logit can be negative.",
     "What do the last layer's numbers stand for, and may they be negative?",
     _image_net(lambda self, x: torch.relu(self.fc2(torch.relu(self.fc1(x)))))),
    ("relu-after-the-wrong-layer", "the ReLU follows the last layer, and not the first.",
     "Where does the exercise want the ReLU?", _image_net(lambda self, x: torch.relu(self.fc2(self.fc1(x))))),
    ("relu-before-the-first-layer", "the ReLU is taken of the pixels, and nothing stands between the layers.",
     "Where does the exercise want the ReLU?", _image_net(lambda self, x: self.fc2(self.fc1(torch.relu(x))))),
    ("softmax-at-the-end", "a softmax follows the last layer: the results are probabilities, not logits.",
     "Which loss will this net meet, and what does that loss take itself?",
     _image_net(lambda self, x: self.fc2(torch.relu(self.fc1(x))).softmax(1))),
    ("log-softmax-at-the-end", "a log-softmax follows the last layer: the results are no longer the plain logits.",
     "What does the last layer give before it?",
     _image_net(lambda self, x: self.fc2(torch.relu(self.fc1(x))).log_softmax(1))),
    ("sigmoid-for-relu", "a sigmoid stands between the layers.", "Which activation does the exercise name?",
     _image_net(lambda self, x: self.fc2(torch.sigmoid(self.fc1(x))))),
    ("graph-cut", "the graph is cut on the way from the images to the logits.",
     "What does `print(logits.grad_fn)` say?", _image_net(lambda self, x: self.fc2(torch.relu(self.fc1(x)).detach()))),
):  # fmt: skip
    FixedImageNet.chaff(_cause, _misconception, _hint)(_answer)


# FixedSGD


class _SGD(torch.optim.Optimizer):
    """Right, and a base for answers that go wrong in one place: `move` takes the step of one parameter."""

    def __init__(self, params, lr):
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    self.move(p, p.grad, group["lr"])

    def move(self, p, g, lr):
        p.sub_(lr * g)


@FixedSGD.refer
class FixedSGDReference(torch.optim.Optimizer):
    def __init__(self, params, lr):
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p.sub_(group["lr"] * p.grad)


@FixedSGD.wheat
class SGDOfPyTorch(torch.optim.SGD):
    def __init__(self, params, lr):
        super().__init__(params, lr=lr)


@FixedSGD.wheat
class SGDByData(torch.optim.Optimizer):
    def __init__(self, params, lr=0.01):
        defaults = dict(lr=lr)
        super().__init__(params, defaults)

    def step(self, closure=None):
        loss = None if closure is None else closure()
        for param_group in self.param_groups:
            for param in param_group["params"]:
                if param.grad is None:
                    continue
                param.data.add_(param.grad.data, alpha=-param_group["lr"])
        return loss


@FixedSGD.wheat
class SGDByLists(_SGD):
    def step(self):
        with torch.no_grad():
            for group in self.param_groups:
                moved = [p for p in group["params"] if p.grad is not None]
                torch._foreach_add_(moved, [p.grad for p in moved], alpha=-group["lr"])


@FixedSGD.wheat
class SGDByCopies(_SGD):
    def move(self, p, g, lr):
        p.copy_(p - lr * g)


@FixedSGD.wheat
class SGDByEntries(_SGD):
    def move(self, p, g, lr):
        p[...] = p - g * lr


@FixedSGD.wheat
class SGDOfZeroForNone(_SGD):
    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                p -= group["lr"] * (torch.zeros_like(p) if p.grad is None else p.grad)


@FixedSGD.wheat
class SGDThatCounts(_SGD):
    @torch.no_grad()
    def step(self):
        rates = [(p, group["lr"]) for group in self.param_groups for p in group["params"] if p.grad is not None]
        for p, lr in rates:
            self.state[p]["steps"] = self.state[p].get("steps", 0) + 1
            p.add_(p.grad, alpha=-lr)


@FixedSGD.wheat
class SGDThroughTheData(_SGD):
    def step(self):
        for group in self.param_groups:
            for p in filter(lambda p: p.grad is not None, group["params"]):
                p.data[...] -= group["lr"] * p.grad


@FixedSGD.chaff(
    "unchanged",
    "the constructor of `Optimizer` gets the learning rate itself where it takes a dict of defaults.",
    "From where does each parameter group take the options that it does not name itself?",
)
class SGDUnchanged(torch.optim.Optimizer):
    def __init__(self, params, lr):
        super().__init__(params, lr)
        self.lr = lr

    def step(self):
        for param in self.param_group:
            param.data = param.data - self.lr * param.grad


@FixedSGD.chaff(
    "param-group-misspelt",
    "there is no attribute `param_group`: it is `param_groups`, in the plural, a list of dicts.",
    "What does `print(vars(optimizer).keys())` list?",
    ("param_group",),
)
class SGDMisspelt(torch.optim.Optimizer):
    def __init__(self, params, lr):
        super().__init__(params, {"lr": lr})

    def step(self):
        for param in self.param_group:
            param.data = param.data - self.lr * param.grad


@FixedSGD.chaff(
    "group-taken-for-parameter",
    "the entries of `param_groups` are treated as parameters; each is a dict that has a list of them.",
    "What does `print(optimizer.param_groups)` show?",
)
class SGDOfGroups(_SGD):
    @torch.no_grad()
    def step(self):
        for param in self.param_groups:
            if param.grad is not None:
                param.sub_(self.defaults["lr"] * param.grad)


@FixedSGD.chaff(
    "data-rebound",
    "`p.data` is bound to a new tensor: whoever holds a view of the old one sees nothing of the step.",
    "Which operations change a tensor, and which make a new one and leave the old one as it is?",
)
class SGDRebound(_SGD):
    def move(self, p, g, lr):
        p.data = p.data - lr * g


@FixedSGD.chaff(
    "local-name-rebound",
    "`p = p - …` gives the name to a new tensor; the parameter itself stays where it was.",
    "Which operations change a tensor, and which make a new one and leave the old one as it is?",
)
class SGDOfALocalName(_SGD):
    def move(self, p, g, lr):
        p = p - lr * g


@FixedSGD.chaff(
    "lr-not-from-the-group",
    "the learning rate is the one of the constructor, for all groups and for ever.",
    "Where does a schedule write the new learning rate, and where do you read it?",
)
class SGDOfOneRate(_SGD):
    def __init__(self, params, lr):
        super().__init__(params, lr)
        self.lr = lr

    def move(self, p, g, lr):
        p.sub_(self.lr * g)


@FixedSGD.chaff(
    "lr-of-the-first-group",
    "all groups use the learning rate of the first one.",
    "In a loop over the groups, whose options do you read?",
)
class SGDOfTheFirstRate(_SGD):
    def move(self, p, g, lr):
        p.sub_(self.param_groups[0]["lr"] * g)


@FixedSGD.chaff(
    "lr-not-in-the-groups",
    "the parameter groups hold no learning rate under the name `lr`, where a schedule would look for it.",
    "What does `print(optimizer.param_groups[0].keys())` list? And that of `torch.optim.SGD`?",
)
class SGDOfAnotherName(torch.optim.Optimizer):
    def __init__(self, params, lr):
        super().__init__(params, {"learning_rate": lr})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p.sub_(group["learning_rate"] * p.grad)


@FixedSGD.chaff(
    "only-the-first-group",
    "only the first group of parameters moves.",
    "How many entries has `param_groups`?",
)
class SGDOfTheFirstGroup(_SGD):
    @torch.no_grad()
    def step(self):
        group = self.param_groups[0]
        for p in group["params"]:
            if p.grad is not None:
                p.sub_(group["lr"] * p.grad)


@FixedSGD.chaff(
    "only-the-first-parameter",
    "only the first parameter of each group moves.",
    "How many entries has `group['params']`?",
)
class SGDOfTheFirstParameter(_SGD):
    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            p = group["params"][0]
            if p.grad is not None:
                p.sub_(group["lr"] * p.grad)


@FixedSGD.chaff(
    "grad-of-none",
    "a parameter without a gradient makes the step fail.",
    "`.grad` of a layer that was not used is None. What should a step do with it?",
)
class SGDOfNone(_SGD):
    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                p.sub_(group["lr"] * p.grad)


@FixedSGD.chaff(
    "stops-at-none",
    "the first parameter without a gradient ends the step, and those after it stay where they are.",
    "Which word leaves one round of a loop, and which ones leave the loop, or the function?",
)
class SGDThatStops(_SGD):
    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    return
                p.sub_(group["lr"] * p.grad)


@FixedSGD.chaff(
    "update-recorded",
    "the update runs with the graph switched on: a leaf may not be changed in place there.",
    "Which context tells PyTorch that what follows is no part of the forward pass?",
)
class SGDRecorded(_SGD):
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p.sub_(group["lr"] * p.grad)


@FixedSGD.chaff(
    "super-init-missing",
    "the constructor of `Optimizer` is never called: there are no parameter groups and there is no state.",
    "What is the first line of a constructor in a class that is derived from another one?",
)
class SGDWithoutSuper(_SGD):
    def __init__(self, params, lr):
        self.params, self.lr = list(params), lr


@FixedSGD.chaff(
    "defaults-missing",
    "the constructor of `Optimizer` got the parameters only, and wants a dict of defaults as well.",
    "What do the groups get that name no learning rate of their own?",
)
class SGDWithoutDefaults(_SGD):
    def __init__(self, params, lr):
        torch.optim.Optimizer.__init__(self, params)
        self.lr = lr


@FixedSGD.chaff(
    "gradients-emptied",
    "the step empties the gradients; that is the business of `zero_grad`, which the training loop calls.",
    "May somebody want to look at `.grad` after the step?",
)
class SGDThatEmpties(_SGD):
    def step(self):
        super().step()
        self.zero_grad()


@FixedSGD.chaff(
    "gradient-changed",
    "the gradient itself is changed in place; whoever looks at `.grad` later sees something else.",
    "Which methods end in an underscore, and on which tensor do you call them?",
)
class SGDThatChangesGradients(_SGD):
    def move(self, p, g, lr):
        p.sub_(g.mul_(lr))


@FixedSGD.chaff(
    "uphill",
    "the step goes uphill.",
    "In which direction does the loss fall: along the gradient, or against it?",
)
class SGDUphill(_SGD):
    def move(self, p, g, lr):
        p.add_(lr * g)


@FixedSGD.chaff("lr-not-used", "the step is the gradient itself.", "How long is a step?")
class SGDWithoutRate(_SGD):
    def move(self, p, g, lr):
        p.sub_(g)


# fix_double_softmax


@fix_double_softmax.refer
def fix_double_softmax_reference(logits, y):
    return nn.functional.cross_entropy(logits, y), logits.softmax(1)


@fix_double_softmax.wheat
def probabilities_detached(logits, y):
    loss_fn = nn.CrossEntropyLoss()
    with torch.no_grad():
        probabilities = torch.softmax(logits, dim=-1)
    return loss_fn(logits, y), probabilities


@fix_double_softmax.wheat
def log_probabilities_first(logits, y):
    log_p = logits.log_softmax(dim=1)
    return nn.functional.nll_loss(log_p, y), log_p.exp()


@fix_double_softmax.wheat
def log_probabilities_for_logits(logits, y):
    log_p = nn.LogSoftmax(1)(logits)
    loss = nn.functional.cross_entropy(log_p, y)  # a log-softmax of a log-softmax changes nothing
    return loss, torch.exp(log_p).detach()


@fix_double_softmax.wheat
def softmax_written_out(logits, y):
    shifted = logits - logits.amax(1, keepdim=True)
    e = shifted.exp()
    loss = (e.sum(1).log() - shifted[torch.arange(len(y)), y]).mean()
    return [loss, e / e.sum(1, keepdim=True)]


@fix_double_softmax.wheat
def softmax_of_one_hot_labels(logits, y):
    targets = nn.functional.one_hot(y, logits.size(1)).to(logits)
    return nn.CrossEntropyLoss()(logits, targets), nn.Softmax(dim=1)(logits)


@fix_double_softmax.wheat
def softmax_row_by_row(logits, y):
    losses = [torch.logsumexp(row, 0) - row[label] for row, label in zip(logits, y, strict=True)]
    return sum(losses) / len(losses), torch.stack([row.softmax(0) for row in logits])


@fix_double_softmax.wheat
def probabilities_as_an_array(logits, y):
    return nn.functional.cross_entropy(logits, y), logits.detach().softmax(1).numpy()


@fix_double_softmax.chaff(
    "unchanged",
    "the loss got probabilities, and takes a softmax of them once more.",
    "What does `cross_entropy` expect: probabilities or logits? How small can this loss become at best?",
)
def double_softmax_unchanged(logits, y):
    probabilities = logits.softmax(1)
    loss = nn.functional.cross_entropy(probabilities, y)
    return loss, probabilities


@fix_double_softmax.chaff(
    "arguments-swapped",
    "the loss got the labels first, as a loss of Keras wants them.",
    "In which order does a loss of PyTorch want logits and labels?",
)
def double_softmax_of_labels_first(logits, y):
    return nn.functional.cross_entropy(y, logits), logits.softmax(1)


@fix_double_softmax.chaff(
    "target-with-two-axes",
    "what the loss takes for labels has two axes: it is the logits, if the labels stand first as in Keras, or rows of "
    "one-hot numbers.",
    "What shape has each of the two arguments of your loss, and which of them comes first?",
)
def double_softmax_of_floats_first(logits, y):
    return nn.functional.nll_loss(y, logits.log_softmax(1)), logits.softmax(1)


@fix_double_softmax.chaff(
    "logits-returned",
    "the softmax is gone altogether: what is returned as probabilities are the logits.",
    "Do your rows add up to 1?",
)
def softmax_removed(logits, y):
    return nn.functional.cross_entropy(logits, y), logits


@fix_double_softmax.chaff(
    "nll-of-probabilities",
    "`nll_loss` got probabilities; it only picks numbers, and takes no logarithm.",
    "What is the sign of your loss? What does `nll_loss` expect?",
)
def nll_of_probabilities(logits, y):
    probabilities = logits.softmax(1)
    return nn.functional.nll_loss(probabilities, y), probabilities


@fix_double_softmax.chaff(
    "nll-of-logits",
    "`nll_loss` got the logits; it only picks numbers, and takes neither a softmax nor a logarithm.",
    "What does `nll_loss` expect?",
)
def nll_of_logits(logits, y):
    return nn.functional.nll_loss(logits, y), logits.softmax(1)


@fix_double_softmax.chaff(
    "log-of-a-rounded-zero",
    "the loss takes the logarithm of the probabilities: one that was rounded to 0 has none.",
    "What is the probability of a label whose logit is 1000 below the largest? Which function starts from logits?",
)
def log_of_a_rounded_zero(logits, y):
    probabilities = logits.softmax(1)
    return nn.functional.nll_loss(probabilities.log(), y), probabilities


@fix_double_softmax.chaff(
    "bounded",
    "a small constant is added inside the logarithm: it keeps the loss from growing as it should.",
    "Is there a constant in your code that the derivation does not have? Which function starts from logits?",
)
def log_with_a_constant(logits, y):
    probabilities = logits.softmax(1)
    return -torch.log(probabilities[torch.arange(len(y)), y] + 1e-12).mean(), probabilities


@fix_double_softmax.chaff(
    "overflow",
    "the exponentials of the logits themselves are taken, and for large logits they are infinite.",
    "`torch.exp(torch.tensor(1000.0))` is inf. What does PyTorch's own softmax do about it?",
)
def softmax_that_overflows(logits, y):
    e = logits.exp()
    return nn.functional.cross_entropy(logits, y), e / e.sum(1, keepdim=True)


@fix_double_softmax.chaff(
    "softmax-over-the-batch",
    "the softmax runs over the examples, and not over the classes.",
    "Do your rows add up to 1, or your columns?",
)
def softmax_over_the_batch(logits, y):
    return nn.functional.cross_entropy(logits, y), logits.softmax(0)


@fix_double_softmax.chaff(
    "log-probabilities-returned",
    "what is returned as probabilities are their logarithms.",
    "Do your rows add up to 1?",
)
def log_probabilities_returned(logits, y):
    log_p = logits.log_softmax(1)
    return nn.functional.nll_loss(log_p, y), log_p


@fix_double_softmax.chaff(
    "probabilities-softened-twice",
    "the loss is right; the probabilities went through a softmax twice.",
    "How often does a softmax stand on the way to your probabilities?",
)
def probabilities_softened_twice(logits, y):
    return nn.functional.cross_entropy(logits, y), logits.softmax(1).softmax(1)


@fix_double_softmax.chaff(
    "softmax-as-logits",
    "the loss is still taken of a softmax, even if the probabilities are made anew.",
    "Follow the first argument of the loss back to the logits: what stands on the way?",
)
def probabilities_of_log_probabilities(logits, y):
    softened = logits.softmax(1)
    return nn.functional.cross_entropy(softened, y), softened.softmax(1)


@fix_double_softmax.chaff(
    "sigmoid-for-softmax",
    "the probabilities are sigmoids: each class is a yes-or-no question of its own.",
    "Do your rows add up to 1?",
)
def sigmoid_for_softmax(logits, y):
    return nn.functional.cross_entropy(logits, y), logits.sigmoid()


@fix_double_softmax.chaff(
    "divided-by-the-sum",
    "the logits are divided by their sum: that adds up to 1, and may be negative.",
    "What makes all entries positive before they are divided?",
)
def divided_by_the_sum(logits, y):
    return nn.functional.cross_entropy(logits, y), logits / logits.sum(1, keepdim=True)


@fix_double_softmax.chaff(
    "classes-for-probabilities",
    "the predicted classes are returned, and not the probabilities.",
    "How many numbers are asked for, for each example?",
)
def classes_for_probabilities(logits, y):
    return nn.functional.cross_entropy(logits, y), logits.argmax(1)


@fix_double_softmax.chaff(
    "largest-probability-only",
    "only the largest probability of each row is returned.",
    "How many numbers are asked for, for each example?",
)
def largest_probability_only(logits, y):
    return nn.functional.cross_entropy(logits, y), logits.softmax(1).max(1).values


@fix_double_softmax.chaff(
    "sum-for-mean", "the losses of the examples are added up, not averaged.", "What does `reduction` stand at?"
)
def double_softmax_summed(logits, y):
    return nn.functional.cross_entropy(logits, y, reduction="sum"), logits.softmax(1)


@fix_double_softmax.chaff(
    "no-tensor",
    "the loss is returned as a number: `item()` has left the graph behind.",
    "Which of the two, the tensor or the number in it, knows how it was made?",
)
def double_softmax_as_a_number(logits, y):
    return nn.functional.cross_entropy(logits, y).item(), logits.softmax(1)


@fix_double_softmax.chaff(
    "cut-by-no-grad",
    "the loss is computed under `no_grad`: nothing is recorded for `backward`.",
    "Which of the two results does `backward` start from?",
    ("no_grad", "inference_mode", "set_grad_enabled"),
)
def both_under_no_grad(logits, y):
    with torch.no_grad():
        return nn.functional.cross_entropy(logits, y), logits.softmax(1)


@fix_double_softmax.chaff(
    "graph-cut",
    "the graph of the loss is cut: by `detach`, or by a new tensor made of the old one's numbers.",
    "What does `print(loss.grad_fn)` say?",
)
def both_detached(logits, y):
    logits = logits.detach()
    return nn.functional.cross_entropy(logits, y), logits.softmax(1)


@fix_double_softmax.chaff(
    "outputs-swapped", "the probabilities are returned first, and the loss second.", "What is asked for first?"
)
def double_softmax_swapped(logits, y):
    return logits.softmax(1), nn.functional.cross_entropy(logits, y)


@fix_double_softmax.chaff("no-pair", "only the loss is returned.", "Which two things are asked for?")
def loss_alone(logits, y):
    return nn.functional.cross_entropy(logits, y)


# fix_optimizer_names


def _optimizers(base=torch.optim.Optimizer):
    """The classes by their names in small letters, in the order of PyTorch."""
    members = vars(torch.optim).items()
    return {
        name.lower(): member
        for name, member in members
        if inspect.isclass(member) and issubclass(member, base) and member is not base
    }


@fix_optimizer_names.refer
def fix_optimizer_names_reference(names):
    known = {}
    for name, member in vars(torch.optim).items():
        if isinstance(member, type) and issubclass(member, torch.optim.Optimizer) and name != "Optimizer":
            known[name.lower()] = member
    found = []
    for name in names:
        if name.lower() not in known:
            raise ValueError(f"{name!r} is the name of no optimizer in torch.optim")
        if known[name.lower()] not in found:
            found.append(known[name.lower()])
    return found


@fix_optimizer_names.wheat
def names_of_a_table(names):
    table = {
        "sgd": torch.optim.SGD,
        "asgd": torch.optim.ASGD,
        "adam": torch.optim.Adam,
        "adamw": torch.optim.AdamW,
        "adamax": torch.optim.Adamax,
        "nadam": torch.optim.NAdam,
        "radam": torch.optim.RAdam,
        "adagrad": torch.optim.Adagrad,
        "adadelta": torch.optim.Adadelta,
        "rmsprop": torch.optim.RMSprop,
        "rprop": torch.optim.Rprop,
        "lbfgs": torch.optim.LBFGS,
        "sparseadam": torch.optim.SparseAdam,
    }
    for name in names:
        if name.casefold() not in table:
            raise ValueError(f"no optimizer is called {name}; there are {', '.join(table)}")
    return list(dict.fromkeys(table[name.casefold()] for name in names))


@fix_optimizer_names.wheat
def names_looked_for(names):
    found = []
    for name in names:
        for member in vars(torch.optim).values():
            if inspect.isclass(member) and member.__name__.upper() == name.upper():
                if member is torch.optim.Optimizer:
                    continue
                if member not in found:
                    found.append(member)
                break
        else:
            raise ValueError("unknown optimizer: " + name)
    return found


@fix_optimizer_names.wheat
def names_with_try(names):
    known = _optimizers()
    classes = {}
    for name in names:
        try:
            classes[known[name.lower()]] = True
        except KeyError as error:
            raise ValueError(name) from error
    return [*classes]


@fix_optimizer_names.wheat
def names_of_dir(names):
    def meant(name):
        for other in dir(torch.optim):
            member = getattr(torch.optim, other)
            if not isinstance(member, type) or other == "Optimizer":
                continue
            if hasattr(member, "zero_grad") and other.lower() == name.lower():
                return member
        raise ValueError(f"torch.optim has no {name.lower()!r}")

    classes = [meant(name) for name in names]
    return [member for i, member in enumerate(classes) if member not in classes[:i]]


@fix_optimizer_names.wheat
def names_all_checked_first(names):
    known = _optimizers()
    unknown = [name for name in names if name.lower() not in known]
    if unknown:
        raise ValueError(f"these are no optimizers: {unknown}")
    lowered = dict.fromkeys(name.lower() for name in names)
    return [known[name] for name in lowered]


@fix_optimizer_names.wheat
def names_as_a_tuple(names):
    known, seen = _optimizers(), set()
    if missing := {name.lower() for name in names} - known.keys():
        raise ValueError(f"{missing.pop()}: no such optimizer")
    return tuple(known[name.lower()] for name in names if not (name.lower() in seen or seen.add(name.lower())))


@fix_optimizer_names.chaff(
    "unchanged",
    "`getattr` compares letter by letter, capitals too: another spelling is not found, or is a module; and what comes "
    "twice is listed twice.",
    "What is the class called in PyTorch that an article calls “AdaGrad”? How often may it stand in the list?",
)
def names_unchanged(names):
    return [getattr(torch.optim, name) for name in names]


@fix_optimizer_names.chaff(
    "lowered",
    "the names are changed to small letters, and those of PyTorch's classes are not.",
    "Which two spellings are compared? Do both go through the same change?",
)
def names_lowered(names):
    return [getattr(torch.optim, name.lower()) for name in names]


@fix_optimizer_names.chaff(
    "capitalised",
    "each name is written with one capital letter at its beginning; many classes have more.",
    "How does PyTorch spell SGD, RMSprop and AdamW? Is there a rule?",
)
def names_capitalised(names):
    return list(dict.fromkeys(getattr(torch.optim, name.capitalize()) for name in names))


def _all_of(names, known):
    for name in names:
        if name.lower() not in known:
            raise ValueError(f"{name!r} is no optimizer")
    return [known[name.lower()] for name in names]


@fix_optimizer_names.chaff(
    "listed-twice",
    "an optimizer that is mentioned twice is listed twice.",
    "How often should the class be listed that an article calls “Adagrad” here and “AdaGrad” there?",
)
def names_with_duplicates(names):
    return _all_of(names, _optimizers())


@fix_optimizer_names.chaff(
    "duplicates-by-spelling",
    "names that are spelt alike are dropped, and two spellings of one class are both kept.",
    "What has to be compared to find what was mentioned before: the names, or what they mean?",
)
def names_with_duplicates_by_spelling(names):
    return _all_of(dict.fromkeys(names), _optimizers())


@fix_optimizer_names.chaff(
    "order-lost",
    "the classes come in an order of their own, and not in that of the names.",
    "Which loop decides the order of your list: the one over the names, or the one over the classes?",
)
def names_in_the_order_of_pytorch(names):
    meant = _all_of(names, _optimizers())
    return [member for member in _optimizers().values() if member in meant]


@fix_optimizer_names.chaff(
    "last-mention",
    "a class that is mentioned twice stands where it is mentioned last.",
    "Which mention of a name decides its place?",
)
def names_by_their_last_mention(names):
    return list(dict.fromkeys(reversed(_all_of(names, _optimizers()))))[::-1]


@fix_optimizer_names.chaff(
    "unknown-skipped",
    "a name that is none of an optimizer is passed over without a word.",
    "How would anybody learn that an article speaks of an optimizer that does not exist?",
)
def names_that_skip(names):
    known = _optimizers()
    return list(dict.fromkeys(known[name.lower()] for name in names if name.lower() in known))


@fix_optimizer_names.chaff(
    "no-class",
    "for a name that is none of an optimizer there is None in the list.",
    "What does `dict.get` return for a key that is not there?",
)
def names_that_get(names):
    known = _optimizers()
    return list(dict.fromkeys(known.get(name.lower()) for name in names))


@fix_optimizer_names.chaff(
    "nearest-spelling",
    "a name that is none of an optimizer is replaced by the one that looks most like it.",
    "Is “adagradient” a spelling of a class in torch.optim, or an invention?",
)
def names_by_likeness(names):
    known = _optimizers()
    found = []
    for name in names:
        near = difflib.get_close_matches(name.lower(), known, 1)
        if not near:
            raise ValueError(f"{name!r} is no optimizer")
        found.append(known[near[0]])
    return list(dict.fromkeys(found))


@fix_optimizer_names.chaff(
    "part-of-a-name",
    "a class is taken if its name contains the one that is looked for: ASGD is taken for SGD.",
    "Which classes have “sgd” somewhere in their names?",
)
def names_by_a_part(names):
    known = _optimizers()
    found = []
    for name in names:
        fitting = [member for other, member in known.items() if name.lower() in other]
        if not fitting:
            raise ValueError(f"{name!r} is no optimizer")
        found.append(fitting[0])
    return list(dict.fromkeys(found))


@fix_optimizer_names.chaff(
    "beginning-of-a-name",
    "a class is taken if its name begins the one that is looked for: an invented longer name is accepted.",
    "Is “adagradient” a spelling of a class in torch.optim, or an invention?",
)
def names_by_their_beginning(names):
    known = _optimizers()
    found = []
    for name in names:
        fitting = [other for other in known if name.lower().startswith(other)]
        if not fitting:
            raise ValueError(f"{name!r} is no optimizer")
        found.append(known[max(fitting, key=len)])
    return list(dict.fromkeys(found))


@fix_optimizer_names.chaff(
    "base-class-taken",
    "`Optimizer` is taken for an optimizer; it is the class that all others are derived from.",
    "Is everything in torch.optim that is a class an optimizer that can train something?",
)
def names_with_the_base_class(names):
    known = {name.lower(): member for name, member in vars(torch.optim).items() if inspect.isclass(member)}
    return list(dict.fromkeys(_all_of(names, known)))


@fix_optimizer_names.chaff(
    "everything-taken",
    "everything that torch.optim contains is taken for an optimizer: the base class, and a module as well.",
    "What does `print(dir(torch.optim))` list besides optimizers?",
)
def names_with_everything(names):
    known = {name.lower(): getattr(torch.optim, name) for name in dir(torch.optim)}
    return list(dict.fromkeys(_all_of(names, known)))


@fix_optimizer_names.chaff(
    "key-error",
    "for an unknown name Python's own KeyError goes out, where a ValueError is asked for.",
    "Which kind of error tells the caller that the value of an argument is wrong?",
)
def names_with_a_key_error(names):
    known = _optimizers()
    return list(dict.fromkeys(known[name.lower()] for name in names))


@fix_optimizer_names.chaff(
    "known-refused",
    "the function knows some optimizers of PyTorch only, and refuses the others.",
    "Where could your function learn which classes torch.optim has, so that none is forgotten?",
)
def names_of_a_short_table(names):
    known = {name: member for name, member in _optimizers().items() if name in ("sgd", "adam", "adagrad", "rmsprop")}
    return list(dict.fromkeys(_all_of(names, known)))


@fix_optimizer_names.chaff(
    "index-error",
    "for an unknown name an IndexError goes out: the list of what fits is empty. A ValueError is asked for.",
    "What does `[][0]` do? Who should say that nothing fits?",
)
def names_with_an_index_error(names):
    known = _optimizers()
    found = [[member for other, member in known.items() if other == name.lower()][0] for name in names]  # noqa: RUF015
    return list(dict.fromkeys(found))


@fix_optimizer_names.chaff(
    "error-names-nothing",
    "the error says that some name is wrong, and not which one.",
    "If fifty names are handed over, how does one find the wrong one?",
)
def names_with_a_vague_error(names):
    known = _optimizers()
    if any(name.lower() not in known for name in names):
        raise ValueError("there is an unknown name in the list")
    return list(dict.fromkeys(known[name.lower()] for name in names))


@fix_optimizer_names.chaff(
    "error-names-another",
    "the error names another name than the one that is wrong.",
    "Which value has the variable in your message at the time of the error?",
)
def names_with_a_misleading_error(names):
    known = _optimizers()
    for name in names:  # noqa: B007
        pass
    if any(other.lower() not in known for other in names):
        raise ValueError(f"{name!r} is no optimizer")
    return list(dict.fromkeys(known[other.lower()] for other in names))


@fix_optimizer_names.chaff(
    "error-names-all",
    "the error lists all names, the right ones as well.",
    "Which of the names in your message is the wrong one?",
)
def names_with_an_error_about_all(names):
    known = _optimizers()
    if any(name.lower() not in known for name in names):
        raise ValueError(f"unknown optimizer in {names}")
    return list(dict.fromkeys(known[name.lower()] for name in names))


@fix_optimizer_names.chaff(
    "names-for-classes",
    "the list holds names, and not the classes themselves.",
    "What is the difference between `'SGD'` and `torch.optim.SGD`?",
)
def names_returned(names):
    return [member.__name__ for member in dict.fromkeys(_all_of(names, _optimizers()))]


@fix_optimizer_names.chaff(
    "no-list", "a set is returned, which keeps no order.", "Which containers of Python remember the order?"
)
def names_in_a_set(names):
    return set(_all_of(names, _optimizers()))
