"""Digits from scikit-learn, and MNIST from small files in its own formats, made here."""

import gzip
import struct

import numpy as np
import pytest

from backprop.datasets import load_digits, load_mnist

rng = np.random.default_rng(0)
ARRAYS = {
    "x_train": rng.integers(0, 256, (5, 28, 28), dtype=np.uint8),
    "y_train": rng.integers(0, 10, 5, dtype=np.uint8),
    "x_test": rng.integers(0, 256, (3, 28, 28), dtype=np.uint8),
    "y_test": rng.integers(0, 10, 3, dtype=np.uint8),
}
IDX_NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def idx(array):
    """The bytes of an IDX file, as described at LeCun's page: type 8 is an unsigned byte."""
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


@pytest.fixture(params=["idx", "idx.gz", "npz"])
def mnist(request, tmp_path):
    if request.param == "npz":
        np.savez(tmp_path / "mnist.npz", **ARRAYS)
        return tmp_path / "mnist.npz"
    for name, array in zip(IDX_NAMES, ARRAYS.values(), strict=True):
        if request.param == "idx":
            (tmp_path / name).write_bytes(idx(array))
        else:
            (tmp_path / f"{name}.gz").write_bytes(gzip.compress(idx(array)))
    return tmp_path


def test_mnist_is_read_from_files(mnist):
    X_train, y_train, X_test, y_test = load_mnist(mnist)
    assert X_train.shape == (5, 784)
    assert X_test.shape == (3, 784)
    assert y_train.dtype == y_test.dtype == np.int64
    np.testing.assert_allclose(X_train * 255, ARRAYS["x_train"].reshape(5, 784))
    np.testing.assert_allclose(X_test * 255, ARRAYS["x_test"].reshape(3, 784))
    np.testing.assert_array_equal(y_train, ARRAYS["y_train"])
    np.testing.assert_array_equal(y_test, ARRAYS["y_test"])


@pytest.mark.parametrize("damage", ["empty", "short", "long", "not bytes", "text"])
def test_damaged_idx_file_is_named(tmp_path, damage):
    good = {name: idx(array) for name, array in zip(IDX_NAMES, ARRAYS.values(), strict=True)}
    whole = good["t10k-images-idx3-ubyte"]
    good["t10k-images-idx3-ubyte"] = {
        "empty": b"",
        "short": whole[:-1],
        "long": whole + b"\0",
        "not bytes": whole.replace(b"\0\0\x08", b"\0\0\x0d", 1),
        "text": b"<html>404 Not Found</html>",
    }[damage]
    for name, content in good.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=r"t10k-images-idx3-ubyte: expected an IDX file .* damaged"):
        load_mnist(tmp_path)


def test_missing_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"expected train-images-idx3-ubyte or train-images-idx3-ubyte.gz"):
        load_mnist(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"folder of IDX files or an .npz file at .*nowhere"):
        load_mnist(tmp_path / "nowhere")
    np.savez(tmp_path / "half.npz", x_train=ARRAYS["x_train"])
    with pytest.raises(ValueError, match=r"missing y_train, x_test, y_test"):
        load_mnist(tmp_path / "half.npz")


def test_npz_with_pickled_objects_is_refused(tmp_path):
    np.savez(tmp_path / "bad.npz", **ARRAYS | {"x_train": np.array([print], dtype=object)})
    with pytest.raises(ValueError, match="allow_pickle=False"):
        load_mnist(tmp_path / "bad.npz")


def test_mnist_comes_from_keras_where_there_is_a_network(monkeypatch):
    a = ARRAYS
    load_data = lambda: ((a["x_train"], a["y_train"]), (a["x_test"], a["y_test"]))  # noqa: E731
    monkeypatch.setattr("keras.datasets.mnist.load_data", load_data)
    X_train, _, X_test, y_test = load_mnist()
    assert X_train.shape == (5, 784)
    assert X_test.max() <= 1
    np.testing.assert_array_equal(y_test, a["y_test"])


def test_without_network_the_digits_come_with_a_message(monkeypatch):
    def load_data():
        raise Exception("URL fetch failure on https://…/mnist.npz: no route to host")

    monkeypatch.setattr("keras.datasets.mnist.load_data", load_data)
    with pytest.warns(UserWarning, match=r"no route to host.*8×8 digits of scikit-learn.*64 inputs.*load_mnist\("):
        split = load_mnist()
    for array, expected in zip(split, load_digits(), strict=True):
        np.testing.assert_array_equal(array, expected)


def test_digits_are_split_alike_every_time_and_hold_every_digit():
    X_train, y_train, X_test, y_test = load_digits()
    assert X_train.shape == (1437, 64)
    assert X_test.shape == (360, 64)
    assert X_train.min() == 0
    assert X_train.max() == 1
    assert np.bincount(y_test).min() >= 34
    np.testing.assert_array_equal(load_digits()[3], y_test)
    seen = {x.tobytes() for x in X_train}
    assert not any(x.tobytes() in seen for x in X_test)
    assert len(y_train) == 1437
