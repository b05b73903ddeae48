"""Drive the waterfall of an exported page in a browser: keys, mouse, the model's state, pixels."""

from __future__ import annotations

import base64
import hashlib
import json
import time

from small_traces import EPOCH_NS, draw, id_of, trace_of

from traceanalytics.widgets.linking import link

ROW = 22
TOP = 4
HEIGHT = 12
DEFAULTS = {
    "selected_rows": [],
    "view": None,
    "collapsed": [],
    "filter": "",
    "highlight": "critical_path",
    "only": False,
    "color": "service",
    "theme": "light",
}

FIRST = """
    checkout  web      0-100   SERVER
      verify  web      5-25    CLIENT
        check auth     8-20    SERVER
      load    web      30-70   CLIENT  ERROR
        query1 db      32-60   SERVER
        query2 db      61-69   SERVER  ERROR
      tick    web      80-80
      open    -        85-?
      late    web      90-120
      blind   cart     ?-?
    lost      stock    40-50   parent=elsewhere
"""
SECOND = """
    second    web      0-60    SERVER
      ship    shipping 10-50   CLIENT
"""
ROWS = [
    "checkout",
    "verify",
    "check",
    "load",
    "query1",
    "query2",
    "tick",
    "open",
    "late",
    "blind",
    "lost",
    "second",
    "ship",
]
"""Rows in pre-order; there are two traces, so row r of the first one stands at place r + 1, of the second one at r + 2."""

STACK = "Traceback (most recent call last):\n  File app.py\nValueError: out of stock"


def two_traces():
    """The traces of most tests, with events, a link and attributes."""
    spans = draw(FIRST, SECOND)
    spans["span.http.route"] = spans["name"].map({"verify": "/verify", "load": "/load"}).astype("category")
    spans["resource.host.name"] = "node-1"
    events = [
        {"time": EPOCH_NS + 45_000_000, "name": "cache miss", "attributes": {"cache.key": "a"}},
        {"time": EPOCH_NS + 65_000_000, "name": "exception", "attributes": {"exception.stacktrace": STACK}},
    ]
    links = [
        {"trace_id": trace_of(1), "span_id": id_of("ship"), "attributes": {"why": "batch"}},
        {"trace_id": "f" * 32, "span_id": "e" * 16, "attributes": {}},
    ]
    load = spans.index[spans["name"] == "load"]
    spans.loc[load, "events"] = json.dumps(events)
    spans.loc[load, "links"] = json.dumps(links)
    return spans


class Driver:
    """A page with a waterfall."""

    def __init__(self, page, *, low=0.0, high=120.0):
        self.page = page
        self.low = low
        self.high = high
        self.canvas = page.locator(".ta-body")
        page.wait_for_selector("#widget[data-painted='1']")

    # The model.

    def get(self, name):
        return self.page.evaluate("name => window.traceanalytics.model.get(name)", name)

    def put(self, **traits):
        self.page.evaluate(
            "traits => { for (const name in traits) window.traceanalytics.model.set(name, traits[name]) }", traits
        )

    def reset(self):
        """Everything as it was in the beginning, but for the width of the names."""
        self.page.mouse.move(1, 1)
        if self.help_open():
            self.page.keyboard.press("Escape")
        if self.detail_open():
            self.page.locator(".ta-detail-head button").click()
        self.page.evaluate("document.activeElement.blur()")
        self.put(**DEFAULTS)
        self.page.evaluate("document.querySelector('.ta-scroll').scrollTop = 0")
        self.frame()

    def frame(self):
        """Wait until what was asked for is painted."""
        self.page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def until(self, look, wanted):
        deadline = time.monotonic() + 5
        while (found := look()) != wanted:
            assert time.monotonic() < deadline, f"found {found!r}, expected {wanted!r}"
            time.sleep(0.02)

    # What is seen.

    def text(self, selector):
        return self.page.locator(selector).first.text_content()

    def live(self):
        return self.text(".ta-live")

    def data(self, name):
        return self.page.evaluate("name => document.getElementById('widget').dataset[name]", name)

    def scroll_top(self):
        return self.page.evaluate("document.querySelector('.ta-scroll').scrollTop")

    def detail_open(self):
        return self.page.locator(".ta-detail").is_visible()

    def help_open(self):
        return self.page.locator(".ta-help").is_visible()

    def focused(self):
        return self.page.evaluate("document.activeElement.className")

    # Places.

    def box(self):
        return self.canvas.bounding_box()

    def label_width(self):
        return self.page.evaluate("document.querySelector('.ta-corner').offsetWidth")

    def x(self, ms):
        """Where an instant lies, from the left edge of the canvas."""
        low, high = self.get("view") or (self.low, self.high)
        left = self.label_width()
        return left + (ms - low) / (high - low) * (self.box()["width"] - left - 12)

    def y(self, place):
        """The middle of a row's bar, from the top of the canvas."""
        return place * ROW + TOP + HEIGHT / 2 - self.scroll_top()

    def at(self, x, y):
        """The same from the corner of the page."""
        box = self.box()
        return box["x"] + x, box["y"] + y

    def colors(self, x, y, width, height):
        """The different colours of a part of the canvas, as #rrggbb."""
        return set(
            self.page.evaluate(
                """([x, y, w, h]) => { const canvas = document.querySelector('.ta-body');
                const k = canvas.width / canvas.clientWidth;
                const at = [x * k, y * k, Math.max(1, w * k), Math.max(1, h * k)].map(Math.round);
                const { data } = canvas.getContext('2d').getImageData(...at); const found = new Set();
                for (let i = 0; i < data.length; i += 4) found.add('#' + [0, 1, 2].map(
                    c => data[i + c].toString(16).padStart(2, '0')).join(''));
                return [...found] }""",
                [x, y, width, height],
            )
        )

    def color(self, x, y):
        """The colour of one pixel."""
        (found,) = self.colors(x, y, 0, 0)
        return found

    # Acts.

    def key(self, *names):
        if "ta-body" not in self.focused():
            self.canvas.focus()
        for name in names:
            self.page.keyboard.press(name)
        self.frame()

    def click(self, x, y, **options):
        """Click on the canvas with the mouse; ``modifiers`` are held meanwhile."""
        held = options.pop("modifiers", [])
        for name in held:
            self.page.keyboard.down(name)
        self.page.mouse.click(*self.at(x, y), **options)
        for name in held:
            self.page.keyboard.up(name)
        self.frame()

    def drag(self, start, end, *, button="left", modifiers=()):
        """Drag between two points of the page."""
        for name in modifiers:
            self.page.keyboard.down(name)
        self.page.mouse.move(*start)
        self.page.mouse.down(button=button)
        self.page.mouse.move((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
        self.page.mouse.move(*end)
        self.page.mouse.up(button=button)
        for name in modifiers:
            self.page.keyboard.up(name)
        self.frame()

    def wheel(self, x, y, *, dx=0, dy=0, ctrl=False):
        """Turn the wheel over the canvas."""
        self.page.mouse.move(*self.at(x, y))
        if ctrl:
            self.page.keyboard.down("Control")
        self.page.mouse.wheel(dx, dy)
        self.page.wait_for_timeout(30)
        if ctrl:
            self.page.keyboard.up("Control")
        self.frame()


def exposed(path):
    """Hand the page's model out to the tests, as ``window.traceanalytics.model``, where the page keeps it to itself."""
    text = path.read_text(encoding="utf-8")
    if "traceanalytics = { model }" in text:
        return
    script = text.split('<script type="module">', 1)[1].rsplit("</script>", 1)[0]
    told = script.replace(
        "const model = pageModel(state);", "const model = pageModel(state); window.traceanalytics = { model };"
    )
    assert told != script

    def mark(code):
        return base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()

    assert mark(script) in text
    path.write_text(text.replace(script, told).replace(mark(script), mark(told)), encoding="utf-8")


def opened(chromium, path, *, trouble=None, **context):
    """A page with an exported file; what goes wrong in it is appended to ``trouble``."""
    options = {"viewport": {"width": 1280, "height": 800}, "color_scheme": "light"} | context
    page = chromium.new_context(**options).new_page()
    page.set_default_timeout(10_000)
    if trouble is not None:
        page.on("pageerror", lambda error: trouble.append(f"error: {error}"))
        page.on("console", lambda said: trouble.append(f"console: {said.text}") if said.type == "error" else None)
        page.on("dialog", lambda dialog: (trouble.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on(
            "request",
            lambda asked: None if asked.url == path.as_uri() else trouble.append(f"request: {asked.url[:200]}"),
        )
    exposed(path)
    page.goto(path.as_uri())
    page.wait_for_selector("#widget[data-painted='1']")
    return page


_SMALL = {"_tables", "_color_table", "_filter_error", "_match_count", "height", *DEFAULTS}
_HOST = """([state, columns]) => {
    for (const name in columns) state[name] = new DataView(Uint8Array.from(atob(columns[name]), c => c.charCodeAt(0)).buffer);
    const listeners = window.listeners = new Map();
    const heard = name => listeners.get(name) ?? listeners.set(name, new Set()).get(name);
    window.sent = [];
    window.answer = message => heard('msg:custom').forEach(f => f(message, []));
    window.model = { get: name => state[name], save_changes() {}, send: message => window.sent.push(message),
      set: (name, value) => { state[name] = value; [...heard('change:' + name)].forEach(f => f()) },
      on: (name, f) => heard(name).add(f), off: (name, f) => heard(name).delete(f) };
    window.show = (id = 'host') => window.render({ model: window.model, el: document.getElementById(id) }) }"""


def hosted(chromium, widget):
    """A bare page with two places, ``host`` and ``other``, where ``show(id)`` draws the widget; nobody answers but the test.

    What the widget sends is in ``sent``, ``answer(message)`` is a message of the kernel, ``model`` the model.
    """
    state = {name: getattr(widget, name) for name in widget.keys}
    columns = {
        name: base64.b64encode(value).decode()
        for name, value in state.items()
        if isinstance(value, bytes) and name.startswith("_")
    }
    page = chromium.new_page(viewport={"width": 1280, "height": 1300})
    page.set_content("<div id=host></div><div id=other></div>")
    source = link("waterfall.js")
    assert source.endswith("export default { render };")
    page.add_script_tag(content=source.replace("export default { render };", "window.render = render;"), type="module")
    page.evaluate(_HOST, [{name: value for name, value in state.items() if name in _SMALL}, columns])
    return page
