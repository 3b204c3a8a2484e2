"""One look for every figure: colours, style, :func:`show`, which adds the text alternative, and :func:`play`.

Importing this module sets the style. Colours keep a contrast of 3:1 on white and on dark
backgrounds and are distinguishable with the common colour deficiencies.
"""

import hashlib
import io
import json
import re
from collections.abc import Sequence
from html import escape
from importlib.resources import files

import matplotlib.pyplot as plt
from IPython.display import display
from matplotlib.artist import Artist
from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, PURPLE, AMBER, GREY = "#2b83ba", "#d55e00", "#009e73", "#b0609f", "#b8860b", "#808080"

_INK = "#010203"  # stands for the page's own text colour until the figure is shown
_STEPS = "during "  # begins the mark of an artist that is seen at some steps only

plt.rcParams.update(
    {
        "figure.figsize": (6.4, 3.6),
        "figure.facecolor": "none",
        "figure.constrained_layout.use": True,
        "axes.facecolor": "none",
        "axes.edgecolor": _INK,
        "axes.labelcolor": _INK,
        "axes.titlesize": 12,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.titlecolor": _INK,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.prop_cycle": plt.cycler(color=[BLUE, ORANGE, GREEN, PURPLE, AMBER, GREY]),
        "grid.color": GREY,
        "grid.alpha": 0.25,
        "text.color": _INK,
        "xtick.color": _INK,
        "ytick.color": _INK,
        "font.size": 11,
        "legend.frameon": False,
        "lines.linewidth": 2,
        "image.cmap": "gray_r",
        "svg.fonttype": "path",
    }
)


class _Drawing:
    """A finished figure: HTML for a page, its text alternative for everything else."""

    def __init__(self, html: str, alt: str):
        self.html, self.alt = html, alt

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict[str, str]:
        return {"text/html": self.html, "text/plain": self.alt}


def show(fig: Figure, alt: str) -> None:
    """Display a figure as SVG that takes its text colour from the page, then close it.

    Parameters
    ----------
    fig : a Matplotlib figure.
    alt : what the figure shows, in a sentence or two, for readers who can't see it.

    Raises
    ------
    ValueError
        if ``alt`` says too little to stand in for the figure.
    """
    display(_Drawing(_svg(fig, alt), alt))


def during(artist: Artist, first: int, last: int | None = None) -> Artist:
    """Have :func:`play` show an artist from step ``first`` to step ``last`` only (to the end, without ``last``)."""
    artist.set_gid(f"{_STEPS}{first} {'' if last is None else last} {id(artist)}")
    return artist


def play(fig: Figure, captions: Sequence[str], alt: str) -> None:
    """Display a figure as an animation to step through, forwards and backwards, then close it.

    What is drawn is always seen, except for artists marked with :func:`during`. It works offline; where no
    scripts run, the last step is seen.

    Parameters
    ----------
    fig : a Matplotlib figure, with everything that any step shows.
    captions : what happens, in a sentence for each step; steps count from 0. Plain text.
    alt : what the animation shows, for readers who can't see it. The captions are read out besides.

    Raises
    ------
    ValueError
        if there are fewer than two captions, an artist waits for a step that never comes, or ``alt`` says too little.
    """
    last = len(captions) - 1
    if last < 1:
        raise ValueError(f"captions: expected one for each step, at least two, got {len(captions)}")

    def marked(found: re.Match) -> str:
        start, end = int(found[1]), int(found[2] or last)
        if start > last:
            raise ValueError(f"an artist is to be seen from step {start} on, and the last step is {last}")
        hidden = ' style="display: none"' if end < last else ""
        return f'<g data-first="{start}" data-last="{end}"{hidden}'

    svg = re.sub(rf'<g id="{_STEPS}(\d+) (\d*) \d+"', marked, _svg(fig, alt))
    name = "stepper-" + hashlib.sha256((svg + "".join(captions)).encode()).hexdigest()[:12]
    template = files("backprop").joinpath("stepper.html").read_text(encoding="utf-8")
    parts = {"NAME": name, "SVG": svg, "LAST": str(last), "CAPTION": escape(captions[-1]),
             "CAPTIONS": json.dumps([*captions]).replace("</", "<\\/")}  # fmt: skip
    html = re.sub(r"\$([A-Z]+)\$", lambda found: parts[found[1]], template)
    told = "\n".join(f"{step}. {caption}" for step, caption in enumerate(captions))
    display(_Drawing(html, f"{alt}\n{told}"))


def _svg(fig: Figure, alt: str) -> str:
    """The figure as inline SVG with its text alternative; the figure is closed."""
    if len(alt.split()) < 6:
        raise ValueError(f"alt: expected a sentence that says what the figure shows, got {alt!r}")
    buffer = io.StringIO()
    with plt.rc_context({"svg.hashsalt": alt}):  # ids repeat from run to run and differ between figures
        fig.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    plt.close(fig)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :].replace(_INK, "currentColor")
    size = 'style="max-width: 100%; height: auto" '
    svg = re.sub("<metadata>.*?</metadata>", "", svg, count=1, flags=re.DOTALL)
    return svg.replace("<svg ", f'<svg role="img" aria-label="{escape(alt)}" {size}', 1)
