"""Figures of the book: functions that take data and an Axes and return the Axes.

One style and one colour-blind-safe palette (`style`), one kind of interactive figure
(`interactive`), and one module of figures per chapter. Importing this package needs the
``plots`` extra.
"""

from companion._optional import require

require("seaborn", extra="plots", purpose="draw figures")
require("plotly", extra="plots", purpose="draw figures")

from companion.plots import (  # noqa: E402
    field_theory,
    large_depth,
    log_gaussian,
    primer,
    residual_expansion,
    tangent_kernel,
)
from companion.plots.interactive import Control, Interactive  # noqa: E402
from companion.plots.style import (  # noqa: E402
    PALETTE,
    legends_below,
    panel_labels,
    shared_legend,
    use_style,
)

__all__ = [
    "PALETTE",
    "Control",
    "Interactive",
    "field_theory",
    "large_depth",
    "legends_below",
    "log_gaussian",
    "panel_labels",
    "primer",
    "residual_expansion",
    "shared_legend",
    "tangent_kernel",
    "use_style",
]
