"""Handwritten digits to learn from: a small set that needs no network, and MNIST."""

import gzip
import struct
import warnings
from pathlib import Path

import numpy as np

Split = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def load_digits() -> Split:
    """The 1,797 digits of 8×8 pixels that come with scikit-learn: no download.

    Returns
    -------
    ``X_train, y_train, X_test, y_test``: inputs ``(N, 64)`` in ``[0, 1]`` and labels ``(N,)``, 0 to 9.
    One fifth, in the same proportion of every digit, is for testing; the split is always the same.

    Source: Alpaydin and Kaynak 1998, "Optical Recognition of Handwritten Digits", UCI repository.
    """
    from sklearn.datasets import load_digits as load
    from sklearn.model_selection import train_test_split

    X, y = load(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X / 16, y, test_size=0.2, stratify=y, random_state=0)
    return X_train, y_train, X_test, y_test


def load_mnist(path: str | Path | None = None) -> Split:
    """MNIST, 70,000 digits of 28×28 pixels; without it the digits of :func:`load_digits`, and a warning.

    Parameters
    ----------
    path : a folder with the four IDX files (``train-images-idx3-ubyte`` …, plain or ``.gz``), or an
        ``.npz`` file with ``x_train``, ``y_train``, ``x_test``, ``y_test``. Left out, Keras downloads
        the ``.npz`` once (11 MB) and keeps it.

    Returns
    -------
    ``X_train, y_train, X_test, y_test``: inputs ``(N, 784)`` in ``[0, 1]`` and labels ``(N,)``, 0 to 9.
    Without a network: inputs ``(N, 64)``.

    Raises
    ------
    FileNotFoundError, ValueError
        if ``path`` is given and the files are not there or not MNIST's.

    Source: LeCun, Cortes and Burges 1998.
    """
    if path is not None:
        path = Path(path)
        X_train, y_train, X_test, y_test = _read_idx_folder(path) if path.is_dir() else _read_npz(path)
    else:
        from keras.datasets import mnist

        try:
            (X_train, y_train), (X_test, y_test) = mnist.load_data()
        except Exception as error:  # Keras raises a bare Exception when a download fails
            warnings.warn(
                f"MNIST could not be downloaded ({error}). You get the 8×8 digits of scikit-learn instead: "
                "1,797 images of 64 pixels, so the first layer has 64 inputs, not 784. "
                "With the files at hand, call load_mnist(path).",
                stacklevel=2,
            )
            return load_digits()
    return _flat(X_train), y_train.astype(np.int64), _flat(X_test), y_test.astype(np.int64)


def _flat(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1) / 255


def _read_npz(path: Path) -> Split:
    if not path.exists():
        raise FileNotFoundError(f"load_mnist(path): expected a folder of IDX files or an .npz file at {path}")
    with np.load(path, allow_pickle=False) as file:
        names = ("x_train", "y_train", "x_test", "y_test")
        missing = [name for name in names if name not in file]
        if missing:
            raise ValueError(f"{path}: expected arrays {', '.join(names)}; missing {', '.join(missing)}")
        return tuple(file[name] for name in names)


def _read_idx_folder(folder: Path) -> Split:
    return (
        _read_idx(folder, "train-images-idx3-ubyte"),
        _read_idx(folder, "train-labels-idx1-ubyte"),
        _read_idx(folder, "t10k-images-idx3-ubyte"),
        _read_idx(folder, "t10k-labels-idx1-ubyte"),
    )


def _read_idx(folder: Path, name: str) -> np.ndarray:
    """Read one IDX file: two zero bytes, a type code (8: unsigned bytes), the rank, the sizes, the data."""
    plain, packed = folder / name, folder / f"{name}.gz"
    if plain.exists():
        content = plain.read_bytes()
    elif packed.exists():
        content = gzip.decompress(packed.read_bytes())
    else:
        raise FileNotFoundError(f"{folder}: expected {name} or {name}.gz")
    zeros, code, rank = struct.unpack_from(">HBB", content) if len(content) >= 4 else (1, 0, 0)
    sizes = struct.unpack_from(f">{rank}I", content, 4) if len(content) >= 4 + 4 * rank else ()
    data = np.frombuffer(content, np.uint8, offset=min(4 + 4 * rank, len(content)))
    if zeros != 0 or code != 8 or data.size != np.prod(sizes, dtype=int):
        raise ValueError(f"{folder / name}: expected an IDX file of unsigned bytes; it is damaged or something else")
    return data.reshape(sizes)
