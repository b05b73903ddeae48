"""Traces are untrusted: whatever stands in them is shown as text, runs nothing, makes no element, asks for nothing."""

from __future__ import annotations

import json

import pytest
from small_traces import EPOCH_NS, draw
from waterfall_driver import Driver, opened

import traceanalytics as ta
from traceanalytics.widgets import waterfall

HOSTILE = (
    "<script>document.title = 'owned'</script>",
    "</script><script>document.title = 'owned'</script>",
    "<img src=x onerror=\"document.title='owned'\">",
    "<svg/onload=alert(1)>",
    "<iframe src=javascript:alert(1)></iframe>",
    '"><b id=owned>bold</b>',
    "' onmouseover='alert(1)",
    "javascript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "{{constructor.constructor('alert(1)')()}}",
    "${alert(1)}`${alert(1)}`",
    "<style>*{background:url(https://example.com/a)}</style>",
    "<link rel=stylesheet href=https://example.com/a.css>",
    "<!-- <script>",
    "]]><script>alert(1)</script>",
    "<base href=https://example.com/>",
    "<meta http-equiv=refresh content='0;url=https://example.com'>",
    "<a href=javascript:alert(1)>x</a>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "__proto__",
    "constructor",
    "\u202egnp.exe\u2066\u200f",
    "line\nbreak\ttab\x00nul\x1b[31m\x7f\x9b",
    "\u2028\u2029\ufeff\u200b",
    "\U0001f469\u200d\U0001f680 \ud83d",
    "\\u003cscript\\u003e",
    "x" * 1_000_000,
    "<b>" * 50_000,
)
ELEMENTS = "script, img, svg, iframe, b, a, style, link, base, meta, form, object, embed, audio, video, [onerror], [onload], [onmouseover]"


def hostile():
    """Every text as a name, service, attribute (key and value), event, message, scope; and ids that are no ids."""
    rows = "\n".join(f"        s{at} s{at} {at}-{at + 20} ERROR" for at in range(len(HOSTILE)))
    spans = draw(f"root web 0-100\n{rows}".replace("root", "    root"))
    texts = [text.encode("utf-8", "replace").decode() for text in HOSTILE]
    spans["name"] = ["root", *texts]
    spans["service"] = ["web", *texts]
    spans["status_message"] = [None, *texts]
    spans["scope_name"] = [None, *texts]
    spans["trace_state"] = [None, *texts]
    spans["span.text"] = [None, *texts]
    for at, text in enumerate(texts):
        if len(text) < 200:
            spans[f"span.{text}"] = [None] * (at + 1) + [text] + [None] * (len(texts) - at - 1)
    spans["events"] = [None] + [
        json.dumps(
            [
                {"time": EPOCH_NS, "name": text, "attributes": {text[:99]: text}},
                {"time": EPOCH_NS, "name": "exception", "attributes": {"exception.stacktrace": text}},
            ]
        )
        for text in texts
    ]
    spans["links"] = [None] + [
        json.dumps([{"trace_id": text[:60], "span_id": text[:60], "attributes": {"why": text}}]) for text in texts
    ]
    for column in ("name", "service", "scope_name"):
        spans[column] = spans[column].astype("category")
    return spans


@pytest.fixture(scope="module")
def trouble():
    return []


@pytest.fixture(scope="module")
def view(chromium, tmp_path_factory, trouble):
    path = tmp_path_factory.mktemp("hostile") / "trace.html"
    ta.options.trace_url = "https://example.com/{trace_id}"
    try:
        waterfall(hostile(), theme="light", height=900, color="span.text").to_html(path)
    finally:
        ta.options.reset()
    page = opened(chromium, path, trouble=trouble, viewport={"width": 1280, "height": 1000})
    page.evaluate("""() => { window.violations = [];
        document.addEventListener('securitypolicyviolation', e => window.violations.push(e.violatedDirective)) }""")
    yield Driver(page, high=100)
    page.context.close()


def elements(view):
    """What the widget is made of that could do something, and every attribute that would be a script."""
    return view.page.evaluate(
        """what => { const root = document.getElementById('widget');
        const found = [...root.querySelectorAll(what)].map(e => e.outerHTML.slice(0, 99));
        for (const e of root.querySelectorAll('*')) for (const a of e.attributes)
            if (/^on/i.test(a.name) || (a.name !== 'title' && /javascript:/i.test(a.value))) found.push(a.name);
        return found }""",
        ELEMENTS,
    )


def innocent(view, trouble):
    assert trouble == []
    assert view.page.evaluate("window.violations") == []
    assert "owned" not in view.page.title()
    assert view.page.locator("#owned").count() == 0


def test_the_page_only_draws(view, trouble):
    assert elements(view) == []
    innocent(view, trouble)


@pytest.mark.parametrize("color", ["service", "kind", "status", "span.text"])
def test_colours_and_their_legend(view, trouble, color):
    view.put(color=color)
    view.frame()
    assert elements(view) == []
    innocent(view, trouble)


def test_every_row_hovered_and_selected(view, trouble):
    for row in range(len(HOSTILE) + 1):
        view.page.mouse.move(*view.at(200, min(view.y(row), view.box()["height"] - 3)))
        view.put(selected_rows=[row])
    view.frame()
    assert elements(view) == []
    innocent(view, trouble)


def test_every_detail(view, trouble):
    view.put(selected_rows=[0])
    view.page.get_by_role("button", name="Details of the span (Enter)").click()
    for row in range(len(HOSTILE) + 1):
        view.put(selected_rows=[row])
        view.until(lambda: view.page.locator(".ta-detail").get_attribute("data-row"), str(row))
        view.page.wait_for_selector(".ta-detail .ta-part-head")
        for more in view.page.locator(".ta-unfold").all()[:2]:
            more.click()
        links = view.page.eval_on_selector_all(
            ".ta-detail a", "all => all.map(a => [a.protocol, a.host, a.rel, a.target])"
        )
        assert all(link == ["https:", "example.com", "noreferrer noopener", "_blank"] for link in links)
        others = [
            each for each in elements(view) if not each.startswith('<a class="ta-link" href="https://example.com/')
        ]
        assert others == []
        value = view.page.locator(".ta-detail").text_content()
        assert not any("\u202a" <= sign <= "\u202e" or "\u2066" <= sign <= "\u2069" or sign == "\x1b" for sign in value)
    innocent(view, trouble)


def test_texts_of_a_million_letters_are_cut(view):
    row = 1 + next(at for at, text in enumerate(HOSTILE) if len(text) == 1_000_000)
    view.put(selected_rows=[row])
    view.until(lambda: view.page.locator(".ta-detail").get_attribute("data-row"), str(row))
    view.page.wait_for_selector(".ta-detail .ta-part-head")
    assert len(view.page.locator("#widget").text_content()) < 400_000
    assert "1,000,000" in view.page.locator(".ta-detail").text_content()


def test_copying_all_as_json_keeps_strange_keys(view, trouble):
    view.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    row = 1 + HOSTILE.index("__proto__")
    view.put(selected_rows=[row])
    view.until(lambda: view.page.locator(".ta-detail").get_attribute("data-row"), str(row))
    view.page.get_by_role("button", name="Copy all attributes as JSON").click()
    view.until(view.live, "Copied")
    found = json.loads(view.page.evaluate("navigator.clipboard.readText()"))
    assert found["span"]["__proto__"] == "__proto__"
    assert view.page.evaluate("({}).polluted") is None
    innocent(view, trouble)


@pytest.mark.parametrize("text", [text for text in HOSTILE if len(text) < 200])
def test_searching(view, trouble, text):
    view.put(filter=text)
    view.frame()
    assert elements(view) in ([], [e for e in elements(view) if e.startswith('<a class="ta-link"')])
    view.put(filter="")
    innocent(view, trouble)


def test_a_hostile_model_draws_no_style_and_no_script(view, trouble):
    view.put(
        filter="{ <img src=x onerror=alert(1)> }",
        _filter_error="<img src=x onerror=alert(1)>",
        color="red;background:url(https://example.com)",
        _color_table={
            "key": "red;background:url(https://example.com)",
            "labels": ["<b>x</b>"],
            "colors": ["url(https://example.com)"],
        },
        view=["a", {}],
        collapsed=["x", -5, 1e9],
        selected_rows=["0", 1.5, None],
        highlight="<script>",
        theme="<script>",
        height="9999999px;",
    )
    view.frame()
    assert [each for each in elements(view) if not each.startswith('<a class="ta-link"')] == []
    view.put(
        filter="", color="service", view=None, collapsed=[], selected_rows=[], highlight=None, theme="light", height=900
    )
    innocent(view, trouble)


def test_no_source_of_markup_or_code_in_the_front_end():
    from traceanalytics.widgets.linking import link

    text = link("waterfall.js")
    for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "cssText"):
        assert word not in text, word
    for word in ("fetch(", "XMLHttpRequest", "WebSocket", "import(", "sendBeacon", "https://", "http://"):
        assert word not in text, word
