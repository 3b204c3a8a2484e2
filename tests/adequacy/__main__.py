"""The gate of all exercises: what their checks accept, reject and name. Exits with 1 if it does not hold."""

import argparse
import sys
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1]))

from adequacy import comparison, gate, page
from autograder.exercises import EXERCISES

MOST_FAULTS = 100  # are printed


def main() -> int:
    parser = argparse.ArgumentParser(prog="python tests/adequacy", description=__doc__)
    parser.add_argument("--seeds", type=int, default=3, help="draws on which every answer is judged")
    parser.add_argument("--mutant-seeds", type=int, default=1, help="draws on which every mutant is judged")
    parser.add_argument("--exercise", action="append", choices=EXERCISES, help="this one only; may be repeated")
    parser.add_argument("--write", action="store_true", help="write book/adequacy.md")
    options = parser.parse_args()
    if options.write and options.exercise:
        parser.error("--write needs all exercises")
    names = options.exercise or list(EXERCISES)

    outcomes = gate.run(gate.judge, gate.tasks(names, options.seeds, options.mutant_seeds), "checks")
    rows = gate.rows(names, outcomes, options.seeds)
    verdicts = [v for name in names if comparison.is_gradient(EXERCISES[name]) for v in comparison.compare(name)]
    _print_rows(rows)
    _print_comparison(verdicts)
    for late in gate.slow(outcomes):
        print(f"slow, {late}")
    faults = gate.faults(outcomes, names)
    for fault in faults[:MOST_FAULTS]:
        print(f"✗ {fault}")
    print(f"The gate is shut: {len(faults)} faults." if faults else "The gate holds.")
    if options.write:
        page.write_page(rows, outcomes, verdicts, comparison.incomplete_answers())
    return 1 if faults else 0


def _print_rows(rows: list[gate.Row]) -> None:
    total = gate.total_of(rows)
    width = max(len(row.name) for row in rows)
    headings = ("wheats", "chaffs", "named", "unlisted", "mutants", "equiv.", "flakes", "ms", "worst")
    print(f"{'exercise':<{width}}" + "".join(f"{heading:>11}" for heading in headings))
    for row in [*rows, total] if len(rows) > 1 else rows:
        cells = (
            f"{row.accepted}/{row.wheats}",
            f"{row.rejected}/{row.chaffs}",
            f"{row.named}/{row.chaffs}",
            f"{row.left_out_named}/{row.chaffs}",
            f"{row.mutants_rejected}/{row.mutants}",
            row.equivalents,
            row.flakes,
            f"{1000 * median(row.seconds):.0f}",
            f"{1000 * max(row.seconds):.0f}",
        )
        print(f"{row.name:<{width}}" + "".join(f"{cell:>11}" for cell in cells))


def _print_comparison(verdicts: list[comparison.Verdicts]) -> None:
    print(f"\n{'small check':<60}{'exercises':>11}{'accepts':>11}{'refuses':>11}")
    for i, check in enumerate(comparison.SMALL_CHECKS):
        own = [v for v in verdicts if v.check == i]
        exercises = [EXERCISES[v.exercise] for v in own]
        accepts = f"{sum(len(v.chaffs_accepted) for v in own)}/{sum(len(e.chaffs) for e in exercises)}"
        refuses = f"{sum(len(v.wheats_refused) for v in own)}/{sum(len(e.wheats) for e in exercises)}"
        print(f"{check.title:<60}{len(own):>11}{accepts:>11}{refuses:>11}")
    print()


if __name__ == "__main__":
    sys.exit(main())
