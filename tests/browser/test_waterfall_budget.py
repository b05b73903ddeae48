"""What the waterfall may cost: rows drawn, memory kept, bytes of code, no request."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from waterfall_driver import ROW, Driver, hosted, opened, two_traces

from traceanalytics.widgets import waterfall

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

N = 50_000


@pytest.fixture(scope="module")
def trouble():
    return []


@pytest.fixture(scope="module")
def view(chromium, tmp_path_factory, trouble):
    import generate

    path = tmp_path_factory.mktemp("budget") / "trace.html"
    waterfall(generate.forest(N, 1), theme="light").to_html(path, max_details=10)
    page = opened(chromium, path, trouble=trouble)
    yield Driver(page)
    page.context.close()


def rows_allowed(view):
    return view.box()["height"] / ROW + 2


def test_only_what_is_seen_is_drawn(view):
    assert view.data("rowsTotal") == str(N)
    assert int(view.data("rowsDrawn")) <= rows_allowed(view)
    for top in (1, 11, 500_000, 10**9):
        view.page.evaluate("top => { document.querySelector('.ta-scroll').scrollTop = top }", top)
        view.frame()
        assert 0 < int(view.data("rowsDrawn")) <= rows_allowed(view)
    assert view.page.evaluate("document.querySelectorAll('#widget *').length") < 500


def test_folding_and_asking_draw_no_more(view):
    for traits in ({"collapsed": [1, 2, 3]}, {"filter": "operation 7", "only": True}, {"filter": "", "only": False}):
        view.put(**traits)
        view.frame()
        assert int(view.data("rowsDrawn")) <= rows_allowed(view)
    view.put(collapsed=[])


def test_zooming_and_hovering_keep_no_memory(view):
    protocol = view.page.context.new_cdp_session(view.page)
    act = """async times => { const c = document.querySelector('.ta-body'), r = c.getBoundingClientRect();
        const s = document.querySelector('.ta-scroll');
        for (let i = 0; i < times; i++) {
          const at = { clientX: r.left + 500 + i % 300, clientY: r.top + 5 + (i * 22) % (r.height - 10), bubbles: true, cancelable: true };
          c.dispatchEvent(new WheelEvent('wheel', { ...at, deltaY: i % 40 < 20 ? -80 : 80, ctrlKey: true }));
          c.dispatchEvent(new PointerEvent('pointermove', at));
          s.scrollTop = (i * 997) % 900000;
          if (i % 2) await new Promise(requestAnimationFrame);
        } }"""

    def heap():
        protocol.send("HeapProfiler.collectGarbage")
        return protocol.send("Runtime.getHeapUsage")["usedSize"]

    view.page.evaluate(act, 60)
    before = heap()
    view.page.evaluate(act, 200)
    assert heap() - before < 1_000_000


def test_selecting_and_detailing_keep_little(view):
    protocol = view.page.context.new_cdp_session(view.page)
    act = """times => { for (let i = 0; i < times; i++) window.traceanalytics.model.set('selected_rows', [(i * 37) % 50000]) }"""

    def heap():
        protocol.send("HeapProfiler.collectGarbage")
        return protocol.send("Runtime.getHeapUsage")["usedSize"]

    view.page.evaluate(act, 50)
    before = heap()
    view.page.evaluate(act, 500)
    assert heap() - before < 1_000_000


def test_the_module_is_small():
    assert len(waterfall(two_traces())._esm) <= 60_000


def test_nothing_is_asked_for(view, trouble):
    names = view.page.evaluate("performance.getEntriesByType('resource').map(each => each.name)")
    assert names == []
    assert trouble == []


def test_it_all_goes_away_with_the_widget(chromium):
    page = hosted(chromium, waterfall(two_traces(), theme="auto"))
    protocol = page.context.new_cdp_session(page)

    def counts():
        protocol.send("HeapProfiler.collectGarbage")
        found = protocol.send("Memory.getDOMCounters")
        return found["nodes"], found["jsEventListeners"]

    def heard():
        return page.evaluate("[...window.listeners.values()].reduce((sum, set) => sum + set.size, 0)")

    page.evaluate("() => { window.show()() }")
    before = counts()
    page.evaluate("() => { window.away = window.show() }")
    page.mouse.move(600, 300)
    page.keyboard.press("j")
    assert counts()[0] > before[0] + 50
    assert heard() > 8
    page.evaluate("() => { window.away(); window.away = null }")
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => setTimeout(done, 50)))")
    after = counts()
    assert page.evaluate("document.getElementById('host').childElementCount") == 0
    assert heard() == 0
    assert after[0] <= before[0] + 2
    assert after[1] <= before[1]
    page.close()
