"""The waterfall without a mouse: every key of the table, and the lines a screen reader hears."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest
from waterfall_driver import ROWS, Driver, opened, two_traces

from traceanalytics.widgets import waterfall


@pytest.fixture(scope="module")
def trouble():
    return []


@pytest.fixture(scope="module")
def module_page(chromium, tmp_path_factory, trouble):
    path = tmp_path_factory.mktemp("keys") / "trace.html"
    waterfall(two_traces(), theme="light", height=330).to_html(path)
    page = opened(chromium, path, trouble=trouble)
    yield page
    page.context.close()


@pytest.fixture
def view(module_page, trouble):
    driver = Driver(module_page)
    driver.reset()
    yield driver
    assert trouble == []


def cursor(view):
    return ROWS[view.get("selected_rows")[-1]]


def test_a_whole_journey_without_a_mouse(view):
    page = view.page
    page.keyboard.press("Tab")
    for _ in range(40):
        if "ta-body" in view.focused():
            break
        page.keyboard.press("Tab")
    assert "ta-body" in view.focused()
    page.keyboard.press("j")
    assert cursor(view) == "checkout"
    page.keyboard.press("/")
    assert "ta-search" in view.focused()
    page.keyboard.type("query")
    view.until(lambda: view.get("filter"), "query")
    page.keyboard.press("Escape")
    assert view.get("filter") == ""
    page.keyboard.type("db")
    view.until(lambda: view.get("filter"), "db")
    page.keyboard.press("Enter")
    assert cursor(view) == "query1"
    page.keyboard.press("Shift+Enter")
    assert cursor(view) == "query2"
    view.canvas.focus()
    page.keyboard.press("Enter")
    assert view.detail_open()
    page.keyboard.press("Escape")
    assert not view.detail_open()
    page.keyboard.press("Escape")
    assert view.get("filter") == ""
    page.keyboard.press("Escape")
    assert view.get("selected_rows") == []


def test_j_and_k_go_from_row_to_row_past_the_titles(view):
    view.key("j", "j", "k")
    assert cursor(view) == "checkout"
    view.key("k")
    assert cursor(view) == "checkout"
    view.key("End")
    assert cursor(view) == "ship"
    view.key("k", "k")
    assert cursor(view) == "lost"
    view.key("Home")
    assert cursor(view) == "checkout"
    assert view.scroll_top() <= 22


def test_shift_extends_the_selection(view):
    view.key("j", "Shift+J", "Shift+J")
    assert view.get("selected_rows") == [0, 1, 2]
    view.key("Shift+K")
    assert view.get("selected_rows") == [0, 1]
    assert view.live().endswith("2 selected")


def test_the_line_for_screen_readers(view):
    view.key("j")
    assert view.live() == "row 2 of 15, checkout, service web, 100 ms, level 1, expanded, 9 below"
    view.key("h")
    assert view.live() == "row 2 of 6, checkout, service web, 100 ms, level 1, collapsed, 9 below"
    view.put(collapsed=[], selected_rows=[3])
    assert view.live() == "row 5 of 15, load, service web, 40 ms, error, level 2, expanded, 2 below"
    view.put(selected_rows=[9])
    assert view.live() == "row 11 of 15, blind, service cart, duration unknown, level 2"
    assert view.page.locator(".ta-live").get_attribute("aria-live") == "polite"
    assert view.canvas.get_attribute("role") == "application"
    assert "13 spans" in view.canvas.get_attribute("aria-label")


def test_h_and_l_collapse_and_expand(view):
    view.put(selected_rows=[3])
    view.key("h")
    assert view.get("collapsed") == [3]
    view.key("l")
    assert view.get("collapsed") == []
    view.put(selected_rows=[4])
    view.key("h")
    assert cursor(view) == "load"


def test_brackets_p_and_o_fold_levels(view):
    view.put(selected_rows=[5])
    view.key("]")
    assert view.get("collapsed") == [0, 1, 3, 11]
    assert cursor(view) == "checkout"
    view.key("o")
    assert view.get("collapsed") == [1, 3]
    view.key("o")
    assert view.get("collapsed") == []
    view.key("p")
    assert view.get("collapsed") == [1, 3]
    view.key("p")
    assert view.get("collapsed") == [0, 1, 3, 11]
    view.key("[")
    assert view.get("collapsed") == []


def test_w_and_s_turn_pages(view):
    view.key("s")
    down = view.scroll_top()
    assert down > 60
    assert int(view.data("rowsDrawn")) <= view.box()["height"] / 22 + 2
    view.key("w")
    assert view.scroll_top() == 0
    view.key("PageDown", "PageUp")
    assert view.scroll_top() == 0


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        (["ArrowUp"], (12, 108)),
        (["ArrowUp", "ArrowDown"], None),
        (["ArrowUp", "ArrowUp", "d"], (29.28, 106.08)),
        (["Shift+ArrowUp"], (40.34, 79.66)),
        (["Shift+ArrowUp", "Shift+ArrowDown"], None),
        (["Shift+ArrowUp", "a"], (36.41, 75.73)),
        (["Shift+ArrowUp", "ArrowLeft"], (36.41, 75.73)),
        (["Shift+ArrowUp", "ArrowRight"], (44.27, 83.59)),
        (["Shift+ArrowUp", "Shift+A"], (20.68, 60.0)),
        (["Shift+ArrowUp", "Shift+D"], (60.0, 99.32)),
        (["Shift+ArrowUp", "Shift+ArrowRight"], (60.0, 99.32)),
        (["ArrowUp", "0"], None),
    ],
)
def test_zoom_and_pan(view, names, wanted):
    view.key(*names)
    found = view.get("view")
    assert (found is None) == (wanted is None)
    if wanted:
        assert found == pytest.approx(wanted, abs=0.02)


def test_f_and_b_go_through_what_is_in_question(view):
    view.key("e")
    assert view.get("highlight") == "errors"
    view.key("f")
    assert cursor(view) == "load"
    view.key("f")
    assert cursor(view) == "query2"
    view.key("f")
    assert cursor(view) == "load"
    view.key("b")
    assert cursor(view) == "query2"
    view.put(collapsed=[0], selected_rows=[0])
    view.key("f", "f")
    assert cursor(view) == "query2"
    assert view.get("collapsed") == []


def test_f_goes_through_all_rows_when_nothing_is_asked(view):
    view.put(highlight=None)
    view.key("f", "f")
    assert cursor(view) == "verify"


def test_c_e_and_m_switch(view):
    view.key("c")
    assert view.get("highlight") is None
    view.key("c")
    assert view.get("highlight") == "critical_path"
    view.key("e", "m")
    assert view.get("highlight") == "errors"
    assert view.get("only") is True
    assert view.data("rowsTotal") == "5"
    view.key("m", "e")
    assert view.get("only") is False
    assert view.get("highlight") is None


def test_t_goes_to_the_next_trace_and_g_to_a_link(view):
    view.key("t")
    assert cursor(view) == "checkout"
    view.key("t")
    assert cursor(view) == "second"
    view.key("t")
    assert cursor(view) == "checkout"
    view.put(selected_rows=[3])
    view.key("g")
    view.until(lambda: cursor(view), "ship")
    view.put(selected_rows=[0])
    view.key("g")
    view.until(view.live, "This span has no link")


def test_y_copies_the_span_id(view):
    view.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    view.key("j", "y")
    view.until(lambda: view.live().startswith("Copied span id"), wanted=True)
    span_id = view.live().rsplit(" ", 1)[1]
    assert len(span_id) == 16
    assert view.page.evaluate("navigator.clipboard.readText()") == span_id


def test_ctrl_b_and_slash_search(view):
    for name in ("/", "Control+b"):
        view.key(name)
        assert "ta-search" in view.focused()
        view.page.keyboard.press("Escape")
        assert "ta-body" in view.focused()


def test_the_help_lists_every_key_of_the_table(view):
    view.key("?")
    assert view.help_open()
    shown = set(view.page.locator(".ta-help kbd").all_text_contents())
    text = (files("traceanalytics.widgets") / "static" / "keys.js").read_text(encoding="utf-8")
    names = {name for keys in re.findall(r'keys: \[("\]"|[^\]]+)\]', text) for name in re.findall(r'"([^"]+)"', keys)}
    signs = {"ArrowLeft": "←", "ArrowRight": "→", "ArrowUp": "↑", "ArrowDown": "↓"}
    signs |= {"PageUp": "PgUp", "PageDown": "PgDn", "Escape": "Esc"}
    assert shown == {signs.get(name, name) for name in names}
    assert len(shown) > 30
    view.page.keyboard.press("j")
    assert view.get("selected_rows") == []
    view.page.keyboard.press("Escape")
    assert not view.help_open()
    view.key("?", "?")
    assert not view.help_open()


def test_keys_do_nothing_in_a_field_or_outside(view):
    view.page.focus(".ta-search")
    view.page.keyboard.type("cem0")
    view.until(lambda: view.get("filter"), "cem0")
    assert view.get("highlight") == "critical_path"
    assert view.get("only") is False
    view.put(filter="")
    view.page.evaluate("document.activeElement.blur()")
    view.page.keyboard.press("c")
    view.page.keyboard.press("j")
    assert view.get("highlight") == "critical_path"
    assert view.get("selected_rows") == []
    view.key("Control+c", "Alt+j")
    assert view.get("highlight") == "critical_path"
    assert view.get("selected_rows") == []


def test_enter_on_a_button_is_the_button_s(view):
    view.page.get_by_role("button", name="Collapse all (])", exact=True).focus()
    view.page.keyboard.press("Enter")
    assert view.get("collapsed") == [0, 1, 3, 11]
    assert not view.detail_open()
