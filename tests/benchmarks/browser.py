"""First paint and frames a second of the waterfall in Chromium: ``python tests/benchmarks/browser.py [spans ...]``."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import generate

from traceanalytics.widgets import waterfall

FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking")
ZOOM = """async () => { const c = document.querySelector('.ta-body'), r = c.getBoundingClientRect(), at = [];
    for (let i = 0; i < 180; i++) {
      c.dispatchEvent(new WheelEvent('wheel', { deltaY: i % 120 < 60 ? -60 : 60, ctrlKey: true, clientX: r.left + 700,
        clientY: r.top + 60, bubbles: true, cancelable: true }));
      await new Promise(requestAnimationFrame); at.push(performance.now()) }
    const gaps = at.slice(1).map((t, i) => t - at[i]).sort((a, b) => a - b);
    return [1000 * gaps.length / (at.at(-1) - at[0]), gaps[Math.floor(gaps.length / 2)], gaps[Math.floor(gaps.length * 0.95)]] }"""
SCROLL = """async () => { const s = document.querySelector('.ta-scroll'), at = [];
    for (let i = 0; i < 120; i++) { s.scrollTop += 97; await new Promise(requestAnimationFrame); at.push(performance.now()) }
    return 1000 * (at.length - 1) / (at.at(-1) - at[0]) }"""
KEY = """async key => { const c = document.querySelector('.ta-body'); c.focus(); const t = performance.now();
    c.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true }));
    await new Promise(done => requestAnimationFrame(() => setTimeout(done))); return performance.now() - t }"""
READY = """() => new Promise(done => { const el = document.getElementById('widget');
    const look = () => el.dataset.painted ? done(performance.now()) : requestAnimationFrame(look); look() })"""


def measure(browser, path):
    """First paint after the navigation in ms; frames a second while zooming and scrolling; ms to fold and ask."""
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(path.as_uri(), wait_until="commit")
    paint = page.evaluate(READY)
    fps, median, late = page.evaluate(ZOOM)
    scroll = page.evaluate(SCROLL)
    keys = {name: page.evaluate(KEY, name) for name in ("]", "[", "e", "m", "m", "c")}
    page.close()
    return paint, fps, median, late, scroll, max(keys.values())


def _say(line):
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(sizes):
    """Print a line a size."""
    from playwright.sync_api import sync_playwright

    _say(
        f"{'spans':>8} {'first paint':>14} {'zoom fps':>10} {'median ms':>10} {'95 % ms':>9} {'scroll fps':>11} {'slowest key':>13}"
    )
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=list(FLAGS))
        for n in sizes:
            path = Path(folder) / f"{n}.html"
            waterfall(generate.forest(n, 1)).to_html(path)
            paint, fps, median, late, scroll, key = measure(browser, path)
            _say(f"{n:>8,} {paint:>11.0f} ms {fps:>10.0f} {median:>10.1f} {late:>9.1f} {scroll:>11.0f} {key:>10.0f} ms")
        browser.close()


if __name__ == "__main__":
    main([int(text) for text in sys.argv[1:]] or [10_000, 50_000, 200_000])
