"""The command line: ``autograder chapters``, …"""

from pathlib import Path

import click


@click.group()
def main() -> None:
    """Gradients by Hand: make the notebooks, the book and the marks."""


@main.command()
@click.option("--sources", type=Path, default="solutions", show_default=True, help="Folder of NN-name.md.")
@click.option("--to", "target", type=Path, default="chapters", show_default=True, help="Folder to write to.")
@click.option("--solved", is_flag=True, help="Keep the solutions: for tests, and for nbgrader's source folder.")
def chapters(sources: Path, target: Path, solved: bool) -> None:
    """Write the notebooks that learners open, from their sources."""
    from autograder.grading.chapters import write_chapters

    try:
        written = write_chapters(sources, target, solved)
    except (FileExistsError, FileNotFoundError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    for path in written:
        click.echo(path)


@main.command()
@click.option(
    "--solutions",
    type=click.Choice(["folded", "withheld"]),
    default="folded",
    show_default=True,
    help="Fold the solutions away below the exercises, or leave them out of the site.",
)
@click.option("--output", type=Path, default=".build/book", show_default=True, help="Folder of the finished site.")
def book(solutions: str, output: Path) -> None:
    """Build the website from book/ and the chapters."""
    from autograder.grading.book import BookError, build_book

    try:
        front = build_book(output, withhold=solutions == "withheld")
    except (BookError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"Built: open {front}, or serve its folder: python -m http.server --directory {output}")
