"""The workbench as a Dagster resource, and the IO manager that keeps records.

Both keys are namespaced and both objects are made once, so that several models, or somebody else's
definitions, merge into one code location.
"""

import os
from functools import cache
from pathlib import Path

import dagster as dg

from mlops_dagster.clock import clock_at, clock_from_environment
from mlops_dagster.errors import GateRefusedError
from mlops_dagster.records import NOUNS, Outcome, Record
from mlops_dagster.stores.accepted import accept, find_record
from mlops_dagster.stores.records import RecordAddress
from mlops_dagster.workbench import Workbench

WORKBENCH_KEY = "mlops_dagster"
RECORDS_KEY = "mlops_dagster_records"
TAKES_REFUSED = "mlops_dagster/takes_refused"
MODEL = "mlops_dagster/model"
SEGMENT = "mlops_dagster/segment"
NOUN = "mlops_dagster/noun"
ENVIRONMENT = {
    "home": ("MLOPS_HOME", ".mlops"),
    "lake": ("MLOPS_LAKE", ""),
    "tracking_uri": ("MLFLOW_TRACKING_URI", ""),
    "operations_url": ("MLOPS_OPERATIONS_URL", ""),
    "ui_url": ("MLOPS_UI_URL", "http://127.0.0.1:3000"),
}
"""Which variable fills an empty address, and what it is without one."""
RESUMED = "dagster/is_resume_retry"


@cache
def open_workbench(addresses: tuple[tuple[str, str], ...], clock: str) -> Workbench:
    """Open the workbench of these addresses, once in a process."""
    named = dict(addresses)
    return Workbench(home=Path(named.pop("home")), clock=clock_at(clock), **named)


class WorkbenchResource(dg.ConfigurableResource["WorkbenchResource"]):
    """Where a model's tables, runs, versions and facts are kept. Empty means embedded in `home`.

    Give what holds a password as `dg.EnvVar("NAME")`: Dagster then keeps the name, not the secret.
    """

    home: str = ""
    lake: str = ""
    tracking_uri: str = ""
    operations_url: str = ""
    ui_url: str = ""
    clock: str = ""

    def open(self) -> Workbench:
        """Open it; the environment fills what is empty (`MLOPS_HOME`, `MLOPS_LAKE`, ...)."""
        addresses = {
            name: getattr(self, name) or os.environ.get(variable, default)
            for name, (variable, default) in ENVIRONMENT.items()
        }
        clock = self.clock or clock_from_environment().address
        return open_workbench(tuple(sorted(addresses.items())), clock)


class RecordIOManager(dg.ConfigurableIOManager):
    """Keeps what assets hand on as immutable JSON records; loading a refused one raises."""

    workbench: WorkbenchResource

    def handle_output(self, context: dg.OutputContext, obj: Record) -> None:
        """Write the record, and make it the accepted one if it passed."""
        bench = self.workbench.open()
        noun = context.definition_metadata[NOUN]
        address = RecordAddress(
            model=obj.model,
            segment=obj.segment,
            noun=noun,
            run_id=context.run_id,
            step=attempt_of(context),
        )
        path = bench.records.write(address, obj)
        if obj.outcome is Outcome.PASSED:
            accept(bench.records, bench.operations, noun=noun, record=obj, path=path)
        if obj.fingerprint:
            bench.operations.remember(
                obj.model, obj.segment, noun, fingerprint=obj.fingerprint, path=path
            )
        context.add_output_metadata({"record": path})

    def load_input(self, context: dg.InputContext) -> Record:
        """Read the record of this run, else of the run it continues, else the accepted one."""
        upstream = context.upstream_output
        described = upstream.definition_metadata if upstream else {}
        noun, model, segment = described[NOUN], described[MODEL], described[SEGMENT]
        bench = self.workbench.open()
        run = context.step_context.dagster_run
        runs = [one for one in (run.run_id, run.parent_run_id) if one]
        record = find_record(
            bench.records,
            bench.operations,
            address=(model, segment, noun),
            runs=runs,
            kind=NOUNS[noun],
        )
        takes_refused = bool(context.definition_metadata.get(TAKES_REFUSED))
        if record.outcome is Outcome.REFUSED and not takes_refused:
            message = (
                f"{model}/{segment}/{noun} of run {record.run_id} was refused: {record.because} "
                "Nothing can be built upon it; mend the cause and materialize it again."
            )
            raise GateRefusedError(message)
        return record


def attempt_of(context: dg.OutputContext) -> str:
    """Name the step and its try, so that a retry writes a record of its own."""
    step = context.step_context
    tries = step.previous_attempt_count
    return f"{context.step_key}" + (f".{tries}" if tries else "")


WORKBENCH = WorkbenchResource()
RECORDS = RecordIOManager(workbench=WORKBENCH)
