"""The command: ``traceanalytics report`` and ``traceanalytics convert``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import traceanalytics as ta
from traceanalytics.errors import OptionError, TraceAnalyticsError
from traceanalytics.io.reading import progress_listener

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pandas as pd

__all__ = ["main"]

_MOST_TRACES = 20
_PICTURES = (".png", ".svg", ".pdf")


def _protobuf(spans: pd.DataFrame, path: str) -> None:
    ta.to_otlp(spans, path, encoding="protobuf")


def _mermaid(spans: pd.DataFrame, path: str) -> None:
    Path(path).write_text(ta.to_mermaid(spans), encoding="utf-8")


def _text(spans: pd.DataFrame, path: str) -> None:
    Path(path).write_text(ta.to_text(spans) + "\n", encoding="utf-8")


_WRITERS: dict[str, tuple[str, Callable[[pd.DataFrame, str], Any]]] = {
    ".parquet": ("Parquet", ta.to_parquet),
    ".otlp.json": ("OTLP JSON", ta.to_otlp),
    ".otlp.pb": ("OTLP protobuf", _protobuf),
    ".pb": ("OTLP protobuf", _protobuf),
    ".jaeger.json": ("Jaeger JSON", ta.to_jaeger),
    ".zipkin.json": ("Zipkin v2 JSON", ta.to_zipkin),
    ".json": ("OTLP JSON", ta.to_otlp),
    ".mmd": ("Mermaid gantt of one trace", _mermaid),
    ".txt": ("text waterfall of one trace", _text),
}
"""What ``convert`` writes, by the ending of the file's name; the first that fits counts, ``.gz`` may follow."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0, 1 for a source or option that is refused, 2 for wrong usage."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except TraceAnalyticsError as error:
        print(f"traceanalytics: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader of our output, head for instance, has seen enough
        sys.stderr.close()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="traceanalytics", description="Distributed traces from the command line.")
    parser.add_argument("--version", action="version", version=f"traceanalytics {ta.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    report = commands.add_parser(
        "report", help="summary, slowest trace, its critical path, and its waterfall as a picture"
    )
    report.add_argument("source", metavar="SOURCE", help="file, folder or glob; the format is told from the content")
    report.add_argument(
        "--trace", metavar="ID", help="this trace in place of the slowest; the beginning of its id is enough"
    )
    report.add_argument("--out", metavar="FILE", help="draw the waterfall into FILE (.png, .svg or .pdf)")
    report.add_argument("--skip-damaged", action="store_true", help="leave damaged spans out, and say how many")
    report.set_defaults(run=_report)
    convert = commands.add_parser(
        "convert",
        help="write spans in another format",
        description=f"The ending of DST says which format: {_endings()}.",
    )
    convert.add_argument("source", metavar="SRC", help="file, folder or glob")
    convert.add_argument("target", metavar="DST", help="file to write")
    convert.add_argument("--skip-damaged", action="store_true", help="leave damaged spans out, and say how many")
    convert.set_defaults(run=_convert)
    return parser


def _endings() -> str:
    return ", ".join(f"{ending} ({what})" for ending, (what, _) in _WRITERS.items())


def _read(options: argparse.Namespace) -> pd.DataFrame:
    """Read the source; a terminal sees how far it is."""
    with _progress():
        spans = ta.read(options.source, on_error="skip" if options.skip_damaged else "raise")
    found = ta.read_report(spans)
    if found is not None and found.skipped:
        print(f"{found.skipped:,} damaged records were left out:\n{found}", file=sys.stderr)
    return spans


class _progress:  # noqa: N801 - used as a context manager, like a function
    """Shows the number of spans read on a terminal; elsewhere it is silent."""

    def __enter__(self) -> None:
        self._token = None
        if not sys.stderr.isatty():
            return
        from tqdm import tqdm  # noqa: PLC0415 - only a terminal needs it

        self._bar = tqdm(unit=" spans", unit_scale=True, desc="reading", leave=False, delay=1.0)
        self._token = progress_listener.set(lambda count: _advance(self._bar, count))

    def __exit__(self, *_: object) -> None:
        if self._token is not None:
            progress_listener.reset(self._token)
            self._bar.close()


def _advance(bar: Any, count: int) -> None:
    bar.update(count - bar.n)


def _report(options: argparse.Namespace) -> None:
    if options.out is not None and not options.out.endswith(_PICTURES):
        raise OptionError(f"--out {options.out}: expected a file name that ends in one of {', '.join(_PICTURES)}")
    spans = _read(options)
    if not len(spans):
        print(_count(0, "span"))
        return
    summary = ta.summary(spans)
    _print_summary(spans, summary)
    chosen = options.trace if options.trace is not None else _slowest(summary)
    one = ta.trace(spans, chosen)
    trace_id = one["trace_id"].iloc[0]
    print(f"\n{'Trace' if options.trace is not None else 'Slowest trace'} {trace_id}")
    print(ta.to_text(one))
    _print_path(one)
    if options.out is not None:
        figure = ta.plot.waterfall(one).get_figure(root=True)
        assert figure is not None
        try:
            figure.savefig(options.out, bbox_inches="tight")
        except OSError as error:
            raise OptionError(f"--out {options.out} cannot be written: {error.strerror}") from error
        print(f"\nWaterfall: {options.out}")


def _print_summary(spans: pd.DataFrame, summary: pd.DataFrame) -> None:
    incomplete = int((~summary["complete"]).sum())
    print(
        f"{_count(len(spans), 'span')} in {_count(len(summary), 'trace')} of {_count(spans['service'].nunique(), 'service')}; "
        f"{_count(int(ta.is_error(spans).sum()), 'span')} with errors; {_count(incomplete, 'incomplete trace')}\n"
    )
    shown = summary.sort_values("duration_ms", ascending=False, kind="stable").head(_MOST_TRACES)
    columns = [
        "root_service",
        "root_name",
        "start_time",
        "duration_ms",
        "spans",
        "services",
        "errors",
        "depth",
        "orphans",
        "complete",
    ]
    print(
        shown[columns]
        .assign(start_time=shown["start_time"].dt.strftime("%Y-%m-%d %H:%M:%S.%f"))
        .round({"duration_ms": 3})
        .to_string()
    )
    if len(summary) > len(shown):
        print(f"... and {_count(len(summary) - len(shown), 'more trace')}")


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _slowest(summary: pd.DataFrame) -> str:
    """Return the id of the slowest trace, or of the first where no duration is known."""
    durations = summary["duration_ms"].to_numpy("float64", na_value=-1.0)
    return str(summary.index[int(durations.argmax())])


def _print_path(one: pd.DataFrame) -> None:
    path = ta.critical_path(one)
    by = path.astype({"service": "str", "name": "str"}).fillna({"service": "(no service)", "name": ""})
    grouped = by.groupby(["service", "name"], sort=False).agg(
        critical_ms=("segment_ms", "sum"), share=("share", "sum"), segments=("segment_ms", "size")
    )
    grouped = grouped.sort_values("critical_ms", ascending=False, kind="stable")
    print("\nCritical path by operation (where the time of the root went)")
    print(grouped.assign(share=(100 * grouped["share"]).map("{:.1f} %".format)).round({"critical_ms": 3}).to_string())
    flags = sorted({flag for cell in path["flags"].astype("str").unique() for flag in cell.split(",") if flag})
    if flags:
        print(f"Flags: {', '.join(flags)}")


def _convert(options: argparse.Namespace) -> None:
    name = options.target.removesuffix(".gz")
    ending = next((e for e in _WRITERS if name.endswith(e)), None)
    if ending is None:
        raise OptionError(f"{options.target}: its ending names no format; expected {_endings()}")
    spans = _read(options)
    what, write = _WRITERS[ending]
    try:
        write(spans, options.target)
    except OSError as error:
        raise OptionError(f"{options.target} cannot be written: {error.strerror}") from error
    print(f"{_count(len(spans), 'span')} written to {options.target} as {what}")
