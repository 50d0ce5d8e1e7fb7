"""Facts of a model's past, made by formula, for tests of the page."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from mlops_dagster.monitor.drift import judge_drift
from mlops_dagster.monitor.evidence import Evidence
from mlops_dagster.monitor.looks import Look
from mlops_dagster.monitor.page.facts import Current, Facts
from mlops_dagster.monitor.spec import DriftSpec, MonitorSpec, PerformanceSpec
from mlops_dagster.monitor.windows import Window
from mlops_dagster.profiles.columns import TableProfile
from mlops_dagster.profiles.reference import ReferenceProfile
from mlops_dagster.profiles.tables import profile_of
from mlops_dagster.records import Check, Decision, Finding, Move, Outcome, Severity
from mlops_dagster.testing.ledger import a_move

START = datetime(2013, 1, 7, tzinfo=UTC)
WEEK = timedelta(days=7)
OVER = {0: 4.0, 1: 2.0, 2: 1.2}
EMPTY = TableProfile(rows=0, columns={})


def week(number: int) -> Window:
    return Window(start=START + WEEK * number, end=START + WEEK * (number + 1))


def finding(number: int, column: str = "delay", *, times: float = 0.5, **changed) -> Finding:
    """A finding of drift in one week, so many times its limit."""
    window = week(number)
    alarm = times > 1
    known = Finding(
        model="shop",
        segment="all",
        signal="feature_drift",
        subject=column,
        outcome=Outcome.REFUSED if alarm else Outcome.PASSED,
        value=times * 0.1,
        limit=0.1,
        rows=600,
        window_start=window.start,
        window_end=window.end,
        at=window.end,
        because=f"{window.label}: {column}: W1 {times * 0.1:.4f} sd, limit 0.1000 sd, n=600 against 2,400.",
        champion_version="1",
        severity="major" if alarm else "",
    )
    return replace(known, **changed)


def performance(number: int, value: float, limit: float | None, **changed) -> Finding:
    over = limit is not None and value > limit
    shared = {
        "signal": "performance",
        "subject": "log_loss",
        "value": value,
        "limit": limit,
        "outcome": Outcome.REFUSED if over else Outcome.PASSED,
        "severity": "",
    }
    return finding(number, **(shared | changed))


def measured(number: int, value: float | None, *, kind: str = "labelled", **changed) -> dict:
    """A row of the table `performance`."""
    window = week(number)
    return {
        "window_start": window.start,
        "window_end": window.end,
        "model_version": "1",
        "kind": kind,
        "slice": "",
        "metric": "" if value is None else "log_loss",
        "value": value,
        "low": value - 0.02 if value is not None and kind == "estimated" else None,
        "high": value + 0.02 if value is not None and kind == "estimated" else None,
        "labels": 300,
        "answers": 600,
        "coverage": 0.5,
        "as_of": window.end,
        "source": "600 stored predictions",
        "seen": "",
    } | changed


def move(number: float, version: str, kind: str = "promotion", **changed) -> Move:
    at = START + WEEK * number
    told = {
        "model": "shop",
        "registered_name": "shop",
        "to_version": version,
        "who": "run 1",
        "why": "It passed every gate.",
        "kind": kind,
        "state": "done",
        "at": at,
        "recorded_at": at,
    }
    return a_move(**told | changed)


def decision(number: float, action: str = "retrain", because: str = "3 drift alarms.") -> Decision:
    return Decision(
        model="shop",
        segment="all",
        action=action,
        reason="drift",
        because=because,
        at=START + WEEK * number,
    )


def check(name: str, outcome: Outcome, because: str = "So it is.") -> Check:
    return Check(name=name, outcome=outcome, because=because, severity=Severity.WARNING)


def facts(**known) -> Facts:
    """What is known of a model that serves since week 4."""
    return Facts(
        **{
            "address": "shop/all",
            "at": START + WEEK * 12,
            "run_id": "run1",
            "loss": "log_loss",
            "spec": MonitorSpec(drift=DriftSpec(), performance=PerformanceSpec()),
            "champion": "1",
            "since": START + WEEK * 4,
            "checks": (check("data_fresh", Outcome.PASSED),),
        }
        | known
    )


def table(rows: int, columns: dict[str, float], *, labels: str = "", seed: int = 0) -> pa.Table:
    """Columns of numbers by how far they are shifted, and one of labels."""
    chance = np.random.default_rng(seed)
    made = {name: chance.normal(size=rows) + shift for name, shift in columns.items()}
    names = [*(labels or "origin airport").split(), "JFK"]
    return pa.table({**made, "origin": chance.choice(names, size=rows)})


def current(before: pa.Table, now: pa.Table, *, number: int = 11) -> Current:
    """A window judged against a reference, by the code that judges."""
    spec = DriftSpec()
    reference = profile_of(before)
    evidence = profile_of(now, edges_from=reference)
    return Current(
        reference=ReferenceProfile(
            features=reference, predictions=EMPTY, rows=before.num_rows, windows=0
        ),
        look=Look(
            window=week(number),
            rows=now.num_rows,
            features=tuple(judge_drift(reference, evidence, spec=spec)),
            predictions=(),
            source="",
        ),
        evidence=Evidence(
            window=week(number),
            rows=now.num_rows,
            features=evidence,
            predictions=EMPTY,
            source="",
        ),
    )


def many(windows: int, columns: int) -> list[Finding]:
    """Findings, newest first: column c is c / columns times its limit, the first three are over it."""
    return [
        finding(number, f"column_{column:03d}", times=OVER.get(column, column / columns))
        for number in reversed(range(windows))
        for column in range(columns)
    ]


def full(windows: int = 40, columns: int = 12) -> Facts:
    """Everything there is to draw, at the size of a real model."""
    wave = [0.35 + 0.05 * np.sin(number / 5) for number in range(windows)]
    loss = [
        float(value + (0.12 if number > windows - 6 else 0)) for number, value in enumerate(wave)
    ]
    known = range(windows - 4)
    return facts(
        at=START + WEEK * windows,
        checks=(
            check("feature_drift", Outcome.REFUSED, "Column 0 drifted."),
            check("performance", Outcome.PASSED),
            check(
                "model_fresh",
                Outcome.NOT_APPLICABLE,
                "no limit is declared under monitor.freshness.",
            ),
        ),
        drift=many(windows, columns),
        performance=[performance(number, loss[number], 0.42) for number in reversed(known)],
        history=[
            *(measured(number, loss[number]) for number in known),
            *(measured(number, None, labels=0, coverage=0.0) for number in range(windows)),
            *(measured(number, float(wave[number]), kind="estimated") for number in range(windows)),
        ],
        moves=[move(2, "1", id=1), move(windows / 2, "2", id=2)],
        decisions=[decision(windows / 2), decision(3, "none", "Cooldown of 45d.")],
        current=current(
            table(2_400, {"delay": 0.0, "distance": 0.0}),
            table(600, {"delay": 1.0, "distance": 0.0}, labels="airport somewhere-new", seed=1),
        ),
    )
