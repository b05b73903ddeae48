"""The waterfall in a page of its own: what mouse and toolbar do, read from the model, from elements and from pixels."""

from __future__ import annotations

import pytest
from waterfall_driver import HEIGHT, ROW, ROWS, STACK, Driver, hosted, opened, two_traces

from traceanalytics.plot.style import DARK, LIGHT, service_color
from traceanalytics.widgets import waterfall

WEB = service_color("web")


@pytest.fixture(scope="module")
def trouble():
    return []


@pytest.fixture(scope="module")
def page_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "trace.html"
    waterfall(two_traces(), theme="light", height=640).to_html(path)
    return path


@pytest.fixture(scope="module")
def module_page(chromium, page_file, trouble):
    page = opened(chromium, page_file, trouble=trouble)
    yield page
    page.context.close()


@pytest.fixture
def view(module_page, trouble):
    driver = Driver(module_page)
    driver.reset()
    yield driver
    assert trouble == []


def place(name):
    row = ROWS.index(name)
    return row + (1 if row < ROWS.index("second") else 2)


def near(value, wanted, slack=0.6):
    return value is not None and all(abs(a - b) < slack for a, b in zip(value, wanted, strict=True))


# What is drawn.


def test_every_row_and_a_title_for_each_trace_are_drawn_once(view):
    assert view.data("rowsTotal") == str(len(ROWS) + 2)
    assert int(view.data("rowsDrawn")) == len(ROWS) + 2
    assert view.data("theme") == "light"


def test_a_bar_reaches_from_start_to_end_in_the_colour_of_its_service(view):
    y = view.y(place("checkout"))
    assert view.color(view.x(10), y) == WEB
    assert view.color(view.x(95), y) == WEB
    assert view.color(view.x(104), view.y(place("verify"))) != WEB
    edge = view.colors(view.x(5) + 1, view.y(place("verify")), view.x(25) - view.x(5) - 2, 1)
    assert WEB in edge
    assert view.color(view.x(5) - 3, view.y(place("verify"))) != WEB


def test_the_critical_path_is_a_strip_below_the_bar(view):
    below = view.y(place("query1")) + HEIGHT / 2 + 2
    assert view.color(view.x(45), below) == LIGHT.path
    view.put(highlight=None)
    view.frame()
    assert view.color(view.x(45), below) != LIGHT.path


def test_a_collapsed_row_has_the_path_of_all_below_it(view):
    y = view.y(place("checkout")) + HEIGHT / 2 + 2
    assert view.color(view.x(45), y) != LIGHT.path
    view.put(collapsed=[0])
    view.frame()
    assert view.color(view.x(45), y) == LIGHT.path


def test_errors_have_a_red_edge_and_a_mark(view):
    y = view.y(place("load"))
    assert LIGHT.error in view.colors(view.x(30), y - HEIGHT / 2, 4, HEIGHT)
    assert LIGHT.error in view.colors(view.x(70) + 6, y - 8, 70, 16)
    view.put(highlight=None)
    view.frame()
    assert LIGHT.error not in view.colors(view.x(5), view.y(place("verify")) - 8, 200, 16)


def test_events_are_diamonds_and_exceptions_are_red(view):
    y = view.y(place("load"))
    assert LIGHT.background in view.colors(view.x(45) - 2, y - 2, 4, 4)
    assert view.color(view.x(65), y) == LIGHT.error


def test_what_is_not_in_question_is_pale(view):
    x, y = view.x(45), view.y(place("lost"))
    pale = view.color(x, y)
    view.put(highlight=None)
    view.frame()
    assert view.color(x, y) == service_color("stock") != pale


def test_an_instant_is_a_tick(view):
    view.put(highlight=None)
    view.frame()
    y = view.y(place("tick"))
    assert view.color(view.x(80) - 6, y) == view.color(view.x(80) - 12, y)
    assert LIGHT.outline(WEB) in view.colors(view.x(80) - 2, y, 4, 1)


def test_an_unknown_end_fades_and_an_unknown_start_is_said(view):
    view.put(highlight=None)
    view.frame()
    y = view.y(place("open"))
    assert len(view.colors(view.x(85) + 4, y, 40, 1)) > 5
    assert view.colors(view.label_width() + 8, view.y(place("blind")) - 6, 60, 12) != {LIGHT.background}


def test_orphans_and_detached_spans_have_dashed_edges(view):
    view.put(highlight=None)
    view.frame()
    for name, a, b in (("lost", 40, 50), ("late", 90, 118)):
        top = view.y(place(name)) - HEIGHT / 2
        edge = view.colors(view.x(a) + 4, top, view.x(b) - view.x(a) - 8, 1)
        assert len(edge) > 1, name
    solid = view.colors(view.x(10) + 4, view.y(place("ship")) - HEIGHT / 2, view.x(50) - view.x(10) - 8, 1)
    assert len(solid) == 1


def test_service_colours_stand_in_the_legend_the_commonest_first(view):
    chips = view.page.locator(".ta-chip-text").all_text_contents()
    assert chips[0] == "web"
    assert set(chips) == {"web", "auth", "db", "cart", "stock", "shipping", "no service"}


# The mouse on rows.


def test_a_click_selects(view):
    view.click(view.x(50), view.y(place("query1")))
    assert view.get("selected_rows") == [ROWS.index("query1")]
    assert view.live().startswith("row 6 of 15, query1, service db, 28 ms, level 3")
    view.click(200, view.y(place("lost")))
    assert view.get("selected_rows") == [ROWS.index("lost")]


def test_a_selected_row_is_tinted(view):
    y = view.y(place("tick")) - 8
    before = view.color(view.x(27), y)
    view.click(200, view.y(place("tick")))
    view.page.mouse.move(1, 1)
    view.frame()
    assert view.color(view.x(27), y) != before


def test_ctrl_click_adds_and_takes_away(view):
    view.click(200, view.y(place("verify")))
    view.click(200, view.y(place("tick")), modifiers=["Control"])
    assert view.get("selected_rows") == [1, 6]
    view.click(200, view.y(place("verify")), modifiers=["Meta"])
    assert view.get("selected_rows") == [6]


def test_shift_click_selects_a_range_without_the_titles(view):
    view.click(200, view.y(place("late")))
    view.click(200, view.y(place("ship")), modifiers=["Shift"])
    assert view.get("selected_rows") == [8, 9, 10, 11, 12]
    view.click(200, view.y(place("open")), modifiers=["Shift"])
    assert view.get("selected_rows") == [8, 7]


def test_a_click_on_a_title_selects_nothing(view):
    view.click(200, view.y(0))
    assert view.get("selected_rows") == []


def test_a_click_on_the_chevron_collapses_and_expands(view):
    view.click(14, view.y(place("checkout")) + 1)
    assert view.get("collapsed") == [0]
    assert view.get("selected_rows") == []
    assert view.data("rowsTotal") == "6"
    view.click(14, view.y(place("checkout")) + 1)
    assert view.get("collapsed") == []
    assert view.data("rowsTotal") == "15"


def test_a_collapsed_row_counts_the_errors_below_it(view):
    view.put(collapsed=[0])
    view.frame()
    badges = view.colors(view.label_width() - 100, place("checkout") * ROW + 4, 96, ROW - 8)
    assert {LIGHT.error, LIGHT.grid} <= badges


def test_a_double_click_on_a_bar_zooms_to_it(view):
    view.page.mouse.dblclick(*view.at(view.x(45), view.y(place("load"))))
    view.frame()
    assert near(view.get("view"), (28, 72))


def test_a_double_click_on_a_name_opens_the_details(view):
    view.page.mouse.dblclick(*view.at(200, view.y(place("load"))))
    view.frame()
    assert view.detail_open()
    assert view.text(".ta-detail-title strong") == "load"


def test_the_tooltip_says_what_lies_under_the_pointer_and_stays_inside(view):
    tip = view.page.locator(".ta-tip")
    whole = view.page.locator(".ta-waterfall").bounding_box()
    for x, name in ((view.x(45), "load"), (view.box()["width"] - 5, "late"), (20, "ship")):
        view.page.mouse.move(*view.at(x, view.y(place(name))))
        assert tip.is_visible()
        assert view.text(".ta-tip strong") == name
        box = tip.bounding_box()
        assert whole["x"] <= box["x"]
        assert box["x"] + box["width"] <= whole["x"] + whole["width"]
        assert whole["y"] <= box["y"]
        assert box["y"] + box["height"] <= whole["y"] + whole["height"]
    view.page.mouse.move(*view.at(view.x(45), view.y(place("load"))))
    text = tip.text_content()
    assert all(word in text for word in ("40 ms", "starts at 30 ms", "error", "exception", "2 events", "web"))
    view.page.mouse.move(1, 1)
    assert not tip.is_visible()


def test_the_row_under_the_pointer_is_tinted(view):
    y = view.y(place("tick")) - 8
    before = view.color(view.x(27), y)
    view.page.mouse.move(*view.at(200, view.y(place("tick"))))
    view.frame()
    assert view.color(view.x(27), y) != before


# The mouse on time.


def test_dragging_over_the_bars_zooms_to_the_range(view):
    view.drag(view.at(view.x(20), 60), view.at(view.x(80), 90))
    assert near(view.get("view"), (20, 80))
    assert view.get("selected_rows") == []
    assert view.text(".ta-map-corner strong") == "60 ms from 20 ms" or "60" in view.text(".ta-map-corner strong")


def test_dragging_over_the_axis_zooms_backwards_too(view):
    axis = view.page.locator(".ta-axis").bounding_box()
    y = axis["y"] + 10
    view.drag((view.at(view.x(90), 0)[0], y), (view.at(view.x(30), 0)[0], y))
    assert near(view.get("view"), (30, 90))
    view.page.mouse.dblclick(axis["x"] + 40, y)
    assert view.get("view") is None


def test_escape_breaks_a_drag_off(view):
    start, end = view.at(view.x(20), 60), view.at(view.x(80), 60)
    view.page.mouse.move(*start)
    view.page.mouse.down()
    view.page.mouse.move(*end)
    view.page.keyboard.press("Escape")
    view.page.mouse.up()
    assert view.get("view") is None


@pytest.mark.parametrize(("button", "modifiers"), [("left", ["Shift"]), ("middle", [])])
def test_shift_or_the_middle_button_pans(view, button, modifiers):
    view.put(view=[40, 80])
    view.frame()
    view.drag(view.at(view.x(60), 60), view.at(view.x(70), 60), button=button, modifiers=modifiers)
    assert near(view.get("view"), (30, 70))
    assert view.get("selected_rows") == []


def test_ctrl_and_wheel_zoom_at_the_pointer(view):
    x = view.x(30)
    view.wheel(x, 60, dy=-200, ctrl=True)
    low, high = view.get("view")
    assert high - low < 100
    assert abs(view.x(30) - x) < 1
    view.wheel(x, 60, dy=2000, ctrl=True)
    assert view.get("view") is None


def test_the_horizontal_wheel_pans(view):
    view.put(view=[40, 80])
    view.wheel(view.x(60), 60, dx=100)
    low, high = view.get("view")
    assert 40 < low < 80
    assert high - low == pytest.approx(40)


def test_the_wheel_scrolls_the_rows(chromium, tmp_path):
    path = tmp_path / "low.html"
    waterfall(two_traces(), theme="light", height=300).to_html(path)
    low = Driver(opened(chromium, path))
    low.wheel(low.x(40), 20, dy=66)
    low.until(low.scroll_top, 66)
    low.frame()
    assert low.get("view") is None
    assert int(low.data("rowsDrawn")) <= low.box()["height"] / ROW + 2
    low.click(200, 5)
    assert low.get("selected_rows") == [ROWS.index("check")]
    low.page.context.close()


def test_the_minimap_selects_a_range_moves_its_edges_and_shows_all(view):
    box = view.page.locator(".ta-map").bounding_box()

    def at(ms):
        return box["x"] + ms / 120 * box["width"], box["y"] + 30

    view.drag(at(30), at(90))
    assert near(view.get("view"), (30, 90))
    view.drag(at(30), at(60))
    assert near(view.get("view"), (60, 90))
    view.drag(at(90), at(110))
    assert near(view.get("view"), (60, 110))
    view.page.mouse.click(*at(30))
    assert near(view.get("view"), (5, 55))
    view.page.mouse.dblclick(*at(30))
    assert view.get("view") is None


def test_the_minimap_shows_every_trace(view):
    found = view.page.evaluate(
        """() => { const c = document.querySelector('.ta-map'); const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
        const seen = new Set(); for (let i = 0; i < d.length; i += 4) seen.add(`${d[i]},${d[i + 1]},${d[i + 2]}`); return seen.size }"""
    )
    assert found > 5


def test_the_names_can_be_made_wider_and_again_as_they_were(view):
    before = view.label_width()
    box = view.page.locator(".ta-divider").bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + 40
    view.drag(middle, (middle[0] + 60, middle[1]))
    assert view.label_width() == before + 60
    assert view.color(view.x(50), view.y(place("checkout"))) == WEB
    view.page.mouse.dblclick(middle[0] + 60, middle[1])
    assert view.label_width() == before
    view.page.locator(".ta-divider").focus()
    view.page.keyboard.press("ArrowRight")
    assert view.label_width() == before + 16
    view.page.keyboard.press("ArrowLeft")
    assert view.label_width() == before


# The toolbar.


def test_plain_text_is_searched_in_names_and_services(view):
    view.page.fill(".ta-search", "QUERY")
    view.until(lambda: view.get("filter"), "QUERY")
    assert view.text(".ta-count") == "2 of 13"
    view.page.keyboard.press("Enter")
    assert view.get("selected_rows") == [ROWS.index("query1")]
    view.page.keyboard.press("Enter")
    assert view.get("selected_rows") == [ROWS.index("query2")]
    view.page.fill(".ta-search", "ship")
    view.until(lambda: view.text(".ta-count"), "1 of 13")


def test_matches_only_keeps_the_ancestors(view):
    view.page.fill(".ta-search", "query2")
    view.until(lambda: view.text(".ta-count"), "1 of 13")
    view.page.get_by_label("Matches only").check()
    assert view.get("only") is True
    assert view.data("rowsTotal") == str(3 + 2)
    view.page.get_by_label("Matches only").uncheck()
    assert view.data("rowsTotal") == "15"


def test_nothing_found_is_said_and_can_be_undone(view):
    view.put(filter="no such thing", only=True)
    view.frame()
    assert view.page.locator(".ta-empty").is_visible()
    assert view.text(".ta-empty p") == "No span matches"
    view.page.get_by_role("button", name="Clear the filter").click()
    assert view.get("filter") == ""
    assert not view.page.locator(".ta-empty").is_visible()


def test_a_filter_in_braces_needs_a_kernel_here(view):
    view.page.fill(".ta-search", "{ duration > 5ms }")
    view.until(lambda: view.get("filter"), "{ duration > 5ms }")
    assert "needs a running kernel" in view.text(".ta-error")
    assert view.page.locator(".ta-search").get_attribute("aria-invalid") == "true"
    view.put(filter="")
    assert not view.page.locator(".ta-error").is_visible()


def test_half_a_filter_in_braces_is_not_sent(view):
    view.page.fill(".ta-search", "{ duration >")
    view.page.wait_for_timeout(250)
    assert view.get("filter") == ""


def test_the_exported_filter_in_braces_works_without_a_kernel(chromium, tmp_path):
    path = tmp_path / "asked.html"
    waterfall(two_traces(), filter="{ duration > 35ms }", theme="light").to_html(path)
    asked = Driver(opened(chromium, path))
    assert asked.text(".ta-count") == "4 of 13"
    assert not asked.page.locator(".ta-error").is_visible()
    asked.page.context.close()


@pytest.mark.parametrize(("value", "trait", "count"), [("errors", "errors", "2 of 13"), ("", None, "")])
def test_the_highlight_is_chosen(view, value, trait, count):
    view.page.locator("select[aria-label=Highlight]").select_option(value)
    assert view.get("highlight") == trait
    assert view.text(".ta-count") == count


def test_colours_by_kind_and_status(view):
    x, y = view.x(15), view.y(place("checkout"))
    view.page.locator("select[aria-label=Colour]").select_option("kind")
    assert view.get("color") == "kind"
    view.frame()
    assert view.color(x, y) != WEB
    assert "server" in view.page.locator(".ta-chip-text").all_text_contents()
    view.page.locator("select[aria-label=Colour]").select_option("status")
    assert set(view.page.locator(".ta-chip-text").all_text_contents()) == {"unset", "error"}


def test_colours_by_an_exported_attribute(chromium, tmp_path):
    path = tmp_path / "coloured.html"
    waterfall(two_traces(), color="span.http.route", theme="light").to_html(path)
    shown = Driver(opened(chromium, path))
    assert set(shown.page.locator(".ta-chip-text").all_text_contents()) >= {"/load", "/verify"}
    choices = shown.page.locator("select[aria-label=Colour]").locator("option").all_text_contents()
    assert choices == ["service", "kind", "status", "span.http.route"]
    shown.page.context.close()


def test_a_chip_of_the_legend_filters(view):
    view.page.locator("button.ta-chip", has_text="shipping").click()
    assert view.get("filter") == "shipping"
    view.page.locator("button.ta-chip", has_text="shipping").click()
    assert view.get("filter") == ""


def test_fit_shows_all_of_the_time(view):
    fit = view.page.get_by_role("button", name="Show all of the time")
    assert fit.is_disabled()
    view.put(view=[10, 20])
    fit.click()
    assert view.get("view") is None


def test_one_level_and_all_levels_by_buttons(view):
    for title, collapsed in (
        ("Collapse one level (p)", [1, 3]),
        ("Expand one level (o)", []),
        ("Collapse all (])", [0, 1, 3, 11]),
        ("Expand all ([)", []),
    ):
        view.page.get_by_role("button", name=title, exact=True).click()
        assert view.get("collapsed") == collapsed, title


# Details.


def open_details(view, name):
    view.put(selected_rows=[ROWS.index(name)])
    view.page.get_by_role("button", name="Details of the span (Enter)").click()
    view.page.wait_for_selector(".ta-detail .ta-part-head")
    view.frame()


def test_details_are_facts_attributes_events_and_links(view):
    open_details(view, "load")
    facts = dict(
        zip(
            view.page.locator(".ta-facts dt").all_text_contents(),
            view.page.locator(".ta-facts dd .ta-value").all_text_contents(),
            strict=True,
        )
    )
    assert facts["duration"] == "40 ms"
    assert facts["starts at"] == "30 ms"
    assert facts["kind"] == "client"
    assert facts["status"].startswith("error")
    assert len(facts["span id"]) == 16
    assert view.page.locator("tr", has_text="http.route").locator(".ta-value").text_content() == "/load"
    assert view.page.locator(".ta-detail h5").all_text_contents() == ["resource", "span"]
    assert view.text(".ta-stack pre") == STACK
    assert view.page.locator(".ta-event-failed strong").text_content() == "exception"
    assert "+15 ms" in view.page.locator(".ta-event-head").first.text_content()
    assert f"{'f' * 32} / {'e' * 16}" in view.page.locator(".ta-detail").text_content()


def test_a_link_leads_to_its_span_and_back(view):
    open_details(view, "load")
    view.page.locator(".ta-detail .ta-link", has_text="ship").click()
    assert view.get("selected_rows") == [ROWS.index("ship")]
    view.until(lambda: view.text(".ta-detail-title strong"), "ship")
    view.page.locator(".ta-detail .ta-link", has_text="load").click()
    assert view.get("selected_rows") == [ROWS.index("load")]


def test_values_are_copied_with_and_without_the_clipboard(view):
    view.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    open_details(view, "load")
    view.page.get_by_role("button", name="Copy all attributes as JSON").click()
    view.until(view.live, "Copied")
    assert '"http.route": "/load"' in view.page.evaluate("navigator.clipboard.readText()")
    view.page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(new Error('no')) }")
    line = view.page.locator(".ta-table tr", has_text="http.route").first
    line.hover()
    line.get_by_role("button", name="Copy").click()
    view.page.wait_for_timeout(50)
    assert view.page.evaluate("navigator.clipboard.readText()") == "/load"
    view.page.evaluate("() => { delete navigator.clipboard.writeText }")
    assert view.page.locator("textarea").count() == 0


def test_details_stand_below_where_the_page_is_narrow(view):
    open_details(view, "load")
    chart, detail = view.page.locator(".ta-chart"), view.page.locator(".ta-detail")
    assert detail.bounding_box()["x"] >= chart.bounding_box()["x"] + chart.bounding_box()["width"] - 1
    view.page.set_viewport_size({"width": 700, "height": 800})
    view.frame()
    assert detail.bounding_box()["y"] >= chart.bounding_box()["y"] + chart.bounding_box()["height"] - 1
    assert view.page.evaluate("document.documentElement.scrollWidth") <= 700
    view.page.set_viewport_size({"width": 1280, "height": 800})
    view.frame()


def test_without_a_selection_the_first_row_is_detailed(view):
    view.page.get_by_role("button", name="Details of the span (Enter)").click()
    assert view.get("selected_rows") == [0]
    assert view.text(".ta-detail-title strong") == "checkout"


# Themes, sizes, the end.


def test_light_and_dark_by_the_trait(view):
    assert view.color(5, view.y(place("verify")) - 9) == LIGHT.background
    view.put(theme="dark")
    view.frame()
    assert view.data("theme") == "dark"
    assert view.color(5, view.y(place("load")) - 9) in {DARK.background, DARK.band}
    assert view.color(view.x(50), view.y(place("checkout"))) == WEB


def test_auto_follows_what_is_around(view):
    view.put(theme="auto")
    assert view.data("theme") == "light"
    for act, wanted in (
        ("document.body.dataset.jpThemeLight = 'false'", "dark"),
        ("document.body.dataset.jpThemeLight = 'true'", "light"),
        ("delete document.body.dataset.jpThemeLight", "light"),
        ("document.body.className = 'vscode-dark'", "dark"),
        ("document.body.className = ''", "light"),
    ):
        view.page.evaluate(act)
        view.until(lambda: view.data("theme"), wanted)
    view.page.emulate_media(color_scheme="dark")
    view.until(lambda: view.data("theme"), "dark")
    view.page.emulate_media(color_scheme="light")
    view.until(lambda: view.data("theme"), "light")


def test_canvases_are_as_sharp_as_the_screen(chromium, page_file):
    sharp = Driver(opened(chromium, page_file, device_scale_factor=2))
    assert sharp.page.evaluate("(c => c.width / c.clientWidth)(document.querySelector('.ta-body'))") == 2
    assert sharp.color(sharp.x(50), sharp.y(1)) == WEB
    sharp.page.context.close()


def test_no_width_is_no_harm_and_the_next_width_is_taken(view):
    view.page.evaluate("document.getElementById('widget').style.display = 'none'")
    view.frame()
    view.put(view=[10, 90])
    view.page.evaluate("document.getElementById('widget').style.display = ''")
    view.frame()
    assert view.color(view.x(50), view.y(place("checkout"))) == WEB


def test_a_view_or_a_selection_that_makes_no_sense_is_left_out(view):
    view.put(view=[5, 5], selected_rows=[999, -1, 2])
    view.frame()
    assert view.text(".ta-map-corner strong").endswith("in all")
    assert view.live().startswith("row 4 of 15, check")


def test_one_span(chromium, tmp_path):
    path = tmp_path / "one.html"
    waterfall(two_traces().iloc[:1], theme="light").to_html(path)
    one = Driver(opened(chromium, path), high=100)
    assert one.data("rowsTotal") == "1"
    assert one.color(one.x(50), one.y(0)) == WEB
    assert "checkout" in one.text(".ta-title strong")
    one.key("?")
    assert one.page.locator(".ta-help").bounding_box()["height"] > 300
    one.key("?", "j", "Enter")
    assert one.detail_open()
    one.page.context.close()


# With a kernel that the test plays.


@pytest.fixture(scope="module")
def live_page(chromium):
    page = hosted(chromium, waterfall(two_traces(), theme="light", height=400))
    page.evaluate("() => { window.show(); window.show('other') }")
    yield page
    page.close()


@pytest.fixture
def live(live_page):
    live_page.evaluate(
        """() => { const plain = { selected_rows: [], view: null, filter: '', only: false, _filter_error: '', _match: new DataView(new ArrayBuffer(0)) };
        for (const name in plain) window.model.set(name, plain[name]); window.sent.length = 0 }"""
    )
    return live_page


def said(page, place, selector):
    return page.locator(f"#{place} {selector}").first.text_content()


def test_two_views_keep_step_but_for_what_is_one_view_s(live):
    live.locator("#host .ta-body").click(position={"x": 200, "y": 22 * 2 + 10})
    assert said(live, "host", ".ta-live") == said(live, "other", ".ta-live")
    live.evaluate("window.model.set('filter', 'query')")
    assert said(live, "other", ".ta-count") == "2 of 13"
    assert live.locator("#other .ta-search").input_value() == "query"
    live.locator("#host .ta-body").focus()
    live.keyboard.press("?")
    assert live.locator("#host .ta-help").is_visible()
    assert not live.locator("#other .ta-help").is_visible()
    live.keyboard.press("Escape")


def test_details_are_asked_for_once_and_shown_when_they_come(live):
    live.evaluate("window.model.set('selected_rows', [2])")
    live.locator("#host .ta-body").focus()
    live.keyboard.press("Enter")
    assert said(live, "host", ".ta-detail").endswith("Loading …")
    live.evaluate("window.model.set('selected_rows', [1])")
    live.evaluate("window.model.set('selected_rows', [2])")
    asked = live.evaluate("window.sent")
    assert [each["row"] for each in asked] == [2, 1]
    assert {each["type"] for each in asked} == {"detail"}
    assert len({each["request"] for each in asked}) == 2
    live.evaluate("window.answer({ type: 'detail', row: 1, request: 2, detail: { span_id: 'late', attributes: [] } })")
    assert "late" not in said(live, "host", ".ta-detail")
    live.evaluate("window.answer({ type: 'other' }); window.answer(null); window.answer({ type: 'detail', row: 'x' })")
    live.evaluate(
        "window.answer({ type: 'detail', row: 2, request: 1, detail: { span_id: 'abc', attributes: [['span', 'key', 'value', 5]] } })"
    )
    assert said(live, "host", ".ta-table .ta-value") == "value"
    live.keyboard.press("Escape")
    live.evaluate("window.sent.length = 0")
    live.locator("#host .ta-body").focus()
    live.keyboard.press("Enter")
    assert live.evaluate("window.sent") == []
    live.keyboard.press("Escape")


def test_an_answer_without_a_detail_is_said(live):
    live.evaluate("window.model.set('selected_rows', [6])")
    live.locator("#host .ta-body").focus()
    live.keyboard.press("Enter")
    live.evaluate("window.answer({ type: 'detail', row: 6, request: 3, detail: null })")
    assert "are not part of this page" in said(live, "host", ".ta-detail")
    live.keyboard.press("Escape")


def test_the_kernel_s_matches_and_its_complaint(live):
    live.evaluate("window.model.set('filter', '{ duration > 1s }')")
    live.evaluate("window.model.set('_match', new DataView(Uint8Array.from([0b10001, 0b1000]).buffer))")
    assert said(live, "host", ".ta-count") == "3 of 13"
    live.evaluate("window.model.set('only', true)")
    live.wait_for_selector("#host[data-rows-total='6']")
    live.evaluate("window.model.set('_filter_error', 'unknown name at letter 3')")
    assert said(live, "host", ".ta-error") == "unknown name at letter 3"
    assert live.locator("#other .ta-error").is_visible()


def test_columns_that_begin_anywhere_in_a_message_are_read(chromium):
    page = hosted(chromium, waterfall(two_traces(), theme="light"))
    page.evaluate(
        """() => { for (const name of ['_start', '_end', '_parent', '_name', '_bits', '_path_row', '_path_end']) {
        const was = window.model.get(name), moved = new Uint8Array(was.byteLength + 3);
        moved.set(new Uint8Array(was.buffer, was.byteOffset, was.byteLength), 3);
        window.model.set(name, new DataView(moved.buffer, 3)) } window.show() }"""
    )
    page.wait_for_selector("#host[data-painted='1']")
    page.evaluate("window.model.set('selected_rows', [3])")
    assert said(page, "host", ".ta-live").startswith("row 5 of 15, load, service web, 40 ms, error, level 2")
    page.close()
