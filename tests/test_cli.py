"""``traceanalytics report`` and ``traceanalytics convert``."""

from __future__ import annotations

import subprocess
import sys

import pytest
from frames import assert_same_spans

import traceanalytics as ta
from traceanalytics.cli import main

FILES = [
    "otlp_json/oteldemo_collector_file_exporter_mixed.jsonl",
    "jaeger_json/jaeger_ui_01.json",
    "zipkin_v2/zipkinlens_yelp.json",
]


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("ending", [".png", ".svg"])
def test_report(corpus, tmp_path, capsys, file, ending):
    picture = tmp_path / f"a{ending}"
    assert main(["report", str(corpus / file), "--out", str(picture)]) == 0
    printed = capsys.readouterr()
    spans = ta.read(corpus / file)
    summary = ta.summary(spans)
    slowest = summary["duration_ms"].idxmax()
    assert f"{len(spans):,} spans in {len(summary):,} trace" in printed.out
    assert f"Slowest trace {slowest}" in printed.out
    assert "Critical path by operation" in printed.out
    assert printed.err == ""
    assert picture.read_bytes()[:8] == (b"\x89PNG\r\n\x1a\n" if ending == ".png" else b"<?xml ve")


def test_report_of_one_trace_by_the_beginning_of_its_id(corpus, capsys):
    file = corpus / FILES[0]
    wanted = ta.summary(ta.read(file)).index[5]
    assert main(["report", str(file), "--trace", str(wanted)[:10]]) == 0
    assert f"Trace {wanted}" in capsys.readouterr().out


def test_shares_of_the_path_sum_to_the_whole(corpus, capsys):
    main(["report", str(corpus / FILES[1])])
    shares = [float(line.split(" %")[0].split()[-1]) for line in capsys.readouterr().out.splitlines() if " %" in line]
    assert sum(shares) == pytest.approx(100, abs=0.5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["report", "no-such-file.json"], "does not exist"),
        (["report", "{corpus}", "--out", "a.gif"], "ends in one of .png, .svg, .pdf"),
        (["report", "{corpus}", "--trace", "ffffffffffff"], "no trace"),
        (["report", "{corpus}", "--out", "no/such/folder/a.png"], "cannot be written"),
        (["convert", "{corpus}", "a.xyz"], "its ending names no format; expected .parquet"),
        (["convert", "{corpus}", "no/such/folder/a.json"], "cannot be written"),
    ],
)
def test_what_is_refused_is_one_line(corpus, capsys, arguments, message):
    file = str(corpus / FILES[1])
    assert main([a.replace("{corpus}", file) for a in arguments]) == 1
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.err.startswith("traceanalytics: ")
    assert printed.err.count("\n") == 1


def test_wrong_usage(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["report"])
    assert "usage: traceanalytics report" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["a.parquet", "a.json", "a.json.gz", "a.otlp.pb", "a.pb", "a.otlp.json"])
def test_convert_keeps_everything(corpus, tmp_path, capsys, name):
    assert main(["convert", str(corpus / FILES[0]), str(tmp_path / name)]) == 0
    assert "547 spans written to" in capsys.readouterr().out
    assert_same_spans(ta.read(tmp_path / name), ta.read(corpus / FILES[0]))


@pytest.mark.parametrize(
    ("name", "begins"), [("a.jaeger.json", b'{"data"'), ("a.zipkin.json", b"[{"), ("a.mmd", b"gantt"), ("a.txt", b"")]
)
def test_convert_to_other_formats(corpus, tmp_path, name, begins):
    assert main(["convert", str(corpus / FILES[1]), str(tmp_path / name)]) == 0
    assert (tmp_path / name).read_bytes().startswith(begins)
    if name.endswith(".json"):
        ids = set(
            ta.read(corpus / FILES[1])["span_id"]
        )  # two of its five spans share an id, and Zipkin takes those for one
        assert set(ta.read(tmp_path / name)["span_id"]) == ids


def test_damaged_spans_are_left_out_on_request_and_said(corpus, tmp_path, capsys):
    text = (corpus / "otlp_json" / "jaeger_memory_otel_traces_01.json").read_text()
    (tmp_path / "bad.json").write_text(text.replace('"spanId": "', '"spanId": "zz', 1))
    assert main(["report", str(tmp_path / "bad.json")]) == 1
    capsys.readouterr()
    assert main(["report", str(tmp_path / "bad.json"), "--skip-damaged"]) == 0
    printed = capsys.readouterr()
    assert "1 damaged records were left out" in printed.err
    assert "3 spans in" in printed.out


def test_an_empty_source(tmp_path, capsys):
    (tmp_path / "a.json").write_text('{"data": []}')
    assert main(["report", str(tmp_path / "a.json")]) == 0
    assert capsys.readouterr().out == "0 spans\n"


def test_the_module_runs_as_the_command():
    out = subprocess.run(
        [sys.executable, "-m", "traceanalytics", "--version"], capture_output=True, text=True, check=True
    )
    assert out.stdout.strip() == f"traceanalytics {ta.__version__}"
