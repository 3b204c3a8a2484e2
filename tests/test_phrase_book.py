"""Every line of the phrase book runs, and the columns of a row agree: in what they give, and in what they change.

The code in *Questions and answers* runs, too.
"""

import ast
import re
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pytest

import backprop
from backprop import MLP, SGD, max_gap, to_keras, to_torch
from backprop.frameworks import quietly
from specimen import ROOT

with quietly():
    import tensorflow as tf
    import torch
    import torch.nn.functional as F
    from tensorflow import keras
    from torch import nn

PAGE = (ROOT / "book" / "phrase-book.md").read_text(encoding="utf-8")
COLUMNS = ("NumPy", "PyTorch", "TensorFlow")
TOLERANCE = 1e-6

Namespace = dict[str, Any]


# The page


class Row(NamedTuple):
    theme: str
    what: str
    cells: tuple[str, ...]  # a column each: lines of code, or "" for a dash


def rows(page: str) -> list[Row]:
    """The rows of all tables that have the three columns."""
    found = []
    for section in page.split("\n## ")[1:]:
        header = f"| | {' | '.join(COLUMNS)} |\n"
        theme, _, table = section.split("\n", 1)[0], *section.partition(header)[1:]
        for line in table.splitlines()[1:]:
            if line.startswith("|"):
                what, *cells = line[2:-2].split(" | ")
                assert len(cells) == len(COLUMNS), f"{what}: {len(cells)} cells"
                found.append(Row(theme, what, tuple(code(cell) for cell in cells)))
    return found


INDENT = "&emsp;"


def code(cell: str) -> str:
    """The lines of a cell. Besides spans of code, breaks and indents there is nothing in it; or it is a dash."""
    if cell == "–":
        return ""
    lines = [re.fullmatch(f"((?:{INDENT})*)`([^`]+)`", line) for line in cell.split("<br>")]
    assert all(lines), cell
    return "\n".join(line[1].replace(INDENT, "    ") + line[2] for line in lines)


# What the phrases assume


@cache
def numbers() -> Namespace:
    rng = np.random.default_rng(0)
    X, Y, Z, G = (rng.normal(size=shape) for shape in ((6, 4), (6, 3), (6, 3), (6, 3)))
    W, b, image, kernel = (rng.normal(size=shape) for shape in ((4, 3), (3,), (8, 8), (3, 3)))
    y = np.array([0, 2, 1, 1, 0, 2])
    T = backprop.softmax(rng.normal(size=(6, 3)))
    return {"X": X, "y": y, "Y": Y, "W": W, "b": b, "Z": Z, "T": T, "G": G, "image": image, "kernel": kernel}


def weights(seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(seed)
    return [(rng.normal(size=(d, m)), rng.normal(size=m)) for d, m in ((4, 8), (8, 3))]


def in_all(path: str) -> Namespace:
    data = numbers()
    network = numpy_network(1)
    _, pairs = network.loss_and_grads(data["X"], data["y"])
    grads = [g.copy() for pair in pairs for g in pair]
    return {"np": np, "max_gap": max_gap, "params": weights(3), "grads": grads, "path": path}


def numpy_network(seed: int) -> MLP:
    network = MLP([4, 8, 3])
    for (W, b), new in zip(network.params, weights(seed), strict=True):
        W[...], b[...] = new
    return network


def numpy_names(path: str) -> Namespace:
    library = {name: getattr(backprop, name) for name in backprop.__all__}
    arrays = {name: a.copy() for name, a in numbers().items()}
    model = numpy_network(1)
    own = {"model": model, "other": numpy_network(2), "optimizer": SGD(model.params, lr=0.1)}
    return library | in_all(path) | arrays | own | {"rng": np.random.default_rng(0), "loss_fn": backprop.cross_entropy}


def torch_network(seed: int) -> nn.Sequential:
    network = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)).double()
    network.load_state_dict(to_torch(weights(seed)))
    return network


def torch_names(path: str) -> Namespace:
    names = in_all(path) | {name: torch.tensor(a) for name, a in numbers().items()}
    names["W"].requires_grad_()
    names["b"].requires_grad_()
    model = torch_network(1)
    F.cross_entropy(model(names["X"]), names["y"]).backward()
    names |= {"grads": [p.grad for p in model.parameters()], "to_torch": to_torch}
    names |= {"torch": torch, "nn": nn, "F": F, "loss_fn": nn.CrossEntropyLoss(), "device": "cpu"}
    names |= {"DataLoader": torch.utils.data.DataLoader, "TensorDataset": torch.utils.data.TensorDataset}
    return names | {"model": model, "other": torch_network(2), "optimizer": torch.optim.SGD(model.parameters(), lr=0.1)}


def keras_network(seed: int) -> keras.Sequential:
    layers = [keras.layers.Dense(8, "relu", dtype="float64"), keras.layers.Dense(3, dtype="float64")]
    network = keras.Sequential([keras.Input((4,), dtype="float64"), *layers])
    network.set_weights(to_keras(weights(seed)))
    return network


def keras_names(path: str) -> Namespace:
    names = in_all(path) | {name: tf.constant(a) for name, a in numbers().items()}
    names |= {"W": tf.Variable(names["W"]), "b": tf.Variable(names["b"]), "to_keras": to_keras}
    names |= {"grads": [tf.constant(g) for g in names["grads"]], "tf": tf, "keras": keras, "device": "/CPU:0"}
    loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True, dtype="float64")
    own = {"model": keras_network(1), "other": keras_network(2), "optimizer": keras.optimizers.SGD(0.1)}
    return names | own | {"loss_fn": loss_fn}


PREPARED: dict[str, Callable[[str], Namespace]] = dict(
    zip(COLUMNS, (numpy_names, torch_names, keras_names), strict=True)
)


# What a cell gives and changes


def run(lines: str, names: Namespace) -> Any:
    """The value of the last statement, if it is an expression."""
    program = ast.parse(lines)
    last = program.body.pop() if isinstance(program.body[-1], ast.Expr) else None
    exec(compile(program, lines, "exec"), names)
    return last and eval(compile(ast.Expression(last.value), lines, "eval"), names)


OWN_FORM = object()


def plain(value: Any, names: Namespace) -> Any:
    """Arrays, numbers, texts and None, whatever they came as, with no list in a list; ``OWN_FORM`` for all else."""
    if isinstance(value, list | tuple | torch.Size | tf.TensorShape):
        parts = [plain(v, names) for v in value]
        return [p for part in parts for p in (part if isinstance(part, list) else [part])]
    if isinstance(value, dict) and all(isinstance(v, torch.Tensor) for v in value.values()):
        return [plain(v.T if v.ndim == 2 else v, names) for v in value.values()]  # weights
    if isinstance(value, backprop.Tensor):
        return value.data
    if isinstance(value, torch.dtype | tf.DType):
        return getattr(value, "name", str(value).removeprefix("torch."))
    if isinstance(value, torch.Tensor):
        return value.detach().numpy()
    if isinstance(value, tf.Tensor | tf.Variable | keras.Variable):
        return value.numpy()
    if isinstance(value, backprop.optimizers.Optimizer | torch.optim.Optimizer | keras.optimizers.Optimizer):
        return after_three_steps(value, names)
    known = value is None or isinstance(value, int | float | str | np.generic | np.ndarray)
    return value if known else OWN_FORM


def after_three_steps(optimizer: Any, names: Namespace) -> list[np.ndarray]:
    model, X, y = names["model"], names["X"], names["y"]
    for _ in range(3):
        if isinstance(model, MLP):
            optimizer.step(model.loss_and_grads(X, y)[1])
        elif isinstance(model, nn.Module):
            optimizer.zero_grad()
            F.cross_entropy(model(X), y).backward()
            optimizer.step()
        else:
            with tf.GradientTape() as tape:
                loss = names["loss_fn"](y, model(X))
            optimizer.apply_gradients(
                zip(tape.gradient(loss, model.trainable_variables), model.trainable_variables, strict=True)
            )
    return weights_of(model)


def weights_of(model: Any) -> list[np.ndarray]:
    """W and b of all layers, W as (D, M)."""
    if isinstance(model, MLP):
        return [p.copy() for pair in model.params for p in pair]
    if isinstance(model, nn.Module):
        return [p.detach().numpy().T.copy() for p in model.parameters()]
    return model.get_weights()


def state(names: Namespace) -> dict[str, Any]:
    """What a phrase may change."""
    optimizer, model, grads = names["optimizer"], names["model"], names["grads"]
    if isinstance(model, MLP):
        rate = optimizer.lr
    elif isinstance(model, nn.Module):
        rate = optimizer.param_groups[0]["lr"]
        grads = [None if p.grad is None else p.grad.numpy().T.copy() for p in model.parameters()]
    else:
        rate = float(optimizer.learning_rate)
    grads = [g for pair in grads for g in pair] if isinstance(grads[0], tuple) else grads
    arrays = {name: np.array(plain(names[name], names)) for name in ("X", "y", "Y", "W", "b", "Z", "T", "G")}
    networks = {name: weights_of(names[name]) for name in ("model", "other")}
    return arrays | networks | {"rate": rate, "grads": plain(list(grads), names)}


def gap(a: Any, b: Any) -> float:
    """The largest relative difference; infinite if there is none to speak of."""
    if isinstance(a, list) and isinstance(b, list):
        return max(map(gap, a, b), default=0.0) if len(a) == len(b) else np.inf
    if a is OWN_FORM or b is OWN_FORM:
        return np.inf
    if any(x is None or isinstance(x, str | list) for x in (a, b)):
        return 0.0 if type(a) is type(b) and a == b else np.inf
    a, b = np.asarray(a), np.asarray(b)
    return max_gap(a, b) if a.shape == b.shape else np.inf


class Outcome(NamedTuple):
    value: Any
    changed: dict[str, Any]

    def has_value(self) -> bool:
        return self.value is not None and self.value is not OWN_FORM


def outcome(lines: str, column: str, path: str) -> Outcome:
    names = PREPARED[column](path)
    before = state(names)
    value = run(lines, names)
    after = state(names)
    changed = {name: after[name] for name in before if gap(before[name], after[name]) > 1e-12}
    return Outcome(plain(value, names), changed)


def disagreements(row: Row, path: str) -> list[str]:
    """Run all cells of a row; tell where a column differs from the first one that is there."""
    outcomes = {column: outcome(cell, column, path) for column, cell in zip(COLUMNS, row.cells, strict=True) if cell}
    (first, expected), *others = outcomes.items()
    said = []
    for column, got in others:
        if "*(own form)*" in row.what:
            continue
        if "*(random)*" in row.what:
            if got.value.shape != expected.value.shape:
                said.append(f"{column}: shape {got.value.shape}, {first}: {expected.value.shape}")
        elif got.changed.keys() != expected.changed.keys():
            said.append(f"{column} changes {[*got.changed]}, {first} {[*expected.changed]}")
        elif got.changed and gap([*got.changed.values()], [*expected.changed.values()]) > TOLERANCE:
            said.append(f"{column} changes {[*got.changed]} otherwise than {first}")
        elif got.changed and not (got.has_value() and expected.has_value()):
            continue  # an effect that agrees
        elif gap(got.value, expected.value) > TOLERANCE:
            said.append(f"{column}: {got.value}, {first}: {expected.value}")
    return said


# The tests

ROWS = rows(PAGE)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras 3.15 under NumPy 2
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.what)
def test_columns_agree(row, tmp_path):
    assert sum(map(bool, row.cells)) >= 1
    assert disagreements(row, str(tmp_path / "saved")) == []


CHANGES = {  # what: (column, old, new)
    "sum over the batch": (1, "dim=0", "dim=1"),
    "spread, N below the line": (1, ", correction=0", ""),
    "from a list": (2, "2.0", "2.1"),
    "slope of a number": (2, "W * W", "W"),
    "no way from there to here": (1, "W.sum(), b", "b.sum(), b"),
    "change a parameter in place": (2, "W.assign(0.9 * W)", "0.9 * W"),
    "momentum": (2, "momentum=0.9", "momentum=0.8"),
    "one step": (1, "optimizer.zero_grad()", "pass"),
    "change the learning rate": (0, "0.01", "0.02"),
    "weights to a file, and from it": (1, "other.load_state_dict", "model.load_state_dict"),
    "a layer with weights of its own *(random)*": (2, "Dense(3)", "Dense(4)"),
    "mixed precision: products in 16 bits": (2, "bfloat16", "float16"),
    "round, and let the slope through": (1, ".detach()", ""),
}


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("what", CHANGES)
def test_a_changed_cell_is_found(what, tmp_path):
    column, old, new = CHANGES[what]
    (row,) = (row for row in ROWS if row.what == what)
    assert old in row.cells[column]
    cells = [cell.replace(old, new) if k == column else cell for k, cell in enumerate(row.cells)]
    assert disagreements(row._replace(cells=tuple(cells)), str(tmp_path / "saved"))


def test_a_line_that_does_not_run_is_found(tmp_path):
    with pytest.raises(AttributeError):
        disagreements(Row("", "", ("X.T", "X.transposed()", "")), str(tmp_path))


@pytest.mark.parametrize("cell", ["X.T", "`X.T` or so", "`X.T`, `X`", ""])
def test_a_cell_is_code_or_a_dash(cell):
    with pytest.raises(AssertionError):
        code(cell)


def test_most_rows_compare():
    compared = [row for row in ROWS if sum(map(bool, row.cells)) > 1 and "*(own form)*" not in row.what]
    assert len(compared) >= 60
    assert len({row.theme for row in ROWS}) == 11
    assert len({row.what for row in ROWS}) == len(ROWS)


def test_the_page_names_what_the_phrases_assume(tmp_path):
    table = PAGE.split("| name | shape | is |")[1].split("\n\n")[0]
    lines = re.findall(r"^\| (`.*?) \| (.*?) \|", table, re.MULTILINE)
    told = {name for names, _ in lines for name in re.findall(r"`(\w+)`", names)}
    library = {*backprop.__all__, "np", "torch", "nn", "F", "tf", "keras", "DataLoader", "TensorDataset"}
    for column, prepare in PREPARED.items():
        names = prepare(str(tmp_path))
        assert told - {"device", "rng"} <= names.keys() - library <= told, column
    for names, shapes in lines:
        for name, shape in zip(re.findall(r"`(\w+)`", names), re.findall(r"`\(([\d, ]+)\)`", shapes) * 2, strict=False):
            if name in numbers():
                assert str(numbers()[name].shape) in shapes, (name, shape)


def blocks(page: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)


def test_the_imports_are_those_that_the_page_shows():
    names: Namespace = {}
    with quietly():
        exec(blocks(PAGE)[0], names)
    assert names["F"] is F
    assert names["MLP"] is MLP
    assert names["keras"].layers.Dense is keras.layers.Dense


# Parts of your own, in Questions and answers

QUESTIONS = (ROOT / "book" / "questions.md").read_text(encoding="utf-8").split("\n## Parts of your own\n")[1]


@cache
def part(name: str) -> tuple[Any, Any]:
    """What a question's two blocks define, in PyTorch and in Keras."""
    imports, *answers = blocks(QUESTIONS)
    defined = []
    for answer in answers:
        if f" {name}" in answer:
            names: Namespace = {}
            exec(imports + answer, names)
            defined.append(names[name])
    in_torch, in_keras = defined
    return in_torch, in_keras


def test_a_layer_of_your_own():
    in_torch, in_keras = part("Gain")
    X = numbers()["X"]
    layer, twin = in_torch(4), in_keras(dtype="float64")
    twin(X)
    twin.set_weights([np.arange(4.0)])
    layer.load_state_dict({"gain": torch.arange(4.0)})
    assert max_gap([layer(torch.tensor(X)), twin(X)], [X * np.arange(4), X * np.arange(4)]) == 0
    layer(torch.tensor(X)).sum().backward()
    assert max_gap(layer.gain.grad, X.sum(axis=0)) < TOLERANCE


def test_a_loss_of_your_own():
    in_torch, in_keras = part("LogCosh")
    E = np.array([[-800.0, -1.0], [0.5, 3.0]])
    expected = np.mean(np.logaddexp(E, -E) - np.log(2))
    leaf = torch.tensor(E, requires_grad=True)
    loss = in_torch()(leaf, torch.zeros(2, 2))
    loss.backward()
    assert max_gap([loss, in_keras(dtype="float64")(0 * E, E)], [expected] * 2) < 1e-12
    assert max_gap(leaf.grad, np.tanh(E) / 4) < 1e-12


def test_an_activation_of_your_own():
    Z = numbers()["Z"]
    names: Namespace = {}
    exec(blocks(QUESTIONS)[0] + "".join(b for b in blocks(QUESTIONS) if "relu" in b.lower()), names)
    in_torch = names["SquaredReLU"]()
    assert max_gap(in_torch(torch.tensor(Z)), np.maximum(Z, 0) ** 2) == 0
    assert max_gap(names["squared_relu"](Z), np.maximum(Z, 0) ** 2) < TOLERANCE
    assert names["layer"](Z).shape == (6, 16)


def test_a_convolution_of_your_own():
    in_torch, in_keras = part("Blur")
    image = numbers()["image"].astype(np.float32)
    there = in_torch()(torch.tensor(image)[None, None])[0, 0]
    here = in_keras()(image[None, :, :, None])[0, :, :, 0]
    assert max_gap(there, here) < TOLERANCE
    assert np.isclose(there[3, 4].item(), image[2:5, 3:6].mean(), rtol=1e-5)


def test_an_optimizer_of_your_own():
    in_torch, in_keras = part("FixedLength")
    names = torch_names("")
    optimizer = in_torch(names["model"].parameters(), lr=0.1)
    before = weights_of(names["model"])
    optimizer.step()
    steps = [np.linalg.norm(p - q) for p, q in zip(before, weights_of(names["model"]), strict=True)]
    assert np.allclose(steps, 0.1)
    there = keras_names("")
    in_keras(learning_rate=0.1).apply_gradients(zip(there["grads"], there["model"].trainable_variables, strict=True))
    assert max_gap(weights_of(names["model"]), weights_of(there["model"])) < TOLERANCE


def test_a_dataset_of_your_own(tmp_path):
    in_torch, in_keras = part("FromFile")
    files = str(tmp_path / "X.npy"), str(tmp_path / "y.npy")
    for file, name in zip(files, "Xy", strict=True):
        np.save(file, numbers()[name])
    loader = torch.utils.data.DataLoader(in_torch(*files), batch_size=4)
    batches = in_keras(*files, size=4)
    assert [len(y) for _, y in loader] == [len(batches[i][1]) for i in range(len(batches))] == [4, 2]
    assert max_gap([*loader][1], [*batches[1]]) == 0
