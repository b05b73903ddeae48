"""The probability that a trace is kept by several samplers together."""

from __future__ import annotations

import numpy as np
import pandas as pd

from traceanalytics.errors import OptionError, check_option

__all__ = ["inclusion_probability"]


def inclusion_probability(probabilities: pd.DataFrame, *, joint: str = "consistent", stages: str = "any") -> pd.Series:
    """Return with which probability traces are kept by several samplers.

    Parameters
    ----------
    probabilities
        One row a trace, one column a sampler: its probability of keeping that trace, 0 to 1. Missing: not known.
    joint
        ``consistent``: the samplers compare the same random number (OpenTelemetry's consistent sampling, or hashes with the same
        salt), so the decisions are nested. ``independent``: each draws its own.
    stages
        ``any``: policies side by side, a trace is kept when one keeps it (largest probability, or 1 - prod(1 - p)). ``all``:
        stages in a row, every one must keep it (smallest probability, or the product).

    Returns
    -------
    pandas.Series
        float64, named ``incl_prob``, on the index of ``probabilities``; missing where any probability is, as it may be what
        decides.

    Raises
    ------
    OptionError
        An option or a probability is not as described, or there is no column.

    Notes
    -----
    Taking one rule for the other biases totals by some percent for policies side by side, and by a factor for stages in a row.

    Examples
    --------
    >>> policies = pd.DataFrame({"errors": [1.0, 0.2], "rest": [0.1, 0.1]})
    >>> inclusion_probability(policies, joint="independent").round(3).tolist()
    [1.0, 0.28]
    >>> inclusion_probability(policies, joint="consistent").tolist()
    [1.0, 0.2]
    """
    check_option("joint", joint, ("consistent", "independent"))
    check_option("stages", stages, ("any", "all"))
    if probabilities.shape[1] == 0:
        raise OptionError("probabilities has no column: expected one for every sampler")
    p = probabilities.to_numpy("float64", na_value=np.nan)
    if ((p < 0) | (p > 1)).any():
        row, column = np.argwhere((p < 0) | (p > 1))[0]
        raise OptionError(
            f"{probabilities.columns[column]!r} holds {p[row, column]:g} at {probabilities.index.tolist()[row]!r}, which is no probability"
        )
    if joint == "consistent":
        found = p.max(axis=1) if stages == "any" else p.min(axis=1)
    else:
        found = 1 - (1 - p).prod(axis=1) if stages == "any" else p.prod(axis=1)
    return pd.Series(found, index=probabilities.index, name="incl_prob")
