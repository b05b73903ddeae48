"""The notebooks run from top to bottom, their committed outputs are what a run gives, and what they claim is so.

``python tests/test_notebooks.py [NOTEBOOK ...]`` runs them (all, if none is named) and writes their outputs anew.
"""

from __future__ import annotations

import base64
import io
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat
import numpy as np
import pytest
from PIL import Image

FOLDER = Path(__file__).parent.parent / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
VIEW = "application/vnd.jupyter.widget-view+json"

# A process of its own: kernels and their sockets warn of things that are not ours to mend.
RUN = """
import sys, nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], 4)
resources = {"metadata": {"path": sys.argv[2]}}
NotebookClient(notebook, kernel_name="python3", timeout=120, resources=resources, store_widget_state=False).execute()
nbformat.write(notebook, sys.argv[3])
"""


def run(notebook, folder):
    """Return a notebook executed in the folder of the notebooks; ``folder`` is for files on the way."""
    before, after = folder / "before.ipynb", folder / "after.ipynb"
    nbformat.write(notebook, before)
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(before), str(FOLDER), str(after)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return nbformat.read(after, 4)


def refresh(path):
    """Run a notebook and write its outputs into it, without what changes from run to run."""
    with tempfile.TemporaryDirectory() as folder:
        notebook = run(nbformat.read(path, 4), Path(folder))
    notebook.metadata.pop("widgets", None)
    notebook.metadata["language_info"] = {"name": "python"}  # without the version of whoever ran it
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        outputs = joined(cell.get("outputs", []))
        for output in outputs:
            data = output.get("data", {})
            data.pop(VIEW, None)  # names a model by a random id, and without a kernel it hides the picture
            if "image/png" in data:
                data["image/png"] = with_palette(data["image/png"])
        if cell.cell_type == "code":
            cell.outputs = outputs
    nbformat.write(notebook, path)


def joined(outputs):
    """Return outputs with the pieces of what is printed put together; where it is cut depends on the moment."""
    found = []
    for output in outputs:
        if found and output.output_type == "stream" == found[-1].output_type and output.name == found[-1].name:
            found[-1].text += output.text
        else:
            found.append(output)
    return found


def with_palette(png):
    """Return a picture with its 64 commonest colours and no others: a fifth of the size, and white stays white."""
    picture = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGBA")
    paper = Image.new("RGBA", picture.size, "white")
    paper.alpha_composite(picture)
    pixels = np.asarray(paper.convert("RGB"), dtype=np.int32) @ (65536, 256, 1)
    found, place, times = np.unique(pixels, return_inverse=True, return_counts=True)
    colours = np.stack([found >> 16, found >> 8 & 255, found & 255], axis=1)
    kept = colours[np.argsort(-times, kind="stable")[:64]]
    nearest = ((colours[:, None] - kept) ** 2).sum(axis=2).argmin(axis=1).astype(np.uint8)
    small = Image.fromarray(nearest[place].reshape(pixels.shape))
    small.putpalette(kept.astype(np.uint8).tobytes())
    buffer = io.BytesIO()
    small.save(buffer, "PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


# Of each notebook: words of its prose, and what has to be true in its kernel, after the last cell, for them to be so.
CLAIMS = {
    "00_quickstart": [
        ("The sample holds a single one", "len(summary) == 1"),
        ("the root takes 350 ms", "one['duration_ms'].iloc[0] == 350"),
        ("the line is longest under `payment`", "path.groupby('service')['segment_ms'].sum().idxmax() == 'payment'"),
        ("160 of 350 ms", "by_operation.loc[('payment', 'Call Stripe API'), 'segment_ms'] == 160"),
        (
            "twice as fast would save 7.5 ms of 350 at most",
            "by_operation.loc[('pricing', 'Apply Discounts'), 'segment_ms'] == 15",
        ),
        ("more than the 55 ms that it takes", "path.loc[path['service'] == 'cart', 'segment_ms'].sum() == 55"),
        ("They are equal here", "times['self_ms'].equals(times['critical_ms'])"),
        ("after 20 of 350 ms, and says why", "ta.critical_path(printed)['segment_ms'].sum() == 20"),
        ("`child_outside`", "set(ta.critical_path(printed)['flags']) == {'child_outside'}"),
    ],
    "01_why_tracing": [
        ("300 **requests**", "spans['trace_id'].nunique() == 300"),
        ("now and then a checkout takes a second", "(took_ms > 900).sum() == 4"),
        ("It is empty", "logs['trace_id'].isna().all()"),
        ("And their level is INFO", "set(checkouts.loc[took_ms.nlargest(4).index, 'level']) == {'INFO'}"),
        ("I took about a second", "900 < table.loc['cart', 'slowest_ms'] < 1100"),
        ("does not make the second", "others < 400"),
        ("hundreds of milliseconds are gone", "table.loc['cart', 'slowest_ms'] - others > 600"),
        (
            "Most of this checkout passed in one step (`share`): `cart` waited for `POST /reservations`",
            (
                "ta.critical_path(slow).nlargest(1, 'segment_ms')[['service', 'name']].values.tolist()"
                " == [['cart', 'POST /reservations']] and ta.critical_path(slow)['share'].max() > 0.5"
            ),
        ),
        ("has a bar of nearly no length below it", "both['duration_ms'].min() < 10 and gap > 700"),
        ("`+10` says that ten more spans", "(slow['service'] == 'cart').sum() == 11"),
        (
            "The same steps, in the same order",
            "slow['name'].tolist() == ta.trace(spans, normal)['name'].tolist()",
        ),
        ("a lot more than the log lines", "trace_bytes > 5 * log_bytes"),
        ("a rare problem is most likely not among them", "1 - 0.99**slow_ones < 0.05"),
    ],
    "02_anatomy": [
        ("13 spans of a checkout", "len(spans) == 13"),
        ("None does. A parent waits", "set(ta.critical_path(spans)['flags']) == {''}"),
        ("It is empty here", "set(where['flags']) == {''}"),
        ("Neither, in this sample", "calls['duration_ms_caller'].equals(calls['duration_ms_callee'])"),
        (
            "six CLIENT halves, and only four SERVER ones",
            "spans['kind'].value_counts()[['CLIENT', 'SERVER']].tolist() == [6, 4]",
        ),
        ("three calls have no answer", "((spans['kind'] == 'CLIENT') & ~answered).sum() == 3"),
        ("None. UNSET means", "(spans['status'] == 'UNSET').all()"),
        (
            "Eight. The call that failed is the last row",
            "ta.is_error(failed).sum() == 8 and ta.is_error(failed).iloc[-1]",
        ),
        ("Only the last one has a message", "failed['status_message'].notna().sum() == 1"),
        ("The core is equal everywhere", "all(row['core_equal'] for row in rows)"),
        ("of 350 ms, how many does it explain", "round(whole) == 350 and path['segment_ms'].sum() == 20"),
        (
            "`Calculate Total` and `Charge Card` begin after their parent has ended",
            "family.loc[family['begins_after_ms'] > 0, 'name'].tolist() == ['Calculate Total', 'Charge Card']",
        ),
        (
            "`Route to Cart` and `Get Cart Items` begin at that very moment",
            "family.loc[family['begins_after_ms'] == 0, 'name'].tolist() == ['Route to Cart', 'Get Cart Items']",
        ),
        ("no complaint", "set(ta.hierarchy(printed)['flags']) == {''}"),
    ],
    "04_latency": [
        ("one page in seven is much slower", "6 < 1 / (page > 180).mean() < 8"),
        ("The mean, 115 ms", "round(page.mean()) == 115"),
        ("Three bars are marked as errors", "ta.is_error(ta.trace(spans, slow_page)).sum() == 3"),
        (
            "`charge payment` (60 ms) and `recommend` (20 ms) begin at the same time",
            "lab.spans.set_index('name').loc[['charge payment', 'recommend'], 'duration_ms'].tolist() == [60, 20]",
        ),
        ("self time is about four times the critical time", "3.7 < one['self_ms'] / one['critical_ms'] < 4.3"),
        (
            "the shards come second",
            "breakdown.nlargest(2, 'self_ms')['name'].str.contains('products_shard').tolist() == [False, True]",
        ),
        (
            "not among the first four",
            "not breakdown.nlargest(4, 'critical_ms')['name'].str.contains('products_shard').any()",
        ),
        (
            "of 27.4 seconds in these 882 calls, 24.9 are in the gap",
            (
                "round(verify[['server_self_ms', 'client_self_ms', 'gap_ms']].sum().sum() / 1000, 1) == 27.4"
                " and round(verify['gap_ms'].sum() / 1000, 1) == 24.9 and verify['calls'].max() == 882"
            ),
        ),
        (
            "All other calls have next to none",
            (
                "(gaps.loc[~to_user, 'gap_per_call_ms'].dropna() < 4).all() and (gaps.nlargest(4, 'gap_per_call_ms')"
                "['gap_per_call_ms'] > 28).all()"
            ),
        ),
        (
            "It comes fourth, with less than 5 % of the time, and only one request in eleven",
            (
                "[tuple(profile.iloc[3][['service', 'name']]), profile.iloc[3]['share'] < 0.05,"
                " round(1 / profile.iloc[3]['path_probability'])] == [price, True, 11]"
            ),
        ),
        ("`GetPrice`. Compare with the faster half", "tuple(slow.iloc[0][['service', 'name']]) == price"),
        (
            "The product page suffers most",
            "tree[ends].nlargest(1, 'critical_ms')['path'].iloc[0].count('/products') == 3",
        ),
        (
            "slow for 35 requests only, but by 137 ms each. The network added 29 ms to 882 requests",
            (
                "truth.faults['affected_requests'].tolist() == [35, 882]"
                " and truth.faults['mean_added_ms'].round().tolist() == [137, 29]"
            ),
        ),
        ("somewhat larger than the truth", "added < gap < 1.25 * added"),
    ],
    "05_errors_and_retries": [
        (
            "`payment` has 44 errors, all handled, and no blame",
            (
                "rates.set_index('service').loc['payment', ['errors_any', 'errors_handled', 'errors_user_facing']].tolist()"
                " == [44, 44, 0]"
            ),
        ),
        (
            "most blame: 29 of the 43 failed requests",
            "rates.loc[rates['service'] == 'product', 'errors_user_facing'].item() == 29 and failed == 43",
        ),
        (
            "`product` has fewest errors of all that have any",
            "rates[rates['errors_any'] > 0].nsmallest(1, 'errors_any')['service'].item() == 'product'",
        ),
        (
            "most of these are no failures at all",
            "nobody.sum() > rates.loc[rates['service'] == 'api-gateway', 'errors_any'].item() / 2",
        ),
        ("Four ways of failing", "len(blame.groupby(keys, observed=True)) == 4"),
        ("the blamed span did not fail at all", "w.matches.iloc[-1]['status'] == 'UNSET'"),
        ("The first error is always the root itself", "(rules['first error'].reindex(right.index) != right).all()"),
        ("The eight timeouts, as above. And one product page", "sorted(missed.value_counts()) == [1, 8]"),
        (
            "60 ms of about 70",
            (
                "(retries['backoff_ms'].round() == 60).all() and (retries.groupby('outcome', observed=True)"
                "['wasted_path_ms'].mean() < 13).all()"
            ),
        ),
        ("in place of one, to a service", "(retries['attempts'] == 3).all()"),
        ("all 30 are of `pricing`", "len(repeated) == 30 and set(repeated['service']) == {'pricing'}"),
        ("Thirty of 52", "len(true) == 52 and len(set(repeated['caller_span_id']) & true) == 30"),
        ("The other six have fewer than five", "len(successful) == 6 and (successful < 5).all()"),
    ],
    "06_dependencies": [
        ("there are ten services", "len(services) == 10"),
        ("Seventeen more than services", "len(graph) == 27"),
        ("`payment` is seldom used, and then asks its databases often", "per_request.index[0] == 'payment'"),
        (
            "`product-db` has four: `inventory`, `pricing`, `product` and `recommendation`",
            "sorted(graph.predecessors('postgresql/product-db')) == ['inventory', 'pricing', 'product', 'recommendation']",
        ),
        (
            "each of the three databases has several callers",
            "all(len(set(graph.predecessors(f'{name}'))) > 1 for name in virtual if 'db' in name or 'redis' in name)",
        ),
        ("each calls six others", "len(set(graph['cart'])) == len(set(graph['frontend'])) == 6"),
        ("each is called by four services", "len(set(graph.predecessors('redis/redis'))) == 4"),
        ("one call was forgotten, and one is no longer made", "(compared['status'] != 'confirmed').sum() == 2"),
        ("came last every time", "(pairs.loc[pairs['callee_b'].str.contains('render'), 'refuting'] == 0).all()"),
        ("saves more than any pair does", "saving.max() < added"),
        ("176 roots", "roots['pricing'] == 176"),
        ("it counts 168", "lost.iloc[0]['count'] == 168"),
    ],
    "09_storage_and_backends": [
        ("6.48 TB = 5.89 TiB", "f'{per_day / 1e12:.2f} {per_day / 2**40:.2f}' == '6.48 5.89'"),
        ("1 % alone, which makes 64.8 GB", "round(cost.loc['head 1 %', 'gb_per_day'], 1) == 64.8"),
        ("7.5 MB/s = 648 GB", "cost.loc['head 10 %', ['bytes_per_s', 'gb_per_day']].tolist() == [7.5e6, 648]"),
        ("71.2, 129.0 or 385.6 GB", "[round(errors_and_1_percent(rate), 1) for rate in rates] == [71.2, 129.0, 385.6]"),
        ("14.0 % and not 1 %", "round(share, 3) == 0.14"),
        ("963 GB a day in place of 129.0", "round(errors_and_1_percent(0.01, error_level='span')) == 963"),
        ("The truth lies between", "error_spans < error_traces < by_formula"),
        ("All 75 MB/s travel", "tail['collector_bytes_per_s'] == 75e6"),
        ("that is 5 seconds, not 30", "50_000 / example['requests_per_s'] == 5"),
        ("Half decimal, half binary", "round(per_day / (1000**3 * 1024), 2) == 6.33"),
        ("750 KB/s is the rate of 1 %", "750_000 / per_second == 0.01"),
        ("3.7 times as much for Jaeger's JSON", "round(sizes['Jaeger JSON'] / sizes['OTLP protobuf'], 1) == 3.7"),
        ("Nine each", "len(found) == len(in_jaeger) == len(in_zipkin) == 9"),
        ("failed with it: 7 errors", "ta.is_error(checkout).sum() == 7"),
        ("nothing is lost on the way in", "(lost['Tempo (OTLP)'] == 0).all()"),
        (
            "all 19 starts and durations are cut",
            "lost.loc[['start_time', 'duration_ms'], 'Jaeger'].tolist() == [19, 19]",
        ),
        ("Flags are gone", "journeys['Zipkin'].get('trace_flags', pd.Series(dtype=object)).isna().all()"),
        (
            "After Zipkin, the question finds nothing",
            "not ta.matches(journeys['Zipkin'], '{ span.http.response.status_code >= 500 }').any()",
        ),
        ("All of them keep the tree and the status", "{'trace_id', 'parent_span_id', 'status'} <= set(kept_by_all)"),
    ],
}
# Two answers to each kind of exercise that are wrong, and say so.
WRONG = ["-1", "'no such name'"]
ASK = "answer = None  # your answer"


def code(source, number):
    """Return a code cell to be added."""
    return nbformat.v4.new_code_cell(source, id=f"added-{number}")


def exercises(notebook):
    """Return a pair for each exercise: the code of its solution, and that of its check."""
    checks = [c.source for c in notebook.cells if "check(\n    answer," in c.source]
    hidden = [c.source for c in notebook.cells if "<summary>Solution</summary>" in c.source]
    solutions = [re.search(r"```python\n(.*?)```", source, re.DOTALL)[1] for source in hidden]
    return list(zip(solutions, checks, strict=True))


@pytest.fixture(scope="module", params=NOTEBOOKS, ids=lambda path: path.stem)
def executed(request, tmp_path_factory):
    """Return name, committed notebook, the same run anew, and the cells that were added: claims and answers."""
    path = request.param
    committed = nbformat.read(path, 4)
    notebook = nbformat.read(path, 4)
    added = [f"print(bool({claim}))" for _, claim in CLAIMS[path.stem]]
    for solution, check in exercises(notebook):
        added += [f"{solution}\n{check}", *(f"answer = {wrong}\n{check}" for wrong in WRONG)]
    before = len(notebook.cells)
    notebook.cells += [code(source, number) for number, source in enumerate(added)]
    fresh = run(notebook, tmp_path_factory.mktemp("notebook"))
    return path.stem, committed, fresh.cells[:before], fresh.cells[before:]


@pytest.mark.notebook
def test_a_notebook_runs_and_gives_its_committed_outputs(executed):
    _, committed, fresh, _ = executed
    for before, after in zip(committed.cells, fresh, strict=True):
        if before.cell_type == "code":
            assert texts(before) == texts(after), before.source
            assert "stderr" not in [o.get("name") for o in after.outputs], before.source


@pytest.mark.notebook
def test_what_a_notebook_claims_is_so(executed):
    name, committed, _, added = executed
    prose = " ".join(" ".join(c.source.split()) for c in committed.cells if c.cell_type == "markdown")
    for (words, claim), cell in zip(CLAIMS[name], added, strict=False):
        assert words in prose
        assert texts(cell)[0] == "True\n", (words, claim)


@pytest.mark.notebook
def test_solutions_are_right_and_wrong_answers_get_a_hint(executed):
    name, committed, _, added = executed
    answers = [texts(cell)[0] for cell in added[len(CLAIMS[name]) :]]
    assert len(answers) == 3 * len(exercises(committed))
    assert len(answers) >= 9 or name == "00_quickstart"
    for start in range(0, len(answers), 3):
        assert answers[start].startswith("Right. ")
        assert all(re.fullmatch(r"Not yet: \S.*\n", wrong) for wrong in answers[start + 1 : start + 3])


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_committed_with_its_outputs_and_nothing_that_changes(path):
    text = path.read_text(encoding="utf-8")
    notebook = nbformat.reads(text, 4)
    assert len(text) < 300_000
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert set(notebook.metadata["language_info"]) == {"name"}
    assert not re.search(r"0x[0-9a-f]{6,}|execution_(?:start|end)|iopub|model_id|/home/|/tmp/|/root/", text)
    assert VIEW not in text
    cells = [c for c in notebook.cells if c.cell_type == "code"]
    assert [c.execution_count for c in cells] == list(range(1, len(cells) + 1))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_pictures_are_seen_without_a_kernel(path):
    cells = [c for c in nbformat.read(path, 4).cells if c.cell_type == "code"]
    drawn = [c for c in cells if re.search(r"^(?:w|lab|ta\.waterfall\(.*|ta\.plot\..*)$", last_line(c))]
    assert drawn
    for cell in drawn:
        (data,) = [o.data for o in cell.outputs if "data" in o]
        picture = Image.open(io.BytesIO(base64.b64decode(data["image/png"])))
        assert picture.width > 600
        assert data["text/plain"].startswith(("Waterfall(", "CriticalPathLab(", "StorageLab(", "<PictureAxes: "))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_exercises_are_open_and_their_checks_folded_away(path):
    notebook = nbformat.read(path, 4)
    asked = [c for c in notebook.cells if c.source == ASK]
    checks = [c for c in notebook.cells if c.cell_type == "code" and "check" in c.metadata.get("tags", [])]
    assert len(checks) == len(asked) + bool(asked)  # the first one defines `check`
    assert all(c.metadata["jupyter"]["source_hidden"] for c in checks)
    if asked:
        definitions = {
            c.source for other in NOTEBOOKS for c in nbformat.read(other, 4).cells if "def check" in c.source
        }
        assert len(definitions) == 1


def last_line(cell):
    """Return the last line of a cell's source."""
    return cell.source.rpartition("\n")[2]


def texts(cell):
    """What a cell shows, but for pictures, whose pixels depend on the fonts of the machine."""
    printed = "".join(o["text"] for o in cell.outputs if o.output_type == "stream")
    shown = [o.data for o in cell.outputs if "data" in o]
    return printed, [(data.get("text/plain"), data.get("text/html")) for data in shown]


if __name__ == "__main__":
    for one in map(Path, sys.argv[1:]) if sys.argv[1:] else NOTEBOOKS:
        refresh(one)
