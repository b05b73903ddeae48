"""The lab of the critical path in a browser: dragged and typed in a real JupyterLab, looked at in exported pages."""

from __future__ import annotations

import pytest
from small_traces import draw

from traceanalytics.lab import critical_path

pytestmark = pytest.mark.browser

SHOWN = ".jp-OutputArea [data-painted='1']"
CELL = "import traceanalytics as ta\nfrom traceanalytics.lab import critical_path\nw = critical_path()\nw"
PAYMENT, RECOMMEND = 4, 6
HOSTILE = (
    "<script>document.title = 'owned'</script>",
    "</script><img src=x onerror=\"document.title='owned'\">",
    "<style>*{display:none}</style>",
    "__proto__",
    "\u202egnp.exe\u2066",
    "x" * 100_000,
)


@pytest.fixture
def shown(notebook):
    opened = notebook(CELL, "w")
    opened.run_cell(0)
    opened.page.wait_for_selector(SHOWN)
    return opened


def middle(page, row, part, view=0):
    """The middle of a part of a row's bar, and how many pixels a millisecond has."""
    root = page.locator(".ta-lab").nth(view)
    root.locator(f"[data-row='{row}']").scroll_into_view_if_needed()
    box = root.locator(f"[data-row='{row}'] .ta-lab-{part}").bounding_box()
    bar = root.locator("[data-row='0'] .ta-lab-bar").bounding_box()
    per_ms = bar["width"] / float(root.locator("..").get_attribute("data-total").replace("?", "120"))
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, per_ms


def drag(page, row, part, ms, view=0, *, let_go=True):
    x, y, per_ms = middle(page, row, part, view)
    page.mouse.move(x, y)
    page.mouse.down()
    for share in (0.3, 0.7, 1):
        page.mouse.move(x + share * ms * per_ms, y, steps=3)
    if let_go:
        page.mouse.up()


def texts(page, name, view=0):
    return page.locator(".ta-lab").nth(view).locator(f".ta-lab-{name}").all_inner_texts()


def wait_text(page, name, wanted):
    page.wait_for_function(
        "([name, wanted]) => document.querySelector(`.ta-lab-${name}`).textContent.includes(wanted)", arg=[name, wanted]
    )


def test_bars_are_dragged_and_the_kernel_runs_the_trace_again(shown):
    page = shown.page
    drag(page, PAYMENT, "grip", -30)
    shown.wait_kernel("print(w.changes, w.total_ms)", "{'0000000000000005': {'longer_ms': -30.0}} 90.0")
    wait_text(page, "total", "90 ms")
    assert texts(page, "delta") == ["\N{MINUS SIGN}30 ms"]
    wait_text(page, "effect", "checkout waited for charge payment, so its 30 ms count in full.")
    assert shown.kernel("print(w.selected)") == "0000000000000005"
    drag(page, RECOMMEND, "bar", 25)  # behind the end of the payment
    shown.wait_kernel("print(w.changes['0000000000000007'], w.total_ms)", "{'later_ms': 25.0} 105.0")
    wait_text(page, "effect", "Now recommend is waited for.")
    page.get_by_role("button", name="Undo all changes").click()
    shown.wait_kernel("print(w.changes, w.total_ms)", "{} 120.0")
    wait_text(page, "total", "120 ms")


def test_a_drag_is_shown_while_it_lasts_and_can_be_broken_off(shown):
    page = shown.page
    drag(page, PAYMENT, "grip", -20, let_go=False)
    wait_text(page, "total", "100 ms")
    page.keyboard.press("Escape")
    shown.wait_kernel("print(w.changes)", "{}")
    page.mouse.up()
    wait_text(page, "total", "120 ms")
    assert page.locator(".ta-lab-dragging").count() == 0


def test_everything_can_be_done_without_a_mouse(shown):
    page = shown.page
    page.locator(".ta-lab-chart").focus()
    for _ in range(5):
        page.keyboard.press("ArrowDown")
    shown.wait_kernel("print(w.selected)", "0000000000000005")
    wait_text(page, "live", "checkout waits for charge payment from 44 to 104 ms.")
    for _ in range(3):
        page.keyboard.press("Shift+ArrowLeft")
    page.keyboard.press("ArrowRight")
    shown.wait_kernel("print(w.changes, w.total_ms)", "{'0000000000000005': {'longer_ms': -29.0}} 91.0")
    wait_text(page, "live", "\N{MINUS SIGN}29 ms: 120 \N{RIGHTWARDS ARROW} 91 ms.")
    page.keyboard.press("End")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Alt+Shift+ArrowRight")
    page.keyboard.press("Alt+ArrowLeft")
    shown.wait_kernel("print(w.changes['0000000000000007'])", "{'later_ms': 9.0}")
    page.keyboard.press("r")
    shown.wait_kernel("print(list(w.changes))", "['0000000000000005']")
    page.keyboard.press("Shift+R")
    shown.wait_kernel("print(w.changes, w.total_ms)", "{} 120.0")
    page.keyboard.press("?")
    assert "undo all changes" in page.locator(".ta-lab-help").inner_text()
    page.keyboard.press("Escape")
    assert not page.locator(".ta-lab-help").is_visible()
    assert page.evaluate("() => document.activeElement.className") == "ta-lab-chart"
    assert shown.kernel("print(len(get_ipython().user_ns['In']))") == "2"  # no key reached the notebook


def test_with_guess_first_the_answer_waits_for_the_learner(shown):
    page = shown.page
    page.locator(".ta-lab-chart").focus()
    page.keyboard.press("p")
    shown.wait_kernel("print(w.predict)", "True")
    drag(page, RECOMMEND, "grip", 50)
    shown.wait_kernel("print(w.total_ms)", "130.0")
    wait_text(page, "total", "? ms")
    assert set(texts(page, "number")[4:]) == {"?"}
    assert "130" not in page.locator(".ta-lab").inner_text()
    guess = page.locator(f"[data-row='{RECOMMEND}'] .ta-lab-guess").bounding_box()
    bar = page.locator(f"[data-row='{RECOMMEND}'] .ta-lab-bar").bounding_box()
    assert guess["width"] == pytest.approx(3.5 * bar["width"], rel=0.02)
    page.keyboard.press("Enter")
    wait_text(page, "total", "130 ms")
    wait_text(page, "effect", "The first 40 ms were slack.")
    page.keyboard.press("ArrowRight")
    wait_text(page, "total", "? ms")
    page.get_by_role("button", name="Show what happens").click()
    wait_text(page, "total", "131 ms")


def test_two_views_and_python_stay_in_step(shown):
    shown.run_cell(1)
    shown.page.wait_for_function("() => document.querySelectorAll('.ta-lab').length === 2")
    drag(shown.page, PAYMENT, "grip", 15, view=1)
    shown.wait_kernel("print(w.total_ms)", "135.0")
    wait_text(shown.page, "total", "135 ms")
    shown.kernel("w.changes = {'0000000000000003': {'longer_ms': 8}}; w.selected = '0000000000000003'")
    shown.page.wait_for_function(
        "() => [...document.querySelectorAll('.ta-lab-total')].every(total => total.textContent === '128 ms')"
    )
    assert texts(shown.page, "foot") == texts(shown.page, "foot", view=1)
    assert texts(shown.page, "foot")[0].startswith("load cart: 8 ms longer.")


def test_a_page_without_a_kernel_shows_one_state_and_says_so(show):
    lab = critical_path()
    lab.changes = {"0000000000000005": {"longer_ms": -30}}
    page = show(lab)
    assert texts(page, "total") == ["90 ms"]
    drag(page, RECOMMEND, "grip", 10)
    assert "open it in a notebook" in texts(page, "effect")[0]
    assert texts(page, "total") == ["90 ms"]
    page.locator(".ta-lab-chart").focus()
    page.keyboard.press("Home")
    assert page.locator("[data-selected='0']").count() == 1
    assert texts(page, "foot")[0].startswith("checkout takes 90 ms in all.")
    page.keyboard.press("Shift+R")
    assert texts(page, "total") == ["90 ms"]


@pytest.mark.parametrize("dark", [False, True])
def test_the_theme_is_that_of_the_page(show, dark):
    page = show(critical_path(), dark=dark)
    found = page.evaluate("() => getComputedStyle(document.querySelector('.ta-lab')).backgroundColor")
    assert sum(map(int, found[4:-1].split(","))) < 150 if dark else found == "rgb(255, 255, 255)"
    assert page.locator("[data-theme]").get_attribute("data-theme") == ("dark" if dark else "light")


def test_the_path_is_drawn_where_it_is(show):
    page = show(critical_path())
    pieces = page.evaluate(
        """() => [...document.querySelectorAll('.ta-lab-span')].map(row => {
            const bar = row.querySelector('.ta-lab-bar').getBoundingClientRect();
            return [...row.querySelectorAll('.ta-lab-piece')].reduce((all, piece) => all + piece.getBoundingClientRect().width, 0) / bar.width })"""
    )
    expected = [22 / 120, 1, 8 / 20, 1, 48 / 60, 1, 0, 1, 0]
    assert pieces == pytest.approx(expected, abs=0.02)
    strip = page.locator(".ta-lab-strip .ta-lab-segment")
    widths = [box.bounding_box()["width"] for box in strip.all()]
    assert sum(widths) == pytest.approx(page.locator("[data-row='0'] .ta-lab-bar").bounding_box()["width"], abs=2)


@pytest.mark.parametrize("width", [420, 760, 1280])
def test_nothing_sticks_out(show, width):
    page = show(critical_path(), viewport=(width, 700))
    assert page.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth")
    outside = page.evaluate(
        """() => { const all = document.querySelector('.ta-lab').getBoundingClientRect();
        return [...document.querySelectorAll('.ta-lab-number, .ta-lab-bar, .ta-button, .ta-lab-effect')].filter(e => e.offsetParent)
            .filter(e => { const b = e.getBoundingClientRect(); return b.right > all.right + 1 || b.left < all.left - 1 }).map(e => e.className) }"""
    )
    assert outside == []


def test_motion_can_be_reduced(chromium, tmp_path):
    path = critical_path().to_html(tmp_path / "lab.html")
    for reduced, expected in (("no-preference", "0.12s, 0.12s"), ("reduce", "0s")):
        context = chromium.new_context(reduced_motion=reduced)
        page = context.new_page()
        page.goto(path.as_uri())
        page.wait_for_selector("[data-painted='1']")
        found = page.evaluate("() => getComputedStyle(document.querySelector('.ta-lab-bar')).transitionDuration")
        context.close()
        assert found == expected


def test_hostile_names_are_text(show):
    rows = "\n".join(f"  c{at} c{at} {10 * at}-{10 * at + 8}" for at in range(len(HOSTILE)))
    spans = draw(f"root web 0-100\n{rows}")
    spans["name"] = ["root", *HOSTILE]
    spans["service"] = ["web", *HOSTILE]
    spans["span_id"] = ["r", *HOSTILE]
    spans["parent_span_id"] = [None, *["r"] * len(HOSTILE)]
    lab = critical_path(spans)
    lab.changes = {HOSTILE[3]: {"longer_ms": 5}}
    lab.selected = HOSTILE[3]
    page = show(lab)
    assert page.title() != "owned"
    assert page.locator(".ta-lab script, .ta-lab img, .ta-lab style").count() == 0
    assert HOSTILE[0] in page.locator(".ta-lab").inner_text()
    assert texts(page, "foot")[0].startswith("__proto__: 5 ms longer.")
