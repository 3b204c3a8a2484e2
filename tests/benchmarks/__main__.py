"""Times beside PyTorch's, TensorFlow's and the bare matrix products': ratios, side by side in one run."""

import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import contest, engines, growth, page
from benchmarks.clock import side_by_side


def main() -> None:
    parser = argparse.ArgumentParser(prog="python tests/benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=40, help="turns that every contestant gets")
    parser.add_argument("--write", action="store_true", help="write book/speed.md")
    options = parser.parse_args()
    if options.rounds < 4:
        parser.error("--rounds: quartiles need four rounds or more")

    tables = []
    for sizes, batch_size in contest.NETWORKS:
        times = side_by_side(contest.contestants(sizes, batch_size), options.rounds)
        tables.append(page.contest_table(sizes, batch_size, times))
        print(tables[-1], end="\n\n", flush=True)
    neuron = side_by_side(engines.neuron_contestants(), options.rounds)
    overheads = {name: side_by_side(pair, options.rounds) for name, pair in engines.operations().items()}
    parts = {
        "growth": page.growth_table(list(growth.growths())),
        "memory": page.memory_table(list(growth.memories())),
        "value": page.value_sentence(neuron),
        "operations": page.operations_table(overheads),
    }
    for text in parts.values():
        print(text, end="\n\n", flush=True)
    if options.write:
        page.write_page(contests="\n\n".join(tables), rounds=options.rounds, **parts)


if __name__ == "__main__":
    main()
