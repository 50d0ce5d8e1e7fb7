"""The `validated_data` asset of a model, with one check for each expectation."""

from mlops_dagster.declaration import ModelIdentity
from mlops_dagster.records import JSON, Severity, Snapshot
from mlops_dagster.stage import Stage, StageCheck
from mlops_dagster.validate.names import check_names
from mlops_dagster.validate.spec import ValidateSpec
from mlops_dagster.validate.suite_file import expectations_of
from mlops_dagster.workbench import StepContext


def build_stage(model: ModelIdentity, spec: ValidateSpec) -> Stage:
    """Say how `validated_data` is made: judged batch by batch, blocking by severity.

    Raises: SpecError when an expectation is not known or the suite file cannot be read.
    """
    where = f"{model.name}.validate"
    expectations = expectations_of(spec, where=where)

    def run(context: StepContext, raw: Snapshot) -> Snapshot:
        from mlops_dagster.validate.run import run

        return run(context, spec, raw)

    def identify(context: StepContext, raw: Snapshot) -> JSON:
        from mlops_dagster.validate.run import described

        return described(spec, raw, where=f"{context.model.name}.validate")

    return Stage(
        noun="validated_data",
        room="validate",
        description=(
            f"Rows of {model.name} that meet the expectations. Each new batch is judged alone; "
            "refused rows go to quarantine with the reason."
        ),
        run=run,
        identify=identify,
        kinds=frozenset({"greatexpectations", "deltalake"}),
        needs=("raw_data",),
        checks=tuple(
            StageCheck(
                name=name,
                description=f"{one.type} {dict(one.kwargs)} ({one.severity})",
                blocking=one.severity is Severity.CRITICAL,
            )
            for name, one in zip(check_names(expectations), expectations, strict=True)
        ),
        settings=spec.model_dump(mode="json"),
    )
