"""The nodes of a service graph: services or operations that emit spans, and what they call that emits none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from traceanalytics.analysis.call_targets import NODE_KINDS, UNKNOWN, CallTargets
from traceanalytics.analysis.xml_text import xml_text
from traceanalytics.spans.columns import codes_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["GraphNodes"]

_BY_RANK: Final = np.array(
    [NODE_KINDS.index(kind) for kind in ("database", "broker", "service", "external", "unknown")]
)
"""Where several spans describe one node, the kind that stands first here is its."""


class GraphNodes:
    """Nodes by number, in alphabetical order; equal texts are one node, whether spans or attributes name it.

    Attributes
    ----------
    of_span
        By row of the frame: the node; -1 for duplicates.
    """

    of_span: NDArray[np.int64]

    def __init__(
        self, spans: pd.DataFrame, head: NDArray[np.int32], targets: CallTargets, *, level: str = "service"
    ) -> None:
        """Set up the nodes; ``head`` is, by row, the first span of the call that a span belongs to (-1: none)."""
        code, services, names = _named(spans, level)
        texts = [f"{s}: {o}" for s, o in zip(services, names, strict=True)] if names else services
        virtual = [xml_text(text) for text in targets.labels]
        number, distinct = pd.factorize(pd.Index([*texts, *virtual, UNKNOWN], dtype="str"), sort=True)
        self._of_label = number[len(texts) :]  # the last one, for the label -1, is the unknown node
        self.of_span = np.where(head >= 0, number[code[head]], -1)
        of_service = distinct.to_numpy(dtype=object, copy=True)
        of_name = np.full(len(distinct), "", dtype=object)
        if names:
            of_service[number[: len(texts)]] = services
            of_name[number[: len(texts)]] = names
        rank = np.full(len(distinct), len(_BY_RANK) - 1)
        np.minimum.at(rank, self._of_label[targets.name], np.argsort(_BY_RANK)[targets.node_kind])
        self._table = pd.DataFrame(
            {
                "node": distinct,
                "service": pd.array(of_service, dtype="str"),
                "name": pd.array(of_name, dtype="str"),
                "node_kind": _BY_RANK[rank],
            }
        )

    def of_end(self, row: NDArray[np.int64], label: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the node of each end of a call: that of the row, or where it is -1, that of the label."""
        return np.where(row >= 0, np.append(self.of_span, -1)[row], self._of_label[label])

    def used_by(self, *ends: NDArray[np.int64]) -> tuple[pd.DataFrame, NDArray[np.int64]]:
        """Return the table of the nodes that have spans or calls, and for every node its place there; the last entry, -1, is none's."""
        table = self._table
        real = np.zeros(len(table), dtype=bool)
        real[self.of_span[self.of_span >= 0]] = True
        used = real.copy()
        for end in ends:
            used[end] = True
        service = table["service"]
        kind = table["node_kind"].to_numpy(copy=True)
        kind[service.isin(service[real]).to_numpy()] = NODE_KINDS.index("service")
        kind[(service == UNKNOWN).to_numpy()] = NODE_KINDS.index("unknown")
        made = table.assign(node_kind=kind, real=real)[used].reset_index(drop=True)
        return made, np.append(np.cumsum(used) - 1, -1)


def _named(spans: pd.DataFrame, level: str) -> tuple[NDArray[np.int64], list[str], list[str]]:
    """Return codes of the spans, and for each code its service and, at level "operation", its name."""
    codes, labels = codes_of(spans["service"])
    services = [*(xml_text(str(label)) for label in labels), UNKNOWN]
    code = np.where(codes < 0, len(labels), codes).astype(np.int64)
    if level == "service":
        return code, services, []
    name, labels = codes_of(spans["name"])
    names = [*(xml_text(str(label)) for label in labels), UNKNOWN]
    code, pairs = pd.factorize(code * len(names) + np.where(name < 0, len(labels), name))
    service, name = np.divmod(pairs, len(names))
    return code, [services[at] for at in service.tolist()], [names[at] for at in name.tolist()]
