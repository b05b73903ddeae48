"""The lab of storage in a browser: the same sum as in the kernel, sliders, keys, guessing, themes, widths."""

from __future__ import annotations

import json

import numpy as np
import pytest

from traceanalytics.lab import storage
from traceanalytics.lab.storage_words import bytes_text, money_text, number_text, share_text
from traceanalytics.widgets.linking import link

pytestmark = pytest.mark.browser

SHOWN = ".jp-OutputArea [data-painted='1']"
CELL = "from traceanalytics.lab import storage\nw = storage()\nw"
NUMBERS = [
    "requests_per_s",
    "spans_per_trace",
    "bytes_per_span",
    "error_rate",
    "error_size_ratio",
    "compression",
    "index_overhead",
    "retention_days",
    "decision_wait_s",
]


@pytest.fixture
def shown(notebook):
    opened = notebook(CELL, "w")
    opened.run_cell(0)
    opened.page.wait_for_selector(SHOWN)
    return opened


def slider(page, name):
    return page.locator(f"[data-control='{name}'] input[type=range]").first


def box(page, name):
    return page.locator(f"[data-control='{name}'] input[type=number]").first


def pick(page, text):
    page.get_by_role("radio", name=text, exact=True).check()


def kept(page):
    """Bytes a day of each strategy."""
    found = page.locator(".ta-storage-strategy").evaluate_all("rows => rows.map(row => row.dataset.kept)")
    return [value if value == "?" else float(value) for value in found]


def wait_kept(page, at, wanted):
    page.wait_for_function(
        "([at, wanted]) => Math.abs(Number(document.querySelectorAll('.ta-storage-strategy')[at].dataset.kept) / wanted - 1) < 1e-9",
        arg=[at, wanted],
    )


def total(page):
    return page.locator("[data-painted]").first.get_attribute("data-sum")


def random_labs():
    rng = np.random.default_rng(8)
    for _ in range(60):
        lab = storage()
        controls = {one["name"]: one for one in lab._tables["controls"]}
        for name in NUMBERS:
            low, high = controls[name]["stops"][0], controls[name]["stops"][-1]
            value = float(rng.uniform(low, high)) if rng.random() < 0.5 else rng.choice(controls[name]["stops"])
            setattr(lab, name, value)
        lab.replication = int(rng.integers(1, 6))
        lab.price_per_gb_month = [None, 0, float(rng.uniform(0, 2))][rng.integers(3)]
        lab.error_level = ["trace", "span"][rng.integers(2)]
        lab.own = [float(rng.random()), [float(rng.random()), float(rng.random())]][rng.integers(2)]
        yield lab


def test_the_page_adds_up_as_the_kernel_does(chromium):
    page = chromium.new_page()
    page.set_content("<div></div>")
    names = "storageTable, storageRow, storageSums, sumText, bytesText, numberText, moneyText, shareText"
    source = link("lab_storage.js").replace("export default { render };", f"window.lab = {{ {names} }};")
    page.add_script_tag(content=source, type="module")
    labs = list(random_labs())
    found = page.evaluate(
        """all => all.map(inputs => { const table = lab.storageTable(inputs);
        const sum = at => lab.sumText(lab.storageSums(inputs, lab.storageRow(table, at), "decimal")[0]);
        return [table, [0, 1, 2, 3, 4].map(sum)] })""",
        [lab._inputs() for lab in labs],
    )
    for lab, (table, sums) in zip(labs, found, strict=True):
        wanted = lab._now["table"]
        assert list(table) == list(wanted)
        for column, values in wanted.items():
            if isinstance(values[0], str) or values[0] is None:
                assert table[column] == values
            else:
                assert table[column] == pytest.approx(values, rel=1e-12, abs=1e-300), column
        for name, text in zip(wanted["strategy"], sums, strict=True):
            lab.selected = name
            assert f"{text} a day" == lab.arithmetic
    rng = np.random.default_rng(9)
    numbers = [0, 0.125, 2.125, 999.5, 1023.5, 1e6, 999_999, *(10 ** rng.uniform(-6, 21, 400)).tolist()]
    texts = page.evaluate(
        "all => all.map(n => [lab.bytesText(n), lab.bytesText(n, 'binary'), lab.numberText(n), lab.moneyText(n), lab.shareText(n)])",
        numbers,
    )
    page.close()
    for number, text in zip(numbers, texts, strict=True):
        python = [bytes_text(number), bytes_text(number, "binary"), number_text(number), money_text(number)]
        assert text == [*python, share_text(number)], number


def test_sliders_ask_the_kernel(shown):
    page = shown.page
    assert kept(page) == pytest.approx([6480e9, 648e9, 64.8e9, 128.952e9, 385.56e9])
    slider(page, "requests_per_s").focus()
    page.keyboard.press("ArrowRight")
    shown.wait_kernel("print(w.requests_per_s)", "12000")
    wait_kept(page, 0, 7776e9)
    box(page, "error_rate").fill("5")
    page.keyboard.press("Enter")
    shown.wait_kernel("print(w.error_rate)", "0.05")
    pick(page, "of spans")
    shown.wait_kernel("print(w.error_level)", "span")
    shown.wait_kernel("print(w.own)", "[1, 0.05]")
    slider(page, "own_others").focus()
    page.keyboard.press("Home")
    shown.wait_kernel("print(w.own)", "[1, 0]")
    pick(page, "the start")
    shown.wait_kernel("print(w.own)", "0")
    assert not slider(page, "own_errors").is_visible()
    shown.kernel("w.requests_per_s = 100; w.error_level = 'trace'")
    wait_kept(page, 0, 64.8e9)
    assert box(page, "requests_per_s").input_value() == "100"
    shown.wait_kernel("print(w.table['gb_per_day'][0])", "64.8")


def test_quick_changes_arrive_and_two_views_agree(shown):
    page = shown.page
    shown.run_cell(1)
    page.wait_for_function("() => document.querySelectorAll('.ta-storage').length === 2")
    slider(page, "bytes_per_span").focus()
    for _ in range(10):
        page.keyboard.press("ArrowRight")
    shown.wait_kernel("print(w.bytes_per_span)", "5000")
    page.wait_for_function(
        "() => [...document.querySelectorAll('.ta-storage-strategy:nth-child(2)')].every(row => Number(row.dataset.kept) === 6.48e13)"
    )
    boxes = page.locator("[data-control='bytes_per_span'] input[type=number]").evaluate_all(
        "all => all.map(b => b.value)"
    )
    assert boxes == ["5000", "5000"]
    assert shown.kernel("print(len(get_ipython().user_ns['In']))") == "3"  # no key reached the notebook


def test_a_page_without_a_kernel_adds_up_itself(show):
    page = show(storage())
    slider(page, "requests_per_s").focus()
    for key in ("Home", "ArrowRight", "PageUp"):
        page.keyboard.press(key)
    stops = storage()._tables["controls"][0]["stops"]
    value = int(box(page, "requests_per_s").input_value())
    assert value in stops[2:]
    wait_kept(page, 0, storage(requests_per_s=value).table["gb_per_day"][0] * 1e9)
    box(page, "requests_per_s").fill("12345")
    page.keyboard.press("Tab")
    wait_kept(page, 3, storage(requests_per_s=12345).table["gb_per_day"][3] * 1e9)
    box(page, "requests_per_s").press("ArrowUp")
    assert box(page, "requests_per_s").input_value() == "15000"
    box(page, "requests_per_s").press("ArrowDown")
    assert box(page, "requests_per_s").input_value() == "12000"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("requests_per_s", "-5", "expected a number from 0"),
        ("replication", "1.5", "expected a whole number from 1"),
        ("compression", "0", "expected a number above 0 and at most 100 %"),
        ("error_rate", "120", "expected a number from 0 to 100 %"),
        ("requests_per_s", "", "expected a number from 0"),
    ],
)
def test_a_number_that_is_not_allowed_is_said_and_taken_back(show, name, text, message):
    page = show(storage())
    before, bytes_before = box(page, name).input_value(), kept(page)
    box(page, name).fill(text)
    page.keyboard.press("Enter")
    assert box(page, name).get_attribute("aria-invalid") == "true"
    assert message in page.locator(".ta-board-live").text_content()
    page.keyboard.press("Tab")
    assert box(page, name).input_value() == before
    assert box(page, name).get_attribute("aria-invalid") == "false"
    assert kept(page) == bytes_before


def test_an_empty_price_is_no_price(show):
    page = show(storage())
    box(page, "price_per_gb_month").fill("")
    page.keyboard.press("Enter")
    page.wait_for_function(
        "() => document.querySelector('.ta-storage-strategy .ta-storage-month').textContent === '\\u2013'"
    )
    assert slider(page, "price_per_gb_month").get_attribute("aria-valuetext") == "none"


def test_strategies_are_chosen_by_keys_and_mouse(show):
    page = show(storage())
    assert total(page) == storage().arithmetic.removesuffix(" a day")
    page.locator(".ta-storage-strategy input").first.focus()
    page.keyboard.press("ArrowDown")
    page.wait_for_function("() => document.querySelector('[data-sum]').dataset.sum.includes('10 % = 7.5 MB/s')")
    assert "90 % of the traces with an error are lost too" in page.locator(".ta-board-live").text_content()
    page.locator("[data-strategy='errors + 1 %']").click()
    page.wait_for_function("() => document.querySelector('[data-sum]').dataset.sum.includes('= 129 GB =')")
    assert "all 75 MB/s must reach a collector" in page.locator(".ta-storage-words").inner_text()
    assert "2.25 GB" in page.locator(".ta-storage-sum").nth(2).inner_text()
    label = page.locator("[data-strategy='errors + 1 %'] input").get_attribute("aria-label")
    assert label.startswith("errors + 1 %: 129 GB kept a day, 1.99 % of the traces; 6.48 TB sent to a collector a day;")


def test_units_are_switched(show):
    page = show(storage())
    page.locator(".ta-storage-strategy input").first.focus()
    page.keyboard.press("u")
    page.wait_for_function(
        "() => document.querySelector('.ta-storage-strategy .ta-storage-day').textContent === '5.89 TiB'"
    )
    pick(page, "GB")
    page.wait_for_function(
        "() => document.querySelector('.ta-storage-strategy .ta-storage-day').textContent === '6.48 TB'"
    )


def test_bars_are_as_long_as_the_bytes(show):
    page = show(storage())
    page.wait_for_timeout(250)
    widths = page.evaluate(
        """() => [...document.querySelectorAll('.ta-storage-strategy')].map(row => ['kept', 'sent'].map(
            name => row.querySelector('.ta-storage-' + name).getBoundingClientRect().width / row.querySelector('.ta-storage-lane').clientWidth))"""
    )
    wanted = [[1, 1], [0.1, 0.1], [0.01, 0.01], [0.0199, 1], [0.0595, 1]]
    assert np.array(widths) == pytest.approx(np.array(wanted), abs=0.004)


def test_with_guess_first_the_answer_waits_for_the_learner(show):
    page = show(storage(predict=True))
    assert kept(page)[0] == 6480e9
    slider(page, "requests_per_s").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("() => document.querySelector('.ta-storage-strategy').dataset.kept === '?'")
    assert set(page.locator(".ta-storage-strategy .ta-storage-number").all_inner_texts()) == {"?"}
    assert total(page) == "?"
    assert "TB" not in page.locator(".ta-board-result").inner_text()
    page.get_by_role("button", name="Show what happens").click()
    wait_kept(page, 0, 7776e9)
    slider(page, "requests_per_s").focus()
    page.keyboard.press("ArrowLeft")  # back where it was before: to be guessed again
    page.wait_for_function("() => document.querySelector('.ta-storage-strategy').dataset.kept === '?'")
    page.locator(".ta-board-title").click()
    page.locator("[data-strategy='all'] input").focus()
    page.keyboard.press("p")
    wait_kept(page, 0, 6480e9)


def test_the_wrong_figures_are_explained_for_the_load_that_they_are_about(show):
    page = show(storage())
    claims = page.locator(".ta-storage-claim")
    assert not claims.first.is_visible()
    opener = page.get_by_role("button", name="Show figures")
    opener.click()
    assert opener.get_attribute("aria-expanded") == "true"
    told = claims.all_inner_texts()
    assert [claim in text for claim, text in zip(("6.3 TB", "630 GB", "63 GB", "100 GB"), told, strict=True)] == [
        True
    ] * 4
    assert page.locator(".ta-storage-claim del").count() == 4
    box(page, "bytes_per_span").fill("600")
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.querySelector('.ta-storage-claims').hidden")
    assert opener.is_disabled()
    page.get_by_role("button", name="Set the load of the example").click()
    wait_kept(page, 0, 6480e9)
    page.locator("[data-strategy='all'] input").focus()
    page.keyboard.press("w")
    assert claims.first.is_visible()


def test_the_keys_are_listed(show):
    page = show(storage())
    page.locator("[data-strategy='all'] input").focus()
    page.keyboard.press("?")
    assert "decimal units" in page.locator(".ta-board-help").inner_text()
    page.keyboard.press("Escape")
    assert not page.locator(".ta-board-help").is_visible()
    assert page.evaluate("() => document.activeElement.type") == "radio"


def test_every_control_has_a_name(show):
    page = show(storage())
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll('.ta-storage input, .ta-storage button')].filter(
            e => !e.getAttribute('aria-label') && !e.closest('label')?.textContent.trim()).map(e => e.outerHTML)"""
    )
    assert unnamed == []


@pytest.mark.parametrize("dark", [False, True])
def test_the_theme_is_that_of_the_page(show, dark):
    page = show(storage(), dark=dark)
    found = page.evaluate("() => getComputedStyle(document.querySelector('.ta-storage')).backgroundColor")
    assert sum(map(int, found[4:-1].split(","))) < 150 if dark else found == "rgb(255, 255, 255)"
    assert page.locator("[data-theme]").get_attribute("data-theme") == ("dark" if dark else "light")


@pytest.mark.parametrize("width", [420, 600, 800, 1280])
def test_nothing_sticks_out(show, width):
    lab = storage(requests_per_s=1e6, spans_per_trace=999, bytes_per_span=49_999, error_size_ratio=3, compression=0.21)
    lab.selected = "errors + 1 %"
    page = show(lab, viewport=(width, 900))
    assert page.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth")
    outside = page.evaluate(
        """() => { const all = document.querySelector('.ta-storage').getBoundingClientRect();
        return [...document.querySelectorAll('.ta-storage *')].filter(e => e.offsetParent && !e.closest('.ta-board-live'))
            .filter(e => { const b = e.getBoundingClientRect(); return b.right > all.right + 1 || b.left < all.left - 1 }).map(e => e.className) }"""
    )
    assert outside == []


def test_hostile_values_are_not_code(show, tmp_path):
    lab = storage()
    path = lab.to_html(tmp_path / "page.html")
    text = path.read_text(encoding="utf-8")
    start = text.index('id="traceanalytics-state">') + len('id="traceanalytics-state">')
    end = text.index("</script>", start)
    state = json.loads(text[start:end])
    hostile = "<img src=x onerror=document.title=1>"
    state["state"]["_tables"]["wrong"][0]["claim"] = hostile
    state["state"]["_tables"]["controls"][0]["label"] = hostile
    path.write_text(text[:start] + json.dumps(state).replace("<", "\\u003c") + text[end:], encoding="utf-8")
    page = show(path)
    page.get_by_role("button", name="Show figures").click()
    assert hostile in page.locator(".ta-storage-claim").first.inner_text()
    assert page.locator(".ta-storage img").count() == 0
