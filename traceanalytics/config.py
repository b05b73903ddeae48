"""``ta.options``: the only state of the package that is not in a frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from traceanalytics.errors import OptionError, check_option, near

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Options", "options"]


class Options:
    """Settings that hold for the whole session.

    Attributes
    ----------
    renderer
        How widgets show themselves: "widget", "png" or "html".
    trace_url
        Address of a trace in your tracing backend with ``{trace_id}`` in it, for example
        ``"https://jaeger.example.com/trace/{trace_id}"``. Once set, trace ids in the HTML tables of a notebook are links.
        None: no links.
    service_colors
        Colours of services by name (anything that matplotlib takes); the others keep the colour that their name gives them.

    Examples
    --------
    >>> from traceanalytics.config import Options
    >>> options = Options()
    >>> options.trace_url = "https://jaeger.example.com/trace/{trace_id}"
    >>> options
    Options(renderer='widget', trace_url='https://jaeger.example.com/trace/{trace_id}', service_colors={})
    """

    _defaults: dict[str, Any] = {"renderer": "widget", "trace_url": None, "service_colors": {}}  # noqa: RUF012 - never changed

    renderer: str
    trace_url: str | None
    service_colors: Mapping[str, str]

    def __init__(self) -> None:
        object.__setattr__(self, "_watchers", {})
        self.reset()

    def reset(self) -> None:
        """Set every option to its default."""
        for name, value in self._defaults.items():
            setattr(self, name, dict(value) if isinstance(value, dict) else value)

    def _watch(self, name: str, watcher: Callable[[Any], None]) -> None:
        """Call ``watcher`` with the new value whenever an option is set."""
        self._watchers[name] = watcher  # type: ignore[attr-defined]

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self._defaults:
            raise OptionError(
                f"there is no option {name!r}, only {', '.join(self._defaults)}{near(name, self._defaults)}"
            )
        _CHECKS[name](value)
        object.__setattr__(self, name, value)
        watcher = self._watchers.get(name)  # type: ignore[attr-defined]
        if watcher is not None:
            watcher(value)

    def __repr__(self) -> str:
        return f"Options({', '.join(f'{name}={getattr(self, name)!r}' for name in self._defaults)})"


def _check_renderer(value: object) -> None:
    check_option("renderer", value, ("widget", "png", "html"))


def _check_trace_url(value: object) -> None:
    if value is None:
        return
    if not (isinstance(value, str) and value.startswith(("https://", "http://")) and "{trace_id}" in value):
        raise OptionError(
            f"trace_url={value!r}: expected an http(s) address with {{trace_id}} in it, for example 'https://jaeger.example.com/trace/{{trace_id}}'"
        )


def _check_service_colors(value: object) -> None:
    if not (isinstance(value, dict) and all(isinstance(k, str) for k in value)):
        raise OptionError(f"service_colors={value!r}: expected a dict of service name to colour")


_CHECKS: dict[str, Callable[[object], None]] = {
    "renderer": _check_renderer,
    "trace_url": _check_trace_url,
    "service_colors": _check_service_colors,
}

options = Options()
"""The options of this session."""
