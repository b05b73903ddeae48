"""What all widgets share: strict names, a picture beside the live view, one offline page, messages that cannot break it."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import anywidget
import traitlets

from traceanalytics.config import options
from traceanalytics.errors import OptionError, near
from traceanalytics.widgets.page import framed, page
from traceanalytics.widgets.pictures import encoded, shown_size, small_png

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from os import PathLike

    from matplotlib.figure import Figure

    from traceanalytics.widgets.page import PageParts

__all__ = ["Checked", "TraceWidget", "column", "encodable"]

_QUICK_ROWS: Final = 40
"""Spans in the picture that goes with every live view: it is drawn before the view is shown, and kept in the notebook."""

_FRAME_DETAILS: Final = 500
"""Spans with details in a page that stands in a notebook's output."""


class Checked(traitlets.TraitType[Any, Any]):
    """A synchronised trait whose values go through a function of the owner and the value, which returns or refuses them."""

    def __init__(self, check: Callable[[Any, Any], Any], default: Any) -> None:
        super().__init__(default)
        self._check = check
        self.tag(sync=True)

    def default(self, obj: Any = None) -> Any:
        """Return the default; a list is the owner's own."""
        value = super().default(obj)
        return list(value) if isinstance(value, list) else value

    def validate(self, obj: Any, value: Any) -> Any:
        """Return the value to store; raise :class:`~traceanalytics.errors.OptionError` for one that is not allowed."""
        return self._check(obj, value)


def column() -> traitlets.Bytes:
    """Return a trait for a column: sent to the browser, and never back."""
    return traitlets.Bytes(b"").tag(sync=True, echo_update=False)


def encodable(text: str) -> str:
    r"""Return a text without halves of characters, which no message can carry.

    >>> encodable("cart\ud800")
    'cart?'
    """
    return text.encode("utf-8", "replace").decode("utf-8")


class TraceWidget(anywidget.AnyWidget):
    """A view of spans. Subclasses say what they draw: :meth:`_parts`, :meth:`_figure`, :meth:`_state_key`, :meth:`_answer`."""

    _from_browser = False
    """A value is being set by the browser: a bad one must not raise."""

    def __init__(self, **values: Any) -> None:
        for name in values:
            self._check_name(name)
        self._pictures: dict[Any, bytes] = {}
        super().__init__(**values)
        self.on_msg(self._on_message)

    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("_"):
            self._check_name(name)
        super().__setattr__(name, value)

    def _check_name(self, name: str) -> None:
        if not hasattr(type(self), name):
            known = [other for other in self.trait_names() if not other.startswith("_")]
            raise OptionError(
                f"{_name_of(self)} has no {name!r}{near(name, known)}; there are {', '.join(sorted(known))}"
            )

    def set_state(self, sync_data: Mapping[str, Any]) -> None:
        """Take values from the browser; those that are not allowed are left out, and the browser is told what is true."""
        self._from_browser = True
        try:
            sync_data = {
                name: encodable(value) if isinstance(value, str) else value for name, value in sync_data.items()
            }
            good = {name: value for name, value in sync_data.items() if self._acceptable(name, value)}
            super().set_state(good)
        finally:
            self._from_browser = False
        if wrong := [name for name in sync_data if name not in good and name in self.keys]:
            self.send_state(wrong)

    def _acceptable(self, name: str, value: Any) -> bool:
        if name.startswith("_") and name != "_view_count":
            return False
        trait = self.traits().get(name)
        if not isinstance(trait, Checked):
            return trait is not None
        try:
            trait.validate(self, value)
        except (traitlets.TraitError, ValueError):
            return False
        return True

    def _on_message(self, _widget: Any, content: Any, _buffers: Any) -> None:
        if not isinstance(content, dict):
            return
        answer = self._answer(content)
        if answer is not None:
            self.send(answer)

    def _answer(self, message: dict[str, Any]) -> dict[str, Any] | None:
        """Return what to send for a message of the browser; None for one that makes no sense."""
        raise NotImplementedError

    def _parts(self, *, attributes: list[str] | None, max_details: int) -> PageParts:
        """Return what a page of this widget is made of."""
        raise NotImplementedError

    def _figure(self, *, max_rows: int, theme: str) -> Figure:
        """Return a picture."""
        raise NotImplementedError

    def _state_key(self) -> Any:
        """Return what the picture depends on."""
        raise NotImplementedError

    def _quick_picture(self) -> bytes:
        """Return the picture that goes with the live view; drawn once for each state."""
        key = self._state_key()
        if key not in self._pictures:
            self._pictures = {key: small_png(self._figure(max_rows=_QUICK_ROWS, theme=self._picture_theme()))}
        return self._pictures[key]

    def _picture_theme(self) -> str:
        theme = getattr(self, "theme", "auto")
        return "light" if theme == "auto" else str(theme)

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the live view, a picture for readers without it, and a line of text; or what ``ta.options.renderer`` says."""
        data: dict[str, Any] = {"text/plain": repr(self)}
        metadata: dict[str, Any] = {}
        if options.renderer == "widget":
            made = super()._repr_mimebundle_()
            if made is not None:
                data, metadata = made
        elif options.renderer == "html":
            text = page(self._parts(attributes=None, max_details=_FRAME_DETAILS))
            data["text/html"] = framed(text, self.height + 40)
        picture = self._quick_picture()
        data["image/png"] = base64.b64encode(picture).decode("ascii")
        metadata["image/png"] = shown_size(picture)
        return data, metadata

    def to_html(
        self,
        path: str | PathLike[str],
        *,
        attributes: list[str] | tuple[str, ...] | None = None,
        max_details: int = 5000,
    ) -> Path:
        """Write one HTML file that shows this widget as it is now, without a kernel and without a network.

        Parameters
        ----------
        path
            Where to write. An existing file is replaced.
        attributes
            Glob patterns of the attributes that go into the file, with scope or without (``["http.*", "resource.k8s.*"]``);
            those of events and links too. None: all. ``()``: none, for a file that others may see. Names, services, ids and
            status messages are always in it: see ``ta.anonymize``.
        max_details
            Spans whose details go into the file: first those in question, errors and the critical path, then the longest
            ones. The page says how many have none.

        Returns
        -------
        pathlib.Path
            The path.
        """
        patterns = _patterns(attributes)
        if type(max_details) is not int or max_details < 0:
            raise OptionError(f"max_details={max_details!r} is no number of spans; give 0 or more")
        text = page(self._parts(attributes=patterns, max_details=max_details))
        target = Path(path)
        target.write_text(text, encoding="utf-8", newline="\n")
        return target

    def to_png(
        self, path: str | PathLike[str] | None = None, *, max_rows: int = 200, theme: str | None = None
    ) -> bytes | Path:
        """Draw this widget with matplotlib.

        Parameters
        ----------
        path
            Where to write; None: the bytes are returned.
        max_rows
            Spans to show, as in ``ta.plot.waterfall``.
        theme
            ``"light"`` or ``"dark"``; None: the widget's own (light if that is ``"auto"``).

        Returns
        -------
        bytes or pathlib.Path
            The picture, or the path.
        """
        made = encoded(self._figure(max_rows=max_rows, theme=theme or self._picture_theme()), "png")
        return made if path is None else _written(path, made)

    def to_svg(
        self, path: str | PathLike[str] | None = None, *, max_rows: int = 200, theme: str | None = None
    ) -> str | Path:
        """Draw this widget with matplotlib as SVG: the text, or the path if one is given. See :meth:`to_png`."""
        made = encoded(self._figure(max_rows=max_rows, theme=theme or self._picture_theme()), "svg")
        return made.decode("utf-8") if path is None else _written(path, made)


def _name_of(widget: TraceWidget) -> str:
    return type(widget).__name__  # anywidget gives every instance a class of its own, with the same name


def _patterns(attributes: object) -> list[str] | None:
    if attributes is None:
        return None
    if isinstance(attributes, str) or not isinstance(attributes, list | tuple):
        raise OptionError(
            f"attributes={attributes!r}: expected a list of glob patterns such as ['http.*'], () for none, or None for all"
        )
    for pattern in attributes:
        if not isinstance(pattern, str):
            raise OptionError(f"attributes={attributes!r}: {pattern!r} is no text")
    return list(attributes)


def _written(path: str | PathLike[str], data: bytes) -> Path:
    target = Path(path)
    target.write_bytes(data)
    return target
