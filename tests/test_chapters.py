"""From source to learner's notebook: deterministic, nothing of a solution left, and committed as generated."""

import nbformat
import pytest
from click.testing import CliRunner
from nbgrader.utils import compute_checksum

from autograder.cli import main
from autograder.grading.chapters import STUB, learner_version, link_notebooks, read_source, write_chapters
from autograder.grading.sources import SourceError
from specimen import CONTRACTS, ROOT, SPECIMEN


@pytest.fixture
def source(specimen):
    return read_source(specimen, CONTRACTS)


def cell(nb, grade_id):
    return next(c for c in nb.cells if c.metadata.get("nbgrader", {}).get("grade_id") == grade_id)


def test_chapters_are_what_the_sources_generate(tmp_path):
    write_chapters(ROOT / "solutions", tmp_path)
    generated = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    committed = {path.name: path.read_bytes() for path in (ROOT / "chapters").glob("*.ipynb")}
    assert generated.keys() == committed.keys(), "run `make chapters`, and remove notebooks without a source"
    different = [name for name in generated if generated[name] != committed[name]]
    assert not different, "run `make chapters`; it overwrites answers written into these notebooks"


def test_writing_twice_gives_the_same_bytes(specimen, tmp_path):
    first = write_chapters(specimen.parent, tmp_path / "one", exercises=CONTRACTS)
    second = write_chapters(specimen.parent, tmp_path / "two", exercises=CONTRACTS)
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]
    nbformat.validate(nbformat.read(first[0], as_version=4))


def test_cell_ids_are_unique_and_stay_when_a_cell_is_added_above(specimen, source):
    ids = [c.id for c in source.cells]
    assert len(set(ids)) == len(ids)
    specimen.write_text(SPECIMEN.replace("# A specimen", "New.\n\n+++\n\nNew.\n\n+++\n\n# A specimen"))
    longer = [c.id for c in read_source(specimen, CONTRACTS).cells]
    assert longer[2:] == ids
    assert longer[1] == f"{longer[0]}-2"


def test_learner_gets_a_stub_inside_the_function(source):
    answer = cell(learner_version(source), "mse-answer")
    namespace = {}
    exec(answer.source, namespace)
    assert STUB.splitlines()[0] in answer.source
    assert '"""Mean over all elements."""' in answer.source
    assert "np.mean" not in answer.source
    with pytest.raises(NotImplementedError):
        namespace["mse"](1, 1)
    assert answer.metadata.get("editable", True)


def test_check_cell_is_locked_and_has_its_checksum(source):
    check = cell(learner_version(source), "mse")
    assert check.metadata.editable is False
    assert check.metadata.deletable is False
    assert check.metadata.nbgrader.checksum == compute_checksum(check)


def test_source_keeps_its_solution_after_a_learners_version_was_made(source):
    learner_version(source)
    assert "np.mean" in cell(source, "mse-answer").source


def test_marker_left_in_a_learners_version_is_refused(source):
    source.cells[0].source += "\nend solution"
    with pytest.raises(SourceError, match=r"cell 1 .*marker is left"):
        learner_version(source)


def test_links_between_chapters_point_to_notebooks(source):
    assert "(99-specimen.md)" in source.cells[0].source
    assert "(99-specimen.ipynb)" in link_notebooks(source).cells[0].source


def test_nothing_is_written_when_a_source_is_refused(specimen, tmp_path):
    specimen.with_name("98-bad.md").write_text(SPECIMEN.replace("As (99.1)", "As (98.1)"))
    result = CliRunner().invoke(main, ["chapters", "--sources", str(tmp_path), "--to", str(tmp_path / "out")])
    assert result.exit_code == 1
    assert "98-bad.md, cell 2 (As (98.1) says" in result.output
    assert not (tmp_path / "out").exists()


def test_notebook_that_has_been_run_is_not_overwritten(specimen, tmp_path):
    (path,) = write_chapters(specimen.parent, tmp_path, exercises=CONTRACTS)
    write_chapters(specimen.parent, tmp_path, exercises=CONTRACTS)
    nb = nbformat.read(path, as_version=4)
    nb.cells[-1].execution_count = 3
    nbformat.write(nb, path)
    with pytest.raises(FileExistsError, match="may hold someone's answers"):
        write_chapters(specimen.parent, tmp_path, exercises=CONTRACTS)


def test_no_sources_is_an_error(tmp_path):
    result = CliRunner().invoke(main, ["chapters", "--sources", str(tmp_path)])
    assert result.exit_code == 1
    assert "run this from the repository's root" in result.output
