"""Line plots as SVG. Needs matplotlib, which is in the extra `plots`."""

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Scale = Literal["linear", "log"]


class PlotError(RuntimeError):
    """matplotlib is not installed."""


@dataclass(frozen=True)
class Line:
    """Points in the order of x. low, high: the spread of each, drawn as a band, or neither.

    marked: draw each point. dashed: a line to compare with, such as a cap.
    """

    label: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    marked: bool = False
    dashed: bool = False

    def __post_init__(self) -> None:
        lengths = {len(self.y)} | {len(band) for band in (self.low, self.high) if band}
        if lengths != {len(self.x)} or bool(self.low) != bool(self.high):
            raise ValueError(f"line {self.label!r}: x, y, low and high differ in length")


@dataclass(frozen=True)
class Panel:
    """One pair of axes."""

    title: str
    x_label: str
    y_label: str
    lines: tuple[Line, ...]
    x_scale: Scale = "linear"
    y_scale: Scale = "linear"
    y_range: tuple[float, float] | None = None


def require_plots() -> None:
    """Raise PlotError, naming the remedy, if matplotlib is missing."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise PlotError("matplotlib is missing: pip install 'openk2[plots]'") from error


def svg(panels: Sequence[Panel]) -> str:
    """The panels side by side; the same panels give the same bytes. Raises PlotError."""
    require_plots()
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    style: dict[Any, Any] = {
        "svg.hashsalt": "openk2",
        "svg.fonttype": "none",  # text stays text: small, and found by a search
        "font.family": "sans-serif",
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.alpha": 0.3,
        "path.simplify": True,
    }
    with rc_context(style):
        figure = Figure(figsize=(5.2 * len(panels), 3.8), layout="constrained")
        for axes, panel in zip(
            figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True
        ):
            draw(axes, panel)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    # A hundredth of a point is more than a screen shows; the rest is half of the file.
    return re.sub(r"(\d\.\d\d)\d{2,}", r"\1", text.getvalue())


def draw(axes: "Axes", panel: Panel) -> None:
    """One panel. Colours are matplotlib's own, in the order of the lines; dashed ones are grey."""
    for line in panel.lines:
        if line.dashed:
            axes.plot(line.x, line.y, "--", label=line.label, color="0.5", linewidth=0.8)
            continue
        marker = "o" if line.marked else None
        (drawn,) = axes.plot(
            line.x, line.y, label=line.label, linewidth=1.4, marker=marker, markersize=4
        )
        if line.low:
            axes.fill_between(line.x, line.low, line.high, color=drawn.get_color(), alpha=0.2, lw=0)
    axes.set(title=panel.title, xlabel=panel.x_label, ylabel=panel.y_label)
    axes.set(xscale=panel.x_scale, yscale=panel.y_scale)
    if panel.y_range is not None:
        axes.set_ylim(*panel.y_range)
    axes.legend(frameon=False, fontsize=8)
