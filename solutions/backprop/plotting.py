"""One look for every figure: colours, style, and :func:`show`, which adds the text alternative.

Importing this module sets the style. Colours keep a contrast of 3:1 on white and on dark
backgrounds and are distinguishable with the common colour deficiencies.
"""

import io
import re
from html import escape

import matplotlib.pyplot as plt
from IPython.display import display
from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, PURPLE, AMBER, GREY = "#2b83ba", "#d55e00", "#009e73", "#b0609f", "#b8860b", "#808080"

_INK = "#010203"  # stands for the page's own text colour until the figure is shown

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
    """A finished figure: SVG for a page, its text alternative for everything else."""

    def __init__(self, svg: str, alt: str):
        self.svg, self.alt = svg, alt

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict[str, str]:
        return {"text/html": self.svg, "text/plain": self.alt}


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
    svg = svg.replace("<svg ", f'<svg role="img" aria-label="{escape(alt)}" {size}', 1)
    display(_Drawing(svg, alt))
