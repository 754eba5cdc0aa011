"""How figures are drawn: one look, vector graphics that follow the page's light or dark colours."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from neurossm.errors import InputError

INK, FAINT = "#1b1f24", "#c9ced6"
"""Text and lines, grid: written so that they can be found and replaced by the page's colours."""
# Okabe and Ito's colours, which people with colour-blindness can tell apart.
BLUE, ORANGE, GREEN, RED, PURPLE, SKY = (
    "#0072b2",
    "#e69f00",
    "#009e73",
    "#d55e00",
    "#cc79a7",
    "#56b4e9",
)
BRIGHT = "#2b8cd6"
"""A blue for small marks, which shows on white and on black."""
_NARROWEST = 0.72
"""Share of its width below which a figure is no longer shrunk but scrolled."""
_STYLE = {
    "font.size": 10.0,
    "font.family": "sans-serif",
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlesize": 10.0,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "svg.fonttype": "none",
}


@dataclass(frozen=True)
class Plot:
    """A figure of the report.

    Parameters
    ----------
    key
        Short name: of its place in the page and of its files.
    title
        Heading.
    caption
        What it shows and how to read it, in words.
    figure
        The drawing.
    """

    key: str
    title: str
    caption: str
    figure: Figure


@contextmanager
def drawing() -> Iterator[None]:
    """Draw in the report's style."""
    with mpl.rc_context(_STYLE):
        yield


def panels(
    count: int, *, columns: int = 2, width: float = 7.2, height: float = 2.4
) -> tuple[Figure, list[Axes]]:
    """Return a figure with so many axes, `columns` to a row."""
    columns = min(columns, count)
    rows = -(-count // columns)
    figure = Figure(figsize=(width, height * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    axes = [axis for row in grid for axis in row]
    for unused in axes[count:]:
        unused.set_axis_off()
    return figure, axes[:count]


def to_svg(plot: Plot) -> str:
    """Return a figure as SVG to stand inside HTML, in the page's colours."""
    buffer = io.StringIO()
    with mpl.rc_context({**_STYLE, "svg.hashsalt": plot.key}):
        plot.figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = _numbered(re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S))
    # Identifiers must differ between the figures of one page.
    text = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{plot.key}-", text)
    text = text.replace(INK, "currentColor").replace(FAINT, "var(--faint)")
    # As large as it was drawn, and a tenth; the page may shrink it, down to `_NARROWEST`.
    width = plot.figure.get_figwidth() * 96 * 1.1
    size = f"width: {width:.0f}px; min-width: {_NARROWEST * width:.0f}px"
    label = plot.title.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    return text.replace("<svg ", f'<svg role="img" aria-label="{label}" style="{size}" ', 1)


def save(plot: Plot, folder: str) -> Sequence[str]:
    """Write a figure as PNG and SVG on white; return the paths."""
    paths = []
    for suffix in ("png", "svg"):
        path = f"{folder}/{plot.key}.{suffix}"
        with mpl.rc_context({**_STYLE, "svg.hashsalt": plot.key}):
            metadata = {"Date": None} if suffix == "svg" else None
            plot.figure.savefig(path, dpi=150, facecolor="white", metadata=metadata)
        paths.append(path)
    drawn = Path(paths[-1])
    drawn.write_text(_numbered(drawn.read_text("utf-8")), "utf-8")
    return paths


def save_all(plots: Iterable[Plot], folder: str | os.PathLike[str]) -> tuple[Path, ...]:
    """Write figures as PNG and SVG into a folder, made if needed; return the paths.

    Raises
    ------
    InputError
        The folder cannot be made or written to.
    """
    require_folder(folder)
    try:
        paths = [path for plot in plots for path in save(plot, str(folder))]
    except OSError as error:
        raise InputError(f"{folder}: cannot be written: {error.strerror or error}") from None
    return tuple(Path(path) for path in paths)


def require_folder(folder: str | os.PathLike[str]) -> None:
    """Make a folder if it is missing; call it before long work whose figures go there.

    Raises
    ------
    InputError
        It cannot be made, or is a file.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written: {error.strerror or error}") from None


def _numbered(svg: str) -> str:
    """Number the identifiers that Matplotlib makes, in the order of their first appearance.

    They are hashes; those of clip paths hash an object's address, which no two runs share.
    """
    numbers: dict[str, str] = {}

    def number(found: re.Match[str]) -> str:
        return found[1] + numbers.setdefault(found[2], f"{found[2][0]}{len(numbers)}")

    return re.sub(r'(\bid="|url\(#|href="#)([a-z][0-9a-f]{10})(?=["\)])', number, svg)
