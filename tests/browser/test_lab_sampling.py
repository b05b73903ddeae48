"""The lab of sampling in a browser: settings, draws, guessing, what a page without a kernel shows."""

from __future__ import annotations

import numpy as np
import pytest
from small_traces import draw

from traceanalytics.lab import sampling

pytestmark = pytest.mark.browser

SHOWN = ".jp-OutputArea [data-painted='1']"
CELL = "from traceanalytics.lab import sampling\nw = sampling()\nw"


@pytest.fixture
def shown(notebook):
    opened = notebook(CELL, "w")
    opened.run_cell(0)
    opened.page.wait_for_selector(SHOWN)
    return opened


def slider(page, name):
    return page.locator(f"[data-control='{name}'] input[type=range]").first


def verdicts(page):
    return page.locator(".ta-sampling-quantity").evaluate_all("rows => rows.map(row => row.dataset.verdict)")


def wait_verdicts(page, wanted):
    page.wait_for_function(
        "wanted => [...document.querySelectorAll('.ta-sampling-quantity')].map(row => row.dataset.verdict).join() === wanted.join()",
        arg=wanted,
    )


def test_strategies_and_sliders_ask_the_kernel(shown):
    page = shown.page
    assert verdicts(page)[:2] == ["ok", "ok"]
    page.get_by_role("radio", name="Rate limit").check()
    shown.wait_kernel("print(w.strategy)", "rate_limit")
    wait_verdicts(page, [*["refused"] * 5, "bound only"])
    assert "no number" in page.locator("[data-quantity='requests']").inner_text()
    page.get_by_role("radio", name="Every error").check()
    wait_verdicts(page, sampled_verdicts("errors_always"))
    slider(page, "errors_p").focus()
    page.keyboard.press("Home")
    shown.wait_kernel("print(w.errors_p)", "0")
    wait_verdicts(page, [*["biased"] * 5, "bound only"])
    page.get_by_role("radio", name="Tail").check()
    page.get_by_text("Every trace with an error").click()
    shown.wait_kernel("print(w.design)", "Design.tail([Policy.latency(300)], p_default=0.05)")
    page.get_by_role("radio", name="Priority").check()
    slider(page, "rule GET /cart").focus()
    page.keyboard.press("End")
    shown.wait_kernel("print(w.rules['GET /cart'])", "1")
    kept = shown.kernel("print(w._now['kept']['traces'])")
    page.wait_for_function("kept => document.querySelector('[data-kept]').dataset.kept === kept", arg=kept)


def sampled_verdicts(strategy):
    lab = sampling()
    lab.strategy = strategy
    return lab.estimates["verdict"].astype(str).tolist()


def test_draws(shown):
    page = shown.page
    before = page.locator("[data-quantity='requests']").get_attribute("data-estimate")
    page.get_by_role("button", name="Another sample").click()
    shown.wait_kernel("print(w.seed)", "1")
    page.wait_for_function(
        "before => document.querySelector('[data-quantity=requests]').dataset.estimate !== before", arg=before
    )
    many = page.get_by_role("button", name="Draw again and again")
    many.click()
    page.wait_for_function("() => document.querySelector('.ta-sampling-draws-text').textContent.includes('10 draws')")
    many.click()  # stop
    page.wait_for_function("() => [...document.querySelectorAll('button')].some(b => b.textContent === 'Go on to 200')")
    stopped = int(shown.kernel("print(w._draws['n'])"))
    assert 10 <= stopped < 200
    many.click()
    page.wait_for_function(
        "() => document.querySelector('.ta-sampling-draws-text').textContent.includes('200 draws')", timeout=120_000
    )
    held = shown.kernel("c = w.coverage; print(round(c['covered'][0] * c['intervals'][0]))")
    assert f"{held} of 200 intervals hold the truth" in page.locator(".ta-sampling-draws-text").text_content()
    assert many.is_disabled()
    slider(page, "head_p").focus()
    page.keyboard.press("ArrowRight")
    shown.wait_kernel("print(w._draws['n'])", "0")
    page.wait_for_function(
        "() => [...document.querySelectorAll('button')].some(b => b.textContent === 'Draw 200 times')"
    )


def test_with_guess_first_the_answer_waits_for_the_learner(shown):
    page = shown.page
    page.get_by_text("Guess first").click()
    shown.wait_kernel("print(w.predict)", "True")
    page.get_by_role("radio", name="Rate limit").check()
    shown.wait_kernel("print(w.strategy)", "rate_limit")
    wait_verdicts(page, ["?"] * 6)
    assert "refused" not in page.locator(".ta-board-result").inner_text()
    page.get_by_role("button", name="Show what happens").click()
    wait_verdicts(page, [*["refused"] * 5, "bound only"])
    page.locator("[data-quantity='requests'] input").focus()
    page.keyboard.press("p")
    shown.wait_kernel("print(w.predict)", "False")
    page.keyboard.press("d")
    shown.wait_kernel("print(w.seed)", "1")
    assert shown.kernel("print(len(get_ipython().user_ns['In']))") == "2"  # no key reached the notebook


def test_a_page_without_a_kernel_shows_one_sample(show):
    lab = sampling()
    lab.strategy = "errors_always"
    lab.draw_many(20)
    page = show(lab)
    assert verdicts(page) == lab.estimates["verdict"].astype(str).tolist()
    assert "Open it in a notebook" in page.locator(".ta-sampling-offline").inner_text()
    assert slider(page, "errors_p").is_disabled()
    assert page.get_by_role("button", name="Another sample").is_disabled()
    page.locator("[data-quantity='requests'] input").focus()
    page.keyboard.press("d")
    page.keyboard.press("m")
    page.keyboard.press("ArrowDown")
    page.wait_for_function("() => document.querySelector('.ta-sampling-text').textContent.startsWith('Error rate: ')")
    assert "20 draws" in page.locator(".ta-sampling-draws-text").text_content()
    page.keyboard.press("?")
    assert "draw again" in page.locator(".ta-board-help").inner_text()


def test_marks_lie_where_the_numbers_are(show):
    lab = sampling()
    page = show(lab)
    page.wait_for_timeout(250)
    found = page.evaluate(
        """() => [...document.querySelectorAll('.ta-sampling-quantity')].slice(0, 5).map(row => {
            const lane = row.querySelector('.ta-sampling-lane').getBoundingClientRect();
            const middle = name => { const b = row.querySelector('.ta-sampling-mark-' + name).getBoundingClientRect(); return (b.left + b.width / 2 - lane.left) / lane.width * 2 };
            return [middle('own'), middle('dot')] })"""
    )
    table = lab.estimates.iloc[:5]
    wanted = np.minimum(table[["raw", "estimate"]].to_numpy() / table[["truth"]].to_numpy(), 2)
    assert np.array(found) == pytest.approx(wanted, abs=0.02)


def test_the_squares_are_the_traces(show):
    lab = sampling()
    page = show(lab)
    found = page.evaluate(
        """() => { const canvas = document.querySelector('.ta-sampling-strip canvas'); const seen = {};
        const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
        for (let i = 0; i < data.length; i += 4) { const c = [...data.slice(i, i + 4)].join(); seen[c] = (seen[c] ?? 0) + 1 }
        return seen }"""
    )
    pixels = [found[color] for color in ("0,114,178,255", "230,159,0,255", "179,0,27,255")]
    kept = lab._now["kinds"]
    assert np.array(pixels) / sum(pixels) == pytest.approx(np.array(kept) / sum(kept), abs=1e-6)
    label = page.locator(".ta-sampling-strip canvas").get_attribute("aria-label")
    assert f"with an error: {kept[2]} of " in label


@pytest.mark.parametrize("dark", [False, True])
def test_the_theme_is_that_of_the_page(show, dark):
    page = show(sampling(), dark=dark)
    found = page.evaluate("() => getComputedStyle(document.querySelector('.ta-sampling')).backgroundColor")
    assert sum(map(int, found[4:-1].split(","))) < 150 if dark else found == "rgb(255, 255, 255)"


@pytest.mark.parametrize("width", [420, 600, 800, 1000, 1280])
@pytest.mark.parametrize("strategy", ["tail", "priority"])
def test_nothing_sticks_out(show, width, strategy):
    lab = sampling()
    lab.strategy = strategy
    lab.draw_many(5)
    page = show(lab, viewport=(width, 900))
    assert page.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth")
    outside = page.evaluate(
        """() => { const all = document.querySelector('.ta-sampling').getBoundingClientRect();
        return [...document.querySelectorAll('.ta-sampling *')].filter(e => e.offsetParent && !e.closest('.ta-board-live'))
            .filter(e => { const b = e.getBoundingClientRect(); return b.right > all.right + 1 || b.left < all.left - 1 }).map(e => e.className) }"""
    )
    assert outside == []


def test_every_control_has_a_name(show):
    page = show(sampling())
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll('.ta-sampling input, .ta-sampling button')].filter(
            e => !e.getAttribute('aria-label') && !e.closest('label')?.textContent.trim()).map(e => e.outerHTML)"""
    )
    assert unnamed == []


def test_hostile_names_are_text(show):
    hostile = [
        "<script>document.title = 'owned'</script>",
        "</script><img src=x onerror=\"document.title='owned'\">",
        "__proto__",
    ]
    spans = draw(*[f"root{at} web 0-10" for at in range(len(hostile))])
    spans["name"] = hostile
    lab = sampling(spans)
    lab.strategy = "priority"
    page = show(lab)
    assert page.title() != "owned"
    assert page.locator(".ta-sampling script, .ta-sampling img").count() == 0
    assert hostile[0] in page.locator(".ta-board-controls").inner_text()
