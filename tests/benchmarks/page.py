"""The book's page on speed, written from one run."""

import datetime
import os
import platform
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

from benchmarks.clock import Times
from benchmarks.contest import BARE, OURS
from benchmarks.engines import UNITS
from benchmarks.growth import Growth, Memory

PAGE = Path(__file__).parents[2] / "book" / "speed.md"


def write_page(**parts: object) -> None:
    template = Path(__file__).with_name("page.md").read_text(encoding="utf-8")
    PAGE.write_text(template.format(machine=machine(), **parts), encoding="utf-8")


def machine() -> str:
    libraries = ", ".join(f"{name} {version(package)}" for name, package in
                          (("NumPy", "numpy"), ("PyTorch", "torch"), ("TensorFlow", "tensorflow")))  # fmt: skip
    return (
        f"{datetime.date.today():%-d %B %Y}, {os.cpu_count()} cores of {_processor()}, "
        f"Python {platform.python_version()}, {libraries}"
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []:
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def contest_table(sizes: list[int], batch_size: int, times: dict[str, Times]) -> str:
    ours = times[OURS]
    rows = []
    for name, other in times.items():
        low, middle, high = other.against(ours)
        ratio = "" if name == OURS else f"{middle:.2f} ({low:.2f} to {high:.2f})"
        if name == BARE:
            low, middle, high = ours.against(other)
            ratio = f"ours takes {middle:.2f} times as long ({low:.2f} to {high:.2f})"
        rows.append([name, _time(other.typical), ratio])
    heading = f"{'-'.join(map(str, sizes))}, batch of {batch_size}"
    return _table([heading, "a step", "times as long as ours"], rows)


def growth_table(growths: list[Growth]) -> str:
    rows = []
    for g in growths:
        measured, expected = g.slopes
        rows.append([g.size, f"{g.values[0]} to {g.values[-1]:,}", f"{measured:.2f}", f"{expected:.2f}"])
    return _table(["size", "range", "slope of the time", "slope of the multiplications"], rows)


def memory_table(memories: list[Memory]) -> str:
    return _table(
        ["network", "peak of a step", "activations", "gradients", "peak / (activations + gradients)"],
        [
            [m.network, _mib(m.peak), _mib(m.activations), _mib(m.gradients),
             f"{m.peak / (m.activations + m.gradients):.2f}"]
            for m in memories
        ],
    )  # fmt: skip


def value_sentence(times: dict[str, Times]) -> str:
    low, middle, high = times["Value"].against(times["plain Python"])
    return (
        f"A neuron of {UNITS} inputs with its gradient takes `Value` {_time(times['Value'].typical)}, "
        f"{middle:.0f} times as long as the same sums written out in plain Python ({low:.0f} to {high:.0f})."
    )


def operations_table(overheads: dict[str, dict[str, Times]]) -> str:
    rows = []
    for name, times in overheads.items():
        extra = times["Tensor"].typical - times["NumPy"].typical
        rows.append([f"`{name}`", _time(times["NumPy"].typical), _time(times["Tensor"].typical), _time(extra)])
    return _table(["operation, 8 × 8", "NumPy", "Tensor", "difference"], rows)


def _time(seconds: float) -> str:
    return f"{1e3 * seconds:.2f} ms" if seconds >= 1e-3 else f"{1e6 * seconds:.3g} µs"


def _mib(size: int) -> str:
    return f"{size / 2**20:.1f} MiB"


def _table(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [headings, ["---" for _ in headings], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
