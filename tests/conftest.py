import os
import re
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from nbval.plugin import IPyNbCell

from autograder.exercises import EXERCISES
from specimen import SPECIMEN

# What tests check is nobody's progress, in this process and in those that it starts.
_data_home = tempfile.TemporaryDirectory()
os.environ["XDG_DATA_HOME"] = _data_home.name

settings.register_profile("repeatable", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("repeatable")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """What a cell of a notebook shows is looked at, besides whether it runs."""
    result = yield
    if isinstance(item, IPyNbCell):
        found = [*faults(item.test_outputs), *wrong_score(item)]
        if found:
            item.raise_cell_error("\n".join(found))
    return result


PROGRESS_BAR = re.compile(r"\s*(.*\d+%\|.*\||.*\d+\w* \[\d\d:\d\d).*")


def faults(outputs):
    """What a chapter must not show."""
    for output in outputs:
        if output.output_type == "stream" and output.name == "stderr":
            lines = [line for line in output.text.splitlines() if line.strip()]
            yield from (f"on stderr: {line}" for line in lines if not PROGRESS_BAR.fullmatch(line))
        elif "image/png" in output.get("data", {}):
            yield "a figure that did not go through show(fig, alt)"


def wrong_score(item):
    """What is wrong with the score of a check: a solved chapter earns every point, an untouched one none."""
    nbgrader = item.cell.metadata.get("nbgrader", {})
    if not nbgrader.get("grade"):
        return
    solved = item.path.parent.name == "solved"
    expected = EXERCISES[nbgrader.grade_id].points if solved else 0
    scores = [output.data for output in item.test_outputs if output.output_type == "execute_result"]
    if [float(score["text/plain"]) for score in scores] != [expected]:
        yield f"{expected} points expected, and the check showed {[score['text/plain'] for score in scores]}"
    elif not solved and "not written yet" not in scores[0]["text/html"]:
        yield "the card of an untouched exercise does not say that it is not written yet"


@pytest.fixture
def specimen(tmp_path: Path) -> Path:
    path = tmp_path / "99-specimen.md"
    path.write_text(SPECIMEN)
    return path
