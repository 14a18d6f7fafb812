"""Interactive figures: data, controls and a still picture, all inside one fragment of HTML."""

from __future__ import annotations

import json
import re

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import plotly.graph_objects as go
import pytest

from companion.plots.interactive import SCRIPT_VARIABLE, Control, Interactive


def make(name: str = "fig-x", description: str = 'two "curves" & more') -> Interactive:
    still, ax = plt.subplots()
    ax.plot([0, 1])
    plt.close(still)

    def figure(i: int, j: int) -> go.Figure:
        made = go.Figure()
        made.add_scatter(x=np.array([0.0, 1 / 3]), y=[float(i), float(j)], name="</script>")
        return made.update_layout(title=f"state {i}{j}")

    controls = [Control("Depth L", ["1", "2", "3"], "slider", 2), Control("Kind", ["a", "b"])]
    return Interactive(name, controls, figure, fallback=still, description=description)


def stored(html: str) -> dict:
    found = re.search(r'<script type="application/json"[^>]*>(.*?)</script>', html, re.S)
    return json.loads(found.group(1))


def test_every_combination_is_stored():
    states = stored(make().to_html(script="p.js"))
    assert set(states) == {f"{i},{j}" for i in range(3) for j in range(2)}
    assert states["2,1"]["data"][0]["y"] == [2.0, 1.0]
    assert states["2,1"]["data"][0]["x"] == [0.0, 0.3333], "four digits are enough for ink"
    assert states["2,1"]["layout"]["title"]["text"] == "state 21"


def test_the_start_is_what_the_controls_show():
    figure = make()
    assert figure.start.layout.title.text == "state 20"
    html = figure.to_html(script="p.js")
    assert 'type="range"' in html
    assert 'value="2"' in html
    assert '<option value="0" selected>a</option>' in html


def test_controls_are_labelled_for_the_keyboard_and_screen_readers():
    html = make().to_html(script="p.js")
    for key in re.findall(r'<(?:input|select)[^>]* id="([^"]+)"', html):
        assert f'<label for="{key}"' in html


def test_the_still_picture_and_the_description_are_there():
    html = make().to_html(script="p.js")
    assert 'src="data:image/png;base64,iVBOR' in html
    assert 'alt="two &quot;curves&quot; &amp; more"' in html


def test_the_script_is_the_page_s_in_the_book(monkeypatch):
    monkeypatch.setenv(SCRIPT_VARIABLE, "../plotly/plotly.min.js")
    html = make()._repr_html_()
    assert html.count("<script src=") == 1
    assert '<script src="../plotly/plotly.min.js"></script>' in html
    assert len(html) < 100_000


def test_the_script_is_inside_elsewhere(monkeypatch):
    monkeypatch.delenv(SCRIPT_VARIABLE, raising=False)
    html = make()._repr_html_()
    assert "<script src=" not in html
    assert len(html) > 1_000_000


@pytest.mark.parametrize("name", ["two words", "", 'a"b'])
def test_names_are_safe(name):
    with pytest.raises(ValueError, match="name must be letters, digits and hyphens"):
        make(name)


def test_bad_controls_are_named():
    with pytest.raises(ValueError, match="kind must be 'menu' or 'slider', got 'knob'"):
        Control("x", ["1"], "knob")
    with pytest.raises(ValueError, match="start must index one of the 1 labels of control 'x'"):
        Control("x", ["1"], start=1)
