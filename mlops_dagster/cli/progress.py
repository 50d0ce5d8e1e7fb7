"""Tells a run while it goes: one line for each step, and at the end the sentence of why it failed."""

import shutil
import sys
import textwrap
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import dagster as dg


WAY_OUT = {
    "validated_data": (
        "The rows wait in quarantine, and what serves goes on. Look at them: "
        "`mlops-dagster quarantine list MODEL`; mend them or the source, or change validate.expectations."
    ),
    "registered_model": (
        "What served before still serves. Mend the data, the features or the estimator, or change "
        "evaluate.gates, and run again."
    ),
}
"""What a person can do about a refusal of a step; nothing was changed by it."""
WHERE = " (--verbose shows where)"
AFTER_TIME = 18
"""The margin of a line that begins with a time: what comes after it goes on below itself."""


class Progress:
    """Listens to a run's events. `show` is given each finished line."""

    def __init__(self, *, show: Callable[[str], object]) -> None:
        self._show = show
        self._said: dict[str, dict[str, str]] = {}
        self._refused: dict[str, list[str]] = {}
        self._started: dict[str, float] = {}
        self._failures: dict[str, str] = {}
        self._first = self._last = 0.0

    def on_event(self, entry: "dg.EventLogEntry") -> None:
        """Take in one event of the run."""
        self._first = self._first or entry.timestamp
        self._last = entry.timestamp
        event = entry.dagster_event
        if event is None or event.step_key is None:
            return
        kind, step = event.event_type_value, event.step_key
        if kind == "STEP_START":
            self._started.setdefault(step, entry.timestamp)
        elif kind == "ASSET_MATERIALIZATION":
            self._said[step] = texts(event.step_materialization_data.materialization.metadata)
        elif kind == "ASSET_CHECK_EVALUATION":
            self._take_check(step, event.asset_check_evaluation_data)
        elif kind == "STEP_FAILURE":
            self._failures[step] = reason(event.step_failure_data)
        if kind in {"STEP_SUCCESS", "STEP_FAILURE", "STEP_SKIPPED"}:
            self._tell(
                step, kind, seconds=entry.timestamp - self._started.get(step, entry.timestamp)
            )

    def closing(self, *, success: bool) -> str:
        """Say how the whole run ended, and how long it took."""
        return f"{'Done' if success else 'Stopped'} after {self._last - self._first:.1f} s."

    def why_failed(self) -> str:
        """Give the sentence of the first step that failed."""
        if not self._failures:
            return "The run failed before its first step; --verbose shows Dagster's log."
        step, said = next(iter(self._failures.items()))
        if refused := self._refused.get(step):
            return f"{noun(step)}: {' '.join(refused)} {WAY_OUT.get(noun(step), '')}".rstrip()
        return f"{noun(step)}: {said}"

    def _take_check(self, step: str, check: Any) -> None:
        if not check.passed and check.severity.value == "ERROR":
            told = texts(check.metadata).get("because") or check.description or "refused"
            self._refused.setdefault(step, []).append(f"{check.check_name}: {told}")

    def _tell(self, step: str, kind: str, *, seconds: float) -> None:
        said = self._said.get(step, {})
        if kind == "STEP_SKIPPED":
            outcome, because = "skipped", "a step before it did not succeed."
        elif kind == "STEP_FAILURE":
            outcome, because = (
                "failed",
                " ".join(self._refused.get(step, [])) or self._failures[step],
            )
        elif "reused" in said:
            outcome, because = "reused", said.get("because", "")
        else:
            outcome, because = said.get("outcome", "done"), said.get("because", "")
        text = line(noun(step), outcome, because, seconds=seconds)
        self._show(fitted(text, width=screen_width()))


def line(name: str, outcome: str, because: str, *, seconds: float) -> str:
    """Write a step's line."""
    return f"  {name:<17} {outcome:<9} {seconds:6.1f} s  {' '.join(because.split())}".rstrip()


def fitted(text: str, *, width: int | None) -> str:
    """Cut a line to the width of a screen; without a screen it stays whole."""
    return text if width is None or len(text) <= width else f"{text[: width - 3]}..."


def wrapped(text: str, *, width: int | None, margin: int) -> str:
    """Let a long line go on below itself, behind a margin; without a screen it stays one line."""
    if width is None:
        return text
    return textwrap.fill(
        text, max(width, 2 * margin), subsequent_indent=" " * margin, break_long_words=False
    )


def screen_width() -> int | None:
    """Measure the terminal; there is none when the output goes to a file or another program."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def noun(step: str) -> str:
    """Name a step as people do: without the model before it."""
    return step.rsplit("__", 1)[-1]


def texts(metadata: Any) -> dict[str, str]:
    """List the metadata that is plain text."""
    return {name: one.value for name, one in metadata.items() if isinstance(one.value, str)}


def reason(failure: Any) -> str:
    """Find the sentence in a failed step: what was raised on purpose, else the error itself."""
    told = getattr(failure, "user_failure_data", None)
    if told is not None and told.description:
        return str(told.description)
    error = failure.error
    while error is not None and error.cause is not None:
        error = error.cause
    if error is not None and error.cls_name == "DagsterExecutionInterruptedError":
        return "it was interrupted. What served before still serves; run it again."
    said = str(error.message).strip() if error else "no reason was given."
    return f"{said}{WHERE}"
