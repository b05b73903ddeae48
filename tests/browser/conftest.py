"""A real browser: Debian's Chromium through Playwright, exported pages from files, and notebooks in a real JupyterLab.

``apt-get install chromium`` installs it; nothing is ever downloaded by the tests. Without Chromium the tests are skipped, but where
``CI`` is set they fail.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

import nbformat
import pytest

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
)
READY = """() => { const s = window.jupyterapp?.shell?.currentWidget?.sessionContext;
  return s?.session?.kernel?.connectionStatus === 'connected' && s.session.kernel.status === 'idle' }"""
FOLDERS = (
    "JUPYTER_CONFIG_DIR",
    "JUPYTER_DATA_DIR",
    "JUPYTER_RUNTIME_DIR",
    "JUPYTERLAB_SETTINGS_DIR",
    "JUPYTERLAB_WORKSPACES_DIR",
    "IPYTHONDIR",
)


def _missing(what):
    (pytest.fail if os.environ.get("CI") else pytest.skip)(what)


@pytest.fixture(scope="session")
def chromium():
    """The browser, one for all tests."""
    found = shutil.which("chromium")
    if found is None:
        _missing("chromium is not installed: apt-get install chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        _missing("playwright is not installed: pip install playwright")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def show(chromium, tmp_path):
    """``show(widget)`` or ``show(path)``: the page of an exported file, painted. At the end: no error in it, and no request."""
    contexts = []
    trouble = []

    def open_page(widget, *, viewport=(1280, 900), dark=False, scale=1, name="trace.html", **options):
        path = widget.to_html(tmp_path / name, **options) if hasattr(widget, "to_html") else widget
        context = chromium.new_context(
            viewport={"width": viewport[0], "height": viewport[1]},
            color_scheme="dark" if dark else "light",
            device_scale_factor=scale,
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        _watch(page, trouble, allowed=("file://", "blob:"))
        page.goto(path.as_uri())
        page.wait_for_selector("[data-painted='1']")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert trouble == []


def _watch(page, trouble, *, allowed):
    page.on("pageerror", lambda error: trouble.append(f"error: {error}"))
    page.on("console", lambda said: trouble.append(f"console: {said.text}") if said.type == "error" else None)
    page.on("dialog", lambda dialog: (trouble.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    page.on(
        "request",
        lambda request: None if request.url.startswith(allowed) else trouble.append(f"request: {request.url[:200]}"),
    )


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    """Address and folder of a JupyterLab that runs as long as the tests do."""
    if shutil.which("chromium") is None:
        _missing("chromium is not installed: apt-get install chromium")
    if importlib.util.find_spec("jupyterlab") is None:
        _missing("jupyterlab is not installed: pip install jupyterlab")
    root, home = tmp_path_factory.mktemp("notebooks"), tmp_path_factory.mktemp("jupyter")
    environment = os.environ | {name: str(home / name) for name in FOLDERS}
    settings = home / "JUPYTER_CONFIG_DIR" / "labconfig" / "page_config.json"
    settings.parent.mkdir(parents=True)
    settings.write_text(json.dumps({"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments = (
        "--no-browser",
        "--allow-root",
        f"--ServerApp.port={port}",
        "--ServerApp.port_retries=0",
        "--ServerApp.ip=127.0.0.1",
        "--IdentityProvider.token=t",
        f"--ServerApp.root_dir={root}",
        "--LabApp.expose_app_in_browser=True",
        "--LabApp.extension_manager=readonly",
    )
    log = home / "lab.log"
    with log.open("w") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
        try:
            _wait_for_server(f"http://127.0.0.1:{port}/api/status?token=t", log)
            yield f"http://127.0.0.1:{port}", root
        finally:
            server.terminate()
            server.wait(20)


def _wait_for_server(address, log):
    deadline = time.monotonic() + 60
    while True:
        with contextlib.suppress(OSError), urllib.request.urlopen(address, timeout=1):
            return
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


class Notebook:
    """A notebook that is open in JupyterLab."""

    def __init__(self, page, path, sizes):
        self.page = page
        self.path = path
        self.sizes = sizes
        """Bytes of each message of the kernel."""

    def run_cell(self, number):
        # The command is never awaited: it hangs where the session is not ready.
        self.page.evaluate(
            """number => { const w = window.jupyterapp.shell.currentWidget; w.content.activeCellIndex = number;
            window.jupyterapp.commands.execute('notebook:run-cell').catch(console.error) }""",
            number,
        )

    def command(self, name, **arguments):
        self.page.evaluate(
            "([name, arguments_]) => window.jupyterapp.commands.execute(name, arguments_)", [name, arguments]
        )

    def kernel(self, code):
        """Run code beside the cells; return what it printed."""
        return self.page.evaluate(
            """async code => { const k = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
            let out = ''; const f = k.requestExecute({ code, store_history: false });
            f.onIOPub = m => { out += m.content.text ?? (m.content.traceback ?? []).join('\\n') };
            await Promise.race([f.done, new Promise((_, no) => setTimeout(() => no(new Error('kernel timeout')), 60000))]);
            return out.trim() }""",
            code,
        )

    def wait_kernel(self, code, wanted, timeout=10.0):
        """Wait until the kernel prints this; what a widget sends waits in a queue, so one look is not enough."""
        deadline = time.monotonic() + timeout
        while (found := self.kernel(code)) != wanted:
            assert time.monotonic() < deadline, f"{code}: found {found!r}, expected {wanted!r}"
            time.sleep(0.05)


def _of_widgets(error):
    """The error, unless it comes out of JupyterLab itself alone, which fails over its own style sheets as it changes themes."""
    places = [line for line in (error.stack or "").splitlines() if line.strip().startswith("at ")]
    return [] if places and all("/static/lab/jlab_core" in place for place in places) else [f"{error}\n{error.stack}"]


@pytest.fixture
def notebook(lab, chromium, request):
    """``notebook("code", ...)``: a new notebook of these cells, open, its kernel idle. ``notebook(path=...)`` opens a saved one."""
    address, root = lab
    opened, trouble = [], []

    def open_notebook(*cells, path=None):
        if path is None:
            path = root / f"{request.node.name}.ipynb"  # one file a test, without saved outputs
            made = nbformat.v4.new_notebook(
                cells=[nbformat.v4.new_code_cell(cell) for cell in cells],
                metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
            )
            nbformat.write(made, path)
        page = chromium.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(60_000)
        page.on("pageerror", lambda error: trouble.extend(_of_widgets(error)))
        sizes = []
        page.on("websocket", lambda socket: socket.on("framereceived", lambda data: sizes.append(len(data))))
        page.goto(f"{address}/doc/tree/{path.name}?token=t&reset")
        page.wait_for_function(READY)
        opened.append(page)
        return Notebook(page, path, sizes)

    yield open_notebook
    for page in opened:
        page.evaluate("async () => { await window.jupyterapp.shell.currentWidget.sessionContext.shutdown() }")
        page.close()
    assert trouble == []
