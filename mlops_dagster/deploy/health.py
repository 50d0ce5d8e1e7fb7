"""Whether live answers of a version are worse than another's, from counts alone."""

import math
from dataclasses import dataclass
from typing import Literal

from mlops_dagster.deploy.spec import HealthSpec
from mlops_dagster.stores.traffic import Traffic

_Z = 4.0
"""Differences below as many standard errors may be chance: one in 30,000 looks without a difference."""
_SLOWER_MS = 20.0
"""Latencies closer than this are alike, whatever their ratio."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """A verdict in a sentence. `few`: too little was answered to tell."""

    state: Literal["well", "worse", "few"]
    because: str


def judge(new: Traffic | None, old: Traffic | None, spec: HealthSpec) -> Health:
    """Hold a version's live answers against those of the version before it, or beside it."""
    asked, before = (one.requests if one else 0 for one in (new, old))
    if new is None or old is None or min(asked, before) < spec.minimum_requests:
        because = (
            f"{asked:,} requests answered by it and {before:,} by the other; "
            f"{spec.minimum_requests:,} of each are needed to compare."
        )
        return Health(state="few", because=because)
    worse = [
        one
        for one in (_errors(new, old, spec), _slow(new, old, spec), _shift(new, old, spec))
        if one
    ]
    if worse:
        return Health(state="worse", because=" ".join(worse))
    because = (
        f"{asked:,} requests: {new.error_rate:.1%} failed ({old.error_rate:.1%} of version "
        f"{old.version}), 95 % within {new.latency_ms(0.95):g} ms ({old.latency_ms(0.95):g} ms)."
    )
    return Health(state="well", because=because)


def _errors(new: Traffic, old: Traffic, spec: HealthSpec) -> str:
    rise = new.error_rate - old.error_rate
    both = (new.errors + old.errors) / (new.requests + old.requests)
    error = math.sqrt(both * (1 - both) * (1 / new.requests + 1 / old.requests))
    if rise <= spec.error_rate or rise <= _Z * error:
        return ""
    return (
        f"{new.error_rate:.1%} of {new.requests:,} requests failed on version {new.version}, "
        f"{old.error_rate:.1%} of {old.requests:,} on version {old.version}; it may rise by "
        f"{spec.error_rate:.1%}."
    )


def _slow(new: Traffic, old: Traffic, spec: HealthSpec) -> str:
    now, then = new.latency_ms(0.95), old.latency_ms(0.95)
    if now <= spec.latency_ratio * then or now - then <= _SLOWER_MS:
        return ""
    return (
        f"95 % of the answers of version {new.version} took up to {now:g} ms, of version "
        f"{old.version} {then:g} ms; {spec.latency_ratio:g} times is allowed."
    )


def _shift(new: Traffic, old: Traffic, spec: HealthSpec) -> str:
    if not (new.scores and old.scores):
        return ""
    moved = abs(new.mean - old.mean)
    error = math.sqrt(new.spread**2 / new.scores + old.spread**2 / old.scores)
    if moved <= spec.score_shift * old.spread or moved <= _Z * error:
        return ""
    return (
        f"The mean answer is {new.mean:.4g} on version {new.version} and {old.mean:.4g} on version "
        f"{old.version}, whose answers spread by {old.spread:.4g}; {spec.score_shift:g} times that is allowed."
    )
