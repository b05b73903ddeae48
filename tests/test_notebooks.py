"""The notebooks run from top to bottom, and their committed outputs are what a run gives."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

FOLDER = Path(__file__).parent.parent / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))

# A process of its own: kernels and their sockets warn of things that are not ours to mend.
RUN = """
import sys, nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], 4)
NotebookClient(notebook, kernel_name="python3", timeout=120, resources={"metadata": {"path": sys.argv[2]}}).execute()
nbformat.write(notebook, sys.argv[3])
"""


@pytest.mark.notebook
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_gives_its_committed_outputs(path, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(path), str(FOLDER), str(tmp_path / "out.ipynb")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    committed, fresh = nbformat.read(path, 4), nbformat.read(tmp_path / "out.ipynb", 4)
    for before, after in zip(committed.cells, fresh.cells, strict=True):
        if before.cell_type == "code":
            assert _texts(before) == _texts(after), before.source
            assert "stderr" not in [o.get("name") for o in after.outputs], before.source


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_committed_with_its_outputs_and_nothing_that_changes(path):
    text = path.read_text(encoding="utf-8")
    notebook = nbformat.reads(text, 4)
    assert len(text) < 300_000
    assert "widgets" not in notebook.metadata
    assert not re.search(r"0x[0-9a-f]{6,}|execution_(?:start|end)|iopub", text)
    cells = [c for c in notebook.cells if c.cell_type == "code"]
    assert [c.execution_count for c in cells] == list(range(1, len(cells) + 1))
    assert any("image/png" in o.get("data", {}) for c in cells for o in c.outputs)


def _texts(cell):
    """What a cell shows, but for pictures, whose pixels depend on the fonts of the machine; what is printed may come in pieces."""
    printed = "".join(o["text"] for o in cell.outputs if o.output_type == "stream")
    shown = [o.data for o in cell.outputs if "data" in o]
    return printed, [(data.get("text/plain"), data.get("text/html")) for data in shown]
