"""Figures as bytes: files to keep, and small pictures for the outputs of notebooks."""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["encoded", "shown_size", "small_png"]

_SHARPNESS: Final = 1.5
"""Pixels of a picture for each one that it is shown on."""
_DPI: Final = 100


def encoded(figure: Figure, file_format: str) -> bytes:
    """Return a figure as the bytes of a ``"png"`` or ``"svg"`` file; the same figure makes the same file."""
    import matplotlib as mpl  # noqa: PLC0415 - half a second, for pictures only

    buffer = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "traceanalytics"}):
        figure.savefig(
            buffer, format=file_format, dpi=_DPI * _SHARPNESS, metadata={"Date": None} if file_format == "svg" else None
        )
    return buffer.getvalue()


def small_png(figure: Figure) -> bytes:
    """Return a figure as PNG with a palette: a third of the size, and nobody sees the difference in bars and letters."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - as above
    from PIL import Image  # noqa: PLC0415

    figure.set_dpi(_DPI * _SHARPNESS)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    width, height = canvas.get_width_height(physical=True)
    drawn = canvas.buffer_rgba()  # type: ignore[no-untyped-call]
    pixels = Image.frombuffer("RGBA", (width, height), drawn, "raw", "RGBA", 0, 1).convert("RGB")
    buffer = io.BytesIO()
    pixels.quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(buffer, "PNG")
    return buffer.getvalue()


def shown_size(png: bytes) -> dict[str, int]:
    """Return width and height that a picture of ours is to be shown with."""
    width, height = struct.unpack(">II", png[16:24])  # where every PNG has them
    return {"width": round(width / _SHARPNESS), "height": round(height / _SHARPNESS)}
