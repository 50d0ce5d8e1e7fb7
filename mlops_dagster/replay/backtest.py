"""Plays a model's history under one policy: look, decide, train, judge, promote, window by window."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from mlops_dagster.errors import SpecError, nearest
from mlops_dagster.monitor.windows import Window
from mlops_dagster.records import Decision, Finding, Outcome
from mlops_dagster.replay.candidates import Candidate, Trainer, losses_of
from mlops_dagster.replay.history import History
from mlops_dagster.replay.watching import Watcher
from mlops_dagster.retrain.alarms import asking_alarms, of_signal
from mlops_dagster.retrain.policy import WEEK, Situation, decide
from mlops_dagster.retrain.spec import RetrainSpec

POLICIES = ("never", "weekly", "new_data", "drift", "performance", "all")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One window: its loss under the version that served, and what was decided at its end."""

    window: Window
    rows: int
    loss: float
    version: int
    decision: Decision
    verdict: str = ""


@dataclass(slots=True, kw_only=True)
class Played:
    """What one policy would have done. `cpu_s` is what its own candidates cost.

    `window` is how far back they learned, where several ways are compared.
    """

    policy: str
    window: str = ""
    steps: list[Step] = field(default_factory=list)
    live: int = 0
    refused: int = 0
    cpu_s: float = 0.0
    alarms: int = 0
    led_nowhere: int = 0

    @property
    def name(self) -> str:
        """The policy, and how far back it learned."""
        return f"{self.policy} {self.window}".strip()

    @property
    def loss(self) -> float:
        """The mean loss of an answer, over the whole history played."""
        rows = sum(step.rows for step in self.steps)
        return sum(step.loss * step.rows for step in self.steps) / max(rows, 1)


def policy_of(name: str, declared: RetrainSpec) -> RetrainSpec:
    """Turn a name into a policy: the declared one with other triggers."""
    match name:
        case "never":
            return declared.model_copy(update={"triggers": ()})
        case "weekly":
            changes = {"triggers": ("new_data",), "cooldown": WEEK, "min_new_rows": 1}
            return declared.model_copy(update=changes)
        case "new_data" | "drift" | "performance":
            return declared.model_copy(update={"triggers": (name,)})
        case "all":
            every = ("new_data", "stale_model", "drift", "performance")
            return declared.model_copy(update={"triggers": every})
        case _:
            message = f"--policies: {name!r} is not known. {nearest(name, POLICIES)}"
            raise SpecError(message)


class Play:
    """One policy on one history, from the first window to the last."""

    def __init__(
        self, history: History, trainer: Trainer, watcher: Watcher, policy: RetrainSpec
    ) -> None:
        self._history, self._trainer, self._watcher = history, trainer, watcher
        self._policy = policy
        self._champion: Candidate | None = None
        self._since: datetime | None = None
        self._version = 0
        self._last: datetime | None = None
        self._retrains: list[datetime] = []
        self._findings: list[Finding] = []
        self._pending: set[str] = set()

    def run(self, name: str, windows: list[Window], *, learning: str = "") -> Played:
        """Play all windows. `learning` says how far back its models learn, where that is compared."""
        played = Played(policy=name, window=learning)
        for window in windows:
            start, end = window.start, window.end
            if start is None or end is None:
                message = f"{self._history.model.name}: windows of a replay have times."
                raise SpecError(message)
            if self._champion is None:
                self._decide(start, played)
            played.steps.append(self._step(window, start, end, played))
        played.led_nowhere += len(self._pending)
        return played

    def _step(self, window: Window, start: datetime, end: datetime, played: Played) -> Step:
        history, champion, version = self._history, self._champion, self._version
        if champion is None:
            message = (
                f"{history.model.name}: no model passed its gates on the rows known by {start:%Y-%m-%d}. "
                "Begin later: --start."
            )
            raise SpecError(message)
        places = history.between(start, end)
        losses = losses_of(
            history.model, history.truth[places], champion.answers.iloc[places], champion.labels
        )
        name = str(version)
        self._findings += self._watcher.drift(champion, window, at=end, version=name)
        self._findings += self._watcher.performance(champion, since=start, at=end, version=name)
        self._hear(played)
        decision, verdict = self._decide(end, played)
        return Step(
            window=window,
            rows=len(places),
            loss=float(losses.mean()) if len(places) else 0.0,
            version=version,
            decision=decision,
            verdict=verdict,
        )

    def _hear(self, played: Played) -> None:
        heard = set(self._heard())
        played.alarms += len(heard - self._pending)
        self._pending |= heard

    def _heard(self) -> Iterator[str]:
        """Name the windows since the last training that ask, of what the policy listens to."""
        if "drift" in self._policy.triggers:
            yield from (one.window for one in asking_alarms(self._policy, self._findings))
        if "performance" in self._policy.triggers:
            yield from (one.window for one in of_signal(self._findings, "performance"))

    def _decide(self, now: datetime, played: Played) -> tuple[Decision, str]:
        learnt = len(self._history.learnt_by(now))
        situation = Situation(
            now=now,
            data_version=f"{learnt} rows" if learnt else None,
            champion=str(self._version) if self._champion else None,
            champion_since=self._since,
            new_rows=learnt - (len(self._history.learnt_by(self._last)) if self._last else 0),
            last_retrain=self._last,
            open_run=None,
            findings=tuple(self._findings),
            retrains=tuple(one for one in self._retrains if one > now - WEEK),
        )
        decision = decide(self._history.model, self._policy, situation)
        if decision.action != "retrain":
            return decision, ""
        return decision, self._retrain(now, played)

    def _retrain(self, now: datetime, played: Played) -> str:
        candidate = self._trainer.candidate(now)
        outcome, because = self._trainer.verdict(candidate, self._champion)
        played.cpu_s += candidate.cpu_s
        self._last = now
        self._retrains.append(now)
        self._findings = []
        if outcome is Outcome.PASSED:
            self._champion, self._since = candidate, now
            self._version += 1
            played.live += 1
        else:
            played.refused += 1
            played.led_nowhere += len(self._pending)
        self._pending = set()
        return because


def default_start(history: History, *, share: float = 0.25) -> datetime:
    """Begin after a quarter of the time, so that there is something to learn from."""
    span: timedelta = history.last - history.first
    return history.first + span * share
