"""Where bytes come from: paths, globs, folders, file objects, compressed files; and what is refused."""

from __future__ import annotations

import gzip
import io
import json
import tracemalloc
import zlib

import pytest
import zstandard

import traceanalytics as ta

SPAN = {"traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174", "name": "a"}
DOCUMENT = {"resourceSpans": [{"scopeSpans": [{"spans": [SPAN]}]}]}
TEXT = json.dumps(DOCUMENT)


def write(folder, **files):
    for name, content in files.items():
        path = folder / name.replace("__", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


@pytest.mark.parametrize("read", [ta.read, ta.read_otlp])
def test_every_kind_of_source(read, tmp_path):
    path = write(tmp_path, a__json=TEXT) / "a.json"
    expected = read(TEXT)
    assert len(expected) == 1
    for source in [
        TEXT.encode(),
        bytearray(TEXT.encode()),
        memoryview(TEXT.encode()),
        path,
        str(path),
        DOCUMENT,
        io.BytesIO(TEXT.encode()),
        io.StringIO(TEXT),
        f"  \n{TEXT}",
    ]:
        assert read(source).equals(expected)
    with path.open("rb") as file:
        spans = read(file)
    assert ta.read_report(spans).sources == (str(path),)


@pytest.mark.parametrize(
    ("ending", "compress"),
    [
        (".gz", gzip.compress),
        (".json", gzip.compress),
        (".gz", lambda data: gzip.compress(data[:20]) + gzip.compress(data[20:])),
        (".gz", lambda data: gzip.compress(data) + b"\0" * 10),
        (".zst", zstandard.compress),
        (".zst", lambda data: zstandard.compress(data[:20]) + zstandard.compress(data[20:])),
    ],
)
def test_compressed_files_open_as_they_are(tmp_path, ending, compress):
    (tmp_path / f"a{ending}").write_bytes(compress(TEXT.encode()))
    assert ta.read(tmp_path / f"a{ending}").equals(ta.read(TEXT))


def test_a_literal_path_comes_before_a_glob(tmp_path):
    write(tmp_path, **{"a[1]__json": TEXT, "a1__json": json.dumps({"resourceSpans": []})})
    assert len(ta.read(str(tmp_path / "a[1].json"))) == 1
    assert len(ta.read(str(tmp_path / "a?.json"))) == 0
    assert len(ta.read(str(tmp_path / "*.json"))) == 1


def test_a_folder_is_read_whole_and_says_what_it_left_out(tmp_path):
    write(tmp_path, a__json=TEXT, README__md="# no trace", __hidden__json="{")
    write(tmp_path / "deeper", b__jsonl=TEXT + "\n" + TEXT)
    spans = ta.read(tmp_path)
    assert len(spans) == 3
    report = ta.read_report(spans)
    assert report.counts == {"file of the folder, ignored for its ending": 1}
    assert report.places[0].detail.endswith("README.md")


def test_a_damaged_file_of_a_folder_costs_that_file_only(tmp_path):
    write(tmp_path, a__json=TEXT, b__gz=gzip.compress(TEXT.encode())[:-12], c__json="", d__json=TEXT)
    spans = ta.read(tmp_path, on_error="skip")
    assert len(spans) == 2
    assert ta.read_report(spans).skipped == 2
    assert [p.source.rpartition("/")[2] for p in ta.read_report(spans).places] == ["b.gz", "c.json"]


def _deflated_zeros(size):
    engine = zlib.compressobj(9, wbits=31)
    return b"".join([*(engine.compress(b"\0" * 2**20) for _ in range(size // 2**20)), engine.flush()])


def test_a_file_that_inflates_without_bound_is_refused_in_little_memory():
    for bomb in (_deflated_zeros(512 * 2**20), zstandard.compress(b"\0" * 512 * 2**20)):
        tracemalloc.start()
        with pytest.raises(
            ta.FormatError, match=r"inflates to more than [\d,]+ bytes, 100 times its size.*decompress it yourself"
        ):
            ta.read(bomb)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 250 * 2**20


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("https://example.com/trace.json", "is a URL, and readers open files only.*urllib.request"),
        ("s3://bucket/key", "is a URL"),
        ("no/such/file.json", "'no/such/file.json' does not exist .looked in"),
        ("no/such/*.json", "matches no file"),
        ("x" * 5000, "cannot be opened|does not exist"),
        ("a\0b", "holds a NUL character"),
        (5, "cannot read from int.*Give a path"),
        (None, "cannot read from NoneType"),
        ({"resourceSpans": object()}, "the object given is no JSON"),
        (gzip.compress(TEXT.encode())[:-9], "the gzip stream ends early: the file was cut off"),
        (gzip.compress(TEXT.encode())[:-9] + b"x" * 9, "damaged gzip data"),
        (gzip.compress(TEXT.encode()) + b"rest", "data after the end of the gzip stream"),
        (zstandard.compress(TEXT.encode())[:20] + b"x" * 9, "damaged Zstandard data|cut off"),
    ],
)
def test_what_cannot_be_opened(source, message):
    with pytest.raises(ta.FormatError, match=message):
        ta.read(source)


def test_a_cut_zstandard_stream_is_refused():
    data = zstandard.compress(TEXT.encode() * 100)
    with pytest.raises(ta.FormatError, match="the Zstandard stream ends early"):
        ta.read(data[:-5])


def test_a_folder_without_traces(tmp_path):
    write(tmp_path, notes__md="x")
    with pytest.raises(ta.FormatError, match="the folder holds 1 files, none of which ends in"):
        ta.read(tmp_path)
    with pytest.raises(ta.FormatError, match="the folder holds 0 files"):
        ta.read(write(tmp_path / "empty", __gitkeep=""))


def test_a_file_object_that_is_none():
    class Odd:
        def read(self):
            return 5

    with pytest.raises(ta.FormatError, match=r"\.read\(\) returned int"):
        ta.read(Odd())


def test_memory_stays_within_a_small_multiple_of_the_input():
    many = json.dumps(
        {
            "resourceSpans": [
                {
                    "scopeSpans": [
                        {
                            "spans": [
                                {**SPAN, "spanId": f"{i + 1:016x}", "startTimeUnixNano": "1"} for i in range(20_000)
                            ]
                        }
                    ]
                }
            ]
        }
    ).encode()
    ta.read_otlp(many[:0] or TEXT)  # what is loaded once is not counted
    tracemalloc.start()
    ta.read_otlp(many)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12 * len(many)
