"""The workbench as a Dagster resource, and the IO manager that keeps records.

Both keys are namespaced and both objects are made once, so that several models, or somebody else's
definitions, merge into one code location.
"""

import dagster as dg

from mlops_dagster.errors import GateRefusedError
from mlops_dagster.records import NOUNS, Outcome, Record
from mlops_dagster.stores.accepted import accept, find_record
from mlops_dagster.stores.records import RecordAddress
from mlops_dagster.workbench import ENVIRONMENT, Workbench, workbench_from_environment

WORKBENCH_KEY = "mlops_dagster"
RECORDS_KEY = "mlops_dagster_records"
TAKES_REFUSED = "mlops_dagster/takes_refused"
MODEL = "mlops_dagster/model"
SEGMENT = "mlops_dagster/segment"
NOUN = "mlops_dagster/noun"
RESUMED = "dagster/is_resume_retry"


def status_of(*, running: bool) -> dg.DefaultSensorStatus:
    """Say whether a sensor is on when a location is first loaded."""
    return dg.DefaultSensorStatus.RUNNING if running else dg.DefaultSensorStatus.STOPPED


class WorkbenchResource(dg.ConfigurableResource["WorkbenchResource"]):
    """Where a model's tables, runs, versions and facts are kept. Empty means embedded in `home`.

    Give what holds a password as `dg.EnvVar("NAME")`: Dagster then keeps the name, not the secret.
    """

    home: str = ""
    lake: str = ""
    tracking_uri: str = ""
    operations_url: str = ""
    ui_url: str = ""
    mlflow_ui_url: str = ""
    clock: str = ""

    def open(self) -> Workbench:
        """Open it; the environment fills what is empty (`MLOPS_HOME`, `MLOPS_LAKE`, ...)."""
        given = {name: getattr(self, name) for name in (*ENVIRONMENT, "clock")}
        return workbench_from_environment(**given)


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
        """Read the record of this run, else of the nearest run it continues, else the accepted one."""
        upstream = context.upstream_output
        described = upstream.definition_metadata if upstream else {}
        noun, model, segment = described[NOUN], described[MODEL], described[SEGMENT]
        bench = self.workbench.open()
        runs = run_and_parents(context.instance, context.step_context.dagster_run)
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


def run_and_parents(instance: dg.DagsterInstance, run: dg.DagsterRun) -> list[str]:
    """List a run and those it continues: its parent, the parent's, and so on."""
    runs = [run.run_id]
    parent = run.parent_run_id
    while parent and parent not in runs:
        runs.append(parent)
        earlier = instance.get_run_by_id(parent)
        parent = earlier.parent_run_id if earlier else None
    return runs


def attempt_of(context: dg.OutputContext) -> str:
    """Name the step and its try, so that a retry writes a record of its own."""
    step = context.step_context
    tries = step.previous_attempt_count
    return f"{context.step_key}" + (f".{tries}" if tries else "")


WORKBENCH = WorkbenchResource()
RECORDS = RecordIOManager(workbench=WORKBENCH)
