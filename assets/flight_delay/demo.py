"""`make demo`: a model lives through 2013. Real data, real runs, real decisions; one planted fault.

It trains on January to March. Then each month arrives at its end without outcomes, to be scored and
watched; they follow with the report of the next month, to be learned from. What is asked for, the
sensors ask; what goes live, the gates decide.
"""

import logging
import os
import sys
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from assets.flight_delay.live import Endpoint, live, trace
from assets.flight_delay.play import Player, fresh_home
from assets.flight_delay.source import FAULT, departures
from assets.flight_delay.year import Month, draw, judge_months, write_table
from mlops_dagster.cli.leave import run_and_leave
from mlops_dagster.cli.why import sentence
from mlops_dagster.records import (
    Decision,
    Evaluation,
    FeatureSet,
    Outcome,
    RegisteredVersion,
    Snapshot,
)
from mlops_dagster.stores.records import R
from mlops_dagster.validate.quarantine import export, listed, replay
from mlops_dagster.workbench import StepContext

FIRST_REPORT = datetime(2013, 4, 3, 6, tzinfo=UTC)
FAULTY_DAY = datetime(2013, 8, 16, 6, tzinfo=UTC)
MONTHS = range(4, 13)


class Story:
    """What happened, by month, and the proof of each promise with the ids to open."""

    def __init__(self, player: Player) -> None:
        self.player = player
        self.events: dict[str, list[str]] = defaultdict(list)
        self.kept: dict[str, list[str]] = defaultdict(list)

    def begin(self) -> None:
        """Train the first model on the outcomes of January to March."""
        self.player.tell("January to March are reported: the first model ...")
        result = self.player.run("lifecycle")
        if not result.success:
            sys.exit("The first lifecycle run failed; see it in the UI: make dev")
        version = self._record(result.run_id, "registered_model", RegisteredVersion)
        self.player.tell(f"  version {version.version} is live (run {result.run_id[:8]})")
        again = self.player.run("lifecycle")
        features = self._record(again.run_id, "features", FeatureSet)
        self.player.tell(f"  the same again: {features.reused or 'NOT reused'}")
        self.kept["unchanged steps are reused and say why"].append(f"run {again.run_id[:8]}")

    def fault(self) -> None:
        """Let a corrupted batch arrive, and see that the champion does not notice."""
        self.player.clock.set(FAULTY_DAY)
        os.environ[FAULT] = "1"
        try:
            [(_, result)] = self.player.obey("freshness")
        finally:
            del os.environ[FAULT]
        record = self._record(result.run_id, "validated_data", Snapshot)
        failed = [check.name for check in record.checks if check.outcome is Outcome.REFUSED]
        if result.success or not failed:
            sys.exit("The corrupted batch was not refused; see the run in the UI: make dev")
        text = f"corrupted batch (made for this demo) refused by {failed[0]}"
        month = f"2013-{FAULTY_DAY.month:02d}"
        self._say(month, text, result.run_id)
        self.kept["a bad batch is refused by a named expectation"].append(
            f"run {result.run_id[:8]}"
        )
        self._mend(month)

    def _mend(self, month: str) -> None:
        """Do what a person would: bring the mended rows of the refused batch back."""
        bench, model = self.player.bench, self.player.model
        [held] = listed(bench, model)
        step = StepContext(
            model=model,
            bench=bench,
            run_id="mended-by-hand",
            root_run_id="mended-by-hand",
            noun="quarantine",
            log=logging.getLogger(__name__),
        )
        keys = export(bench, model, batch=held.batch)["flight_id"].to_pandas()
        mended = departures()
        rows = mended[mended["flight_id"].isin(keys)]
        back = replay(
            step, batch=held.batch, mended=pa.Table.from_pandas(rows, preserve_index=False)
        )
        result = self.player.run("update")
        text = f"{back.rows:,} mended rows taken back from quarantine"
        self._say(month, text, result.run_id)
        self.kept["refused rows are kept, and come back mended"].append(f"run {result.run_id[:8]}")

    def month(self, number: int) -> None:
        """Let one month arrive: its flights without outcomes, and the outcomes of the one before."""
        name = f"2013-{number:02d}"
        after = datetime(2014, 1, 1, 6, tzinfo=UTC)
        self.player.clock.set(
            after if number == 12 else datetime(2013, number + 1, 1, 6, tzinfo=UTC)
        )
        self.player.tell(f"{name}: its flights are in, outcomes unknown: score and watch ...")
        for sensor in ("freshness", "drift", "freshness"):
            self._obey(name, sensor)

    def last_report(self) -> None:
        """Let the outcomes of December arrive."""
        self.player.clock.set(datetime(2014, 1, 3, 6, tzinfo=UTC))
        self._obey("2013-12", "freshness")

    def live(self, endpoint: Endpoint) -> str:
        """Answer callers over HTTP through a rollback and a promotion; give the last answer's id."""
        self.player.tell("the model answers over HTTP, while versions change ...")
        return live(self.player, endpoint)

    def trace(self, answer: str) -> None:
        """Follow a live answer back."""
        proof = trace(self.player, answer)
        self.kept["live answers go on through a rollback and a promotion, and are traced"].append(
            proof
        )

    def _obey(self, name: str, sensor: str) -> None:
        for request, result in self.player.obey(sensor):
            if request.tags["mlops_dagster/reason"] and str(request.job_name).endswith("_retrain"):
                self._tell_retrain(name, str(request.tags["mlops_dagster/reason"]), result.run_id)
            elif not result.success:
                self._say(name, "update failed", result.run_id)

    def _tell_retrain(self, name: str, reason: str, run_id: str) -> None:
        judged = self._record(run_id, "evaluation", Evaluation)
        version = self._record(run_id, "registered_model", RegisteredVersion)
        proof = f"version {version.version} (run {run_id[:8]})"
        if judged.outcome is Outcome.REFUSED:
            text = f"{reason}: retrained; v{version.version} refused: {judged.because}"
            self.kept["a worse candidate is refused"].append(proof)
        else:
            text = f"{reason}: retrained; v{version.version} goes live"
            self.kept["a better candidate goes live"].append(proof)
        self._say(name, text, run_id)

    def _say(self, name: str, text: str, run_id: str) -> None:
        self.events[name].append(shortened(text, 90))
        self.player.tell(f"  {text} (run {run_id[:8]})")

    def _record(self, run_id: str, noun: str, kind: type[R]) -> R:
        model = self.player.model
        record = self.player.bench.records.of_run(model.name, model.segment, noun, run_id, kind)
        if record is None:
            sys.exit(f"Run {run_id} stopped before {noun}; see it in the UI: make dev")
        return record


def main() -> None:
    """Play the year, then show it as a table and a picture."""
    home = fresh_home()
    player = Player(home, FIRST_REPORT)
    story = Story(player)
    story.begin()
    for number in MONTHS:
        if number == FAULTY_DAY.month:
            story.fault()
        if number < MONTHS[-1]:
            story.month(number)
    with Endpoint(player) as endpoint:
        story.month(MONTHS[-1])
        story.last_report()
        # Callers wait more than they work, so there is time to look back.
        with ThreadPoolExecutor(1) as aside:
            judged = aside.submit(judge_months, player.bench, player.model)
            answer = story.live(endpoint)
    story.trace(answer)
    player.run("monitor")  # what the pages say last is to be true after the rollback too
    finish(story, home, judged.result())


def finish(story: Story, home: Path, judged: Sequence[Month]) -> None:
    """Show what the year was, and where to look."""
    player = story.player
    months = [
        replace(one, events=tuple(story.events[one.name]))
        for one in judged
        if one.name >= "2013-04"
    ]
    picture = home / "year.png"
    draw(months, picture)
    player.tell("the year is over")
    lines = [
        "",
        write_table(months),
        "",
        "Why it was trained again (mlops-dagster why flight_delay tells every yes and no):",
        *(f"  {shortened(sentence(one), 150)}" for one in reasons(player)),
        "",
        "Promises kept, with the ids to open:",
        *(f"  - {what}: {', '.join(proofs)}" for what, proofs in story.kept.items()),
        "",
    ]
    lines += [
        f"The same as a picture: {picture}",
        "Look around in the UI: make dev",
        "Ask the model yourself: .venv/bin/mlops-dagster serve flight_delay",
    ]
    sys.stdout.write("\n".join(lines) + "\n")


def reasons(player: Player) -> list[Decision]:
    """List the decisions to train again, oldest first."""
    model = player.model
    made = player.bench.operations.decisions(model.name, model.segment, action="retrain", limit=100)
    return list(reversed(made))


def shortened(text: str, letters: int) -> str:
    """Cut a text that is too long for a line."""
    return text if len(text) <= letters else f"{text[: letters - 3]}..."


if __name__ == "__main__":
    run_and_leave(main)
