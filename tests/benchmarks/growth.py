"""How cost grows: time with batch, width and depth beside the arithmetic, and memory beside what must be kept."""

import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from backprop import MLP

FEWEST, SECONDS = 5, 0.5


@dataclass(frozen=True)
class Growth:
    """Time of a step over a size: the slopes, on logarithmic axes, of the time and of the number of multiplications."""

    size: str
    values: list[int]
    seconds: list[float]
    products: list[int]

    @property
    def slopes(self) -> tuple[float, float]:
        at = np.log(self.values)
        return tuple(float(np.polyfit(at, np.log(of), 1)[0]) for of in (self.seconds, self.products))


def growths() -> Iterator[Growth]:
    """Of three sizes, each over a range in which the matrix products are most of the work."""
    for size, values, network in (
        ("batch", [256, 512, 1024, 2048, 4096], lambda n: ([256, 512, 512, 10], n)),
        ("width", [256, 512, 1024, 2048], lambda n: ([n, n, n, n], 256)),
        ("depth", [2, 4, 8, 16, 32], lambda n: ([512] * (n + 1), 256)),
    ):
        rows = [network(n) for n in values]
        yield Growth(size, values, [seconds(*row) for row in rows], [products(*row) for row in rows])


def products(sizes: list[int], batch_size: int) -> int:
    """Multiplications in the matrix products of a step: one forward, two backward, but for the first layer's input."""
    layers = [d * m * batch_size for d, m in pairwise(sizes)]
    return 3 * sum(layers) - layers[0]


def seconds(sizes: list[int], batch_size: int) -> float:
    """The fastest of several steps."""
    step, times = training_step(sizes, batch_size), []
    step()
    while len(times) < FEWEST or sum(times) < SECONDS:
        begin = time.perf_counter()
        step()
        times.append(time.perf_counter() - begin)
    return min(times)


def training_step(sizes: list[int], batch_size: int):
    rng = np.random.default_rng(0)
    X = rng.random((batch_size, sizes[0]), dtype=np.float32)
    y = rng.integers(0, sizes[-1], batch_size)
    model = MLP(sizes, dtype=np.float32)
    return lambda: model.sgd_step(X, y, 0.01)


@dataclass(frozen=True)
class Memory:
    """Bytes: at the peak of a step, beyond the parameters and the batch; and those of what has to be kept at once."""

    network: str
    peak: int
    activations: int
    gradients: int


def memories() -> Iterator[Memory]:
    for sizes, batch_size in (([784, 1024, 1024, 10], 256), ([64] + [256] * 20 + [10], 1024)):
        step = training_step(sizes, batch_size)
        step()
        tracemalloc.start()
        step()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        activations = 4 * batch_size * sum(sizes[1:])
        gradients = 4 * sum(d * m + m for d, m in pairwise(sizes))
        name = "-".join(map(str, sizes)) if len(sizes) < 6 else f"{len(sizes) - 1} layers of {sizes[1]}"
        yield Memory(f"{name}, batch of {batch_size}", peak, activations, gradients)
