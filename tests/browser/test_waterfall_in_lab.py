"""The waterfall in a real JupyterLab: shown, clicked, filtered from both sides, saved and opened again."""

from __future__ import annotations

import nbformat
import pytest

pytestmark = pytest.mark.browser

SET_UP = """
import pandas as pd
import traceanalytics as ta
from traceanalytics.widgets import waterfall
t = pd.Timestamp("2026-01-01", tz="UTC")
ms = pd.Timedelta("1ms")
spans = ta.conform(pd.DataFrame({
    "trace_id": "a1", "span_id": ["b1", "b2", "b3", "b4"], "parent_span_id": [None, "b1", "b2", "b1"],
    "name": ["checkout", "reserve", "SELECT stock", "charge"], "service": ["web", "stock", "db", "payment"],
    "kind": ["SERVER", "CLIENT", "CLIENT", "CLIENT"], "status": ["UNSET", "UNSET", "UNSET", "ERROR"],
    "start_time": [t, t + 10 * ms, t + 15 * ms, t + 60 * ms], "duration_ms": [100.0, 40.0, 20.0, 35.0]}))
w = waterfall(spans)
"""
PAINTED = ".jp-OutputArea [data-painted='1']"
ROW = 22


@pytest.fixture
def shown(notebook):
    """A notebook whose first cell has shown a widget; the second cell shows it again."""
    opened = notebook(SET_UP + "w", "w")
    opened.run_cell(0)
    opened.page.wait_for_selector(PAINTED)
    return opened


def click(opened, row, *, view=0, **options):
    """Click on the bars' side of a row."""
    body = opened.page.locator(".ta-body").nth(view)
    box = body.bounding_box()
    body.click(position={"x": box["width"] * 0.6, "y": ROW * row + ROW / 2}, **options)


def view_of(opened, number=0):
    """What a view says about itself."""
    return opened.page.locator(PAINTED).nth(number)


def color_at(opened, view=0):
    """Colour of the first pixel of the body: its background."""
    return opened.page.evaluate(
        "n => [...document.querySelectorAll('.ta-body')[n].getContext('2d').getImageData(1, 1, 1, 1).data].slice(0, 3)",
        view,
    )


def test_clicks_select_in_the_kernel(shown):
    click(shown, 1)
    shown.wait_kernel("print(w.selected['name'].tolist())", "['reserve']")
    click(shown, 3, modifiers=["Control"])
    shown.wait_kernel("print(w.selected['name'].tolist(), len(w.query) > 20)", "['reserve', 'charge'] True")


def test_the_columns_of_20_000_spans_travel_in_one_message_of_32_bytes_a_span(notebook):
    many = f"""{SET_UP}
n = 20_000
ids = [f"{{i + 1:016x}}" for i in range(n)]
w = waterfall(ta.conform(pd.DataFrame({{"trace_id": "a1", "span_id": ids, "parent_span_id": [None] + [ids[0]] * (n - 1),
    "name": "call", "service": "web", "start_time": t, "duration_ms": 5.0}})))
w"""
    opened = notebook(many)
    opened.run_cell(0)
    opened.page.wait_for_selector(PAINTED)
    rest = int(opened.kernel("print(len(w._esm) + len(w._css) + len(str(w._tables)))"))
    assert 25 * 20_000 < max(opened.sizes) < 32 * 20_000 + 1.2 * rest + 5_000


def test_python_sets_and_the_page_follows(shown):
    shown.kernel("w.filter = '{ span:status = error }'; w.selected_rows = [2]; w.only = True")
    field = shown.page.locator(".ta-search")
    shown.page.wait_for_function("field => field.value === '{ span:status = error }'", arg=field.element_handle())
    shown.page.wait_for_function(  # the failed span and its parent
        "view => view.dataset.rowsTotal === '2'", arg=view_of(shown).element_handle()
    )
    shown.kernel("w.filter = ''; w.highlight = None")
    shown.page.wait_for_function("view => view.dataset.rowsTotal === '4'", arg=view_of(shown).element_handle())


def test_a_filter_typed_in_the_page_is_evaluated_in_the_kernel(shown):
    field = shown.page.locator(".ta-search")
    field.fill("{ span:duration > 30ms }")
    field.press("Enter")
    shown.wait_kernel("print(w.matches['name'].tolist())", "['checkout', 'reserve', 'charge']")
    field.fill("{ span:duration >> }")
    field.press("Enter")
    shown.wait_kernel("print(bool(w._filter_error))", "True")
    shown.page.wait_for_function("view => /expected|not/.test(view.textContent)", arg=view_of(shown).element_handle())


def test_the_keyboard_reaches_the_kernel_and_the_detail_comes_back(shown):
    click(shown, 0)
    shown.page.keyboard.press("j")
    shown.wait_kernel("print(w.selected['name'].tolist())", "['reserve']")
    shown.page.keyboard.press("Enter")
    shown.page.wait_for_function("view => /self/i.test(view.textContent)", arg=view_of(shown).element_handle())


def test_two_views_stay_in_step(shown):
    shown.run_cell(1)
    shown.page.wait_for_function("() => document.querySelectorAll(\".jp-OutputArea [data-painted='1']\").length === 2")
    click(shown, 1, view=1)
    shown.wait_kernel("print(w.selected['name'].tolist())", "['reserve']")
    shown.page.locator(".ta-search").nth(0).fill("stock")
    shown.wait_kernel("print(w.filter)", "stock")
    second = shown.page.locator(".ta-search").nth(1)
    shown.page.wait_for_function("field => field.value === 'stock'", arg=second.element_handle())


def test_a_cell_that_is_run_again_shows_a_new_widget(shown):
    click(shown, 1)
    shown.wait_kernel("print(len(w.selected))", "1")
    old = view_of(shown).element_handle()
    shown.run_cell(0)
    shown.page.wait_for_function("old => !old.isConnected", arg=old)
    shown.page.wait_for_selector(PAINTED)
    shown.wait_kernel("print(len(w.selected))", "0")
    click(shown, 3)
    shown.wait_kernel("print(w.selected['name'].tolist())", "['charge']")


def test_the_theme_of_the_notebook_is_followed(shown):
    light = color_at(shown)
    shown.command("apputils:change-theme", theme="JupyterLab Dark")
    shown.page.wait_for_function("view => view.dataset.theme === 'dark'", arg=view_of(shown).element_handle())
    shown.page.wait_for_function("() => document.body.dataset.jpThemeName === 'JupyterLab Dark'")
    dark = color_at(shown)
    assert sum(light) > 600
    assert sum(dark) < 200
    shown.kernel("w.theme = 'light'")
    shown.page.wait_for_function("view => view.dataset.theme === 'light'", arg=view_of(shown).element_handle())
    shown.command("apputils:change-theme", theme="JupyterLab Light")
    shown.page.wait_for_function("() => document.body.dataset.jpThemeName === 'JupyterLab Light'")


@pytest.mark.parametrize("renderer", ["png", "html"])
def test_other_renderers(notebook, renderer):
    opened = notebook(f"{SET_UP}ta.options.renderer = {renderer!r}\nw")
    opened.run_cell(0)
    if renderer == "png":
        picture = opened.page.wait_for_selector(".jp-OutputArea img")
        opened.page.wait_for_function("img => img.naturalWidth > 300", arg=picture)
        assert opened.page.locator(".ta-body").count() == 0
        return
    frame = opened.page.wait_for_selector(".jp-OutputArea iframe").content_frame()
    frame.wait_for_selector("[data-painted='1']")
    assert frame.evaluate("() => window.origin") == "null"  # the page reaches nothing around it


def test_a_notebook_opened_again_without_its_kernel_shows_the_picture(shown, notebook):
    shown.page.wait_for_timeout(300)
    shown.command("docmanager:save")
    data = nbformat.read(shown.path, 4).cells[0].outputs[0].data
    assert {"image/png", "text/plain", "application/vnd.jupyter.widget-view+json"} <= set(data)
    assert data["text/plain"] == "Waterfall(1 trace, 4 spans)"
    untrusted = shown.path.with_name("cloned.ipynb")
    made = nbformat.read(shown.path, 4)
    made.metadata.pop("widgets", None)
    for cell in made.cells:
        cell.metadata.pop("trusted", None)
        cell.source += "\n# as another person wrote it"
    nbformat.write(made, untrusted)
    opened = notebook(path=untrusted)
    picture = opened.page.wait_for_selector(".jp-OutputArea img")
    opened.page.wait_for_function("img => img.naturalWidth > 300", arg=picture)
