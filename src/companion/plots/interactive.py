"""Interactive figures that live in the page: no kernel, no foreign host.

An `Interactive` holds one list of plotly traces for every combination of its controls. Its HTML
consists of native form controls, which the keyboard operates, a plot, and a static picture that
stays where scripts do not run. In the book the plotly script is one file served with the pages,
named by the environment variable ``COMPANION_PLOTLYJS``; elsewhere the script of the installed
plotly package is put into the output, so the figure works offline in Jupyter and in Colab.
"""

from __future__ import annotations

import base64
import html
import io
import itertools
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go
from matplotlib.figure import Figure
from plotly.offline import get_plotlyjs

__all__ = ["Control", "Interactive"]

#: Environment variable with the address of plotly's script, relative to the page.
SCRIPT_VARIABLE = "COMPANION_PLOTLYJS"


@dataclass(frozen=True)
class Control:
    """One control: a slider over ordered values, or a menu.

    ``labels`` are what the reader sees, one for each state of the control; ``start`` is the index
    shown first.
    """

    name: str
    labels: Sequence[str]
    kind: str = "menu"
    start: int = 0

    def __post_init__(self) -> None:
        if self.kind not in ("menu", "slider"):
            raise ValueError(f"kind must be 'menu' or 'slider', got {self.kind!r}.")
        if not 0 <= self.start < len(self.labels):
            raise ValueError(
                f"start must index one of the {len(self.labels)} labels of control "
                f"{self.name!r}, got {self.start}."
            )


class Interactive:
    """An interactive figure with its data inside.

    Parameters
    ----------
    name : str
        Unique on the page; letters, digits and hyphens.
    controls : sequence of Control
    figure : callable
        ``figure(*indices) -> plotly.graph_objects.Figure``, called once for each combination.
    fallback : matplotlib Figure
        Static picture of the starting state.
    description : str
        What the figure shows, for readers who cannot see it.
    """

    def __init__(
        self,
        name: str,
        controls: Sequence[Control],
        figure: Callable[..., go.Figure],
        *,
        fallback: Figure,
        description: str,
    ) -> None:
        if not name.replace("-", "").isalnum():
            raise ValueError(f"name must be letters, digits and hyphens, got {name!r}.")
        self.name, self.controls, self.description = name, tuple(controls), description
        indices = itertools.product(*(range(len(c.labels)) for c in self.controls))
        self.states = {",".join(map(str, key)): figure(*key) for key in indices}
        self._fallback = _png(fallback)

    @property
    def start(self) -> go.Figure:
        """The figure shown first."""
        return self.states[",".join(str(c.start) for c in self.controls)]

    def _repr_html_(self) -> str:
        return self.to_html()

    def to_html(self, script: str | None = None) -> str:
        """HTML fragment; ``script`` overrides the address of plotly's script."""
        address = script or os.environ.get(SCRIPT_VARIABLE)
        if address:
            loader = f'<script src="{html.escape(address)}"></script>'
        else:
            # A page with an AMD loader would swallow the script; inside this function it has none.
            loader = (
                "<script>if (!window.Plotly) (function () { var define, module, exports;\n"
                + get_plotlyjs()
                + "\n}).call(window);</script>"
            )
        payload = {key: _plain(figure.to_plotly_json()) for key, figure in self.states.items()}
        data = json.dumps(payload, separators=(",", ":")).replace("</", "<\\/")
        return _TEMPLATE.format(
            name=self.name,
            description=html.escape(self.description, quote=True),
            fallback=self._fallback,
            controls="".join(_control_html(self.name, c) for c in self.controls),
            loader=loader,
            data=data,
        )


def _control_html(figure: str, control: Control) -> str:
    key = f"{figure}-{''.join(ch for ch in control.name.lower() if ch.isalnum())}"
    name = html.escape(control.name)
    if control.kind == "slider":
        labels = html.escape(json.dumps(list(control.labels)), quote=True)
        first = html.escape(control.labels[control.start])
        return (
            f'<label for="{key}">{name} <output>{first}</output></label>'
            f'<input type="range" id="{key}" min="0" max="{len(control.labels) - 1}" step="1" '
            f'value="{control.start}" data-labels="{labels}">'
        )
    options = "".join(
        f'<option value="{i}"{" selected" if i == control.start else ""}>{html.escape(label)}'
        "</option>"
        for i, label in enumerate(control.labels)
    )
    return f'<label for="{key}">{name}</label><select id="{key}">{options}</select>'


def _plain(value: Any) -> Any:
    """JSON types only, numbers with four significant digits: ink has no more."""
    if isinstance(value, dict) and "bdata" in value:  # plotly packs arrays as base64 doubles
        return _plain(np.frombuffer(base64.b64decode(value["bdata"]), dtype=value["dtype"]))
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items() if k != "template"}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, np.ndarray):
        return [_plain(v) for v in value.tolist()]
    if isinstance(value, (float, np.floating)):
        return float(f"{value:.4g}")
    return value


def _png(figure: Figure) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return base64.b64encode(buffer.getvalue()).decode()


_TEMPLATE = """<div class="interactive-figure" id="{name}" role="group" aria-label="{description}">
<div class="interactive-controls">{controls}</div>
<div class="interactive-plot"><img src="data:image/png;base64,{fallback}" alt="{description}"></div>
<style>
.interactive-controls {{ display: flex; flex-wrap: wrap; gap: .3rem .8rem; align-items: center;
  margin: .5rem 0; font-size: .9rem; }}
.interactive-controls label {{ margin: 0; }}
.interactive-controls input[type=range] {{ flex: 1 1 9rem; max-width: 16rem; }}
.interactive-controls output {{ display: inline-block; min-width: 3.5em; font-weight: bold; }}
.interactive-plot {{ width: 100%; min-height: 380px; }}
.interactive-plot img {{ max-width: 100%; background: white; }}
</style>
{loader}
<script type="application/json" id="{name}-data">{data}</script>
<script>
(function () {{
  if (!window.Plotly) return;  // the static picture stays
  const root = document.getElementById("{name}");
  const plot = root.querySelector(".interactive-plot");
  const inputs = Array.from(root.querySelectorAll("input, select"));
  const store = JSON.parse(document.getElementById("{name}-data").textContent);
  plot.replaceChildren();
  function layout(base) {{
    const ink = getComputedStyle(root).color, grid = "rgba(128,128,128,.25)";
    const axis = {{ gridcolor: grid, zerolinecolor: grid, linecolor: ink }};
    return Object.assign({{}}, base, {{
      title: Object.assign({{ font: {{ size: 14 }} }}, base.title),
      font: {{ color: ink, size: 13 }},
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", height: 400,
      margin: {{ l: 60, r: 15, t: 50, b: 105 }}, legend: {{ orientation: "h", y: -0.25 }},
      xaxis: Object.assign({{}}, base.xaxis, axis), yaxis: Object.assign({{}}, base.yaxis, axis)
    }});
  }}
  function draw() {{
    const state = store[inputs.map(i => i.value).join(",")];
    inputs.filter(i => i.type === "range").forEach(i => {{
      const text = JSON.parse(i.dataset.labels)[+i.value];
      i.previousElementSibling.querySelector("output").textContent = text;
      i.setAttribute("aria-valuetext", text);
    }});
    const options = {{ responsive: true, displayModeBar: false }};
    Plotly.react(plot, state.data, layout(state.layout), options);
  }}
  inputs.forEach(i => i.addEventListener("input", draw));
  new MutationObserver(draw).observe(document.documentElement,
    {{ attributes: true, attributeFilter: ["data-theme"] }});
  draw();
}})();
</script>
</div>"""
