"""A model's declaration as a Dagster component: the same words as `LifecycleSpec`, in `defs.yaml`."""

from collections.abc import Mapping
from typing import Any, Self

import dagster as dg
from pydantic import BaseModel, ValidationError, ValidatorFunctionWrapHandler, model_validator
from pydantic_core import InitErrorDetails

from mlops_dagster.components.scaffold import ModelLifecycleScaffolder
from mlops_dagster.components.schema import allow_templates
from mlops_dagster.declaration_errors import Location, describe, find_place, show
from mlops_dagster.declaration_file import read_declaration, shape_errors
from mlops_dagster.spec import LifecycleSpec


class LifecycleAttributes(BaseModel, extra="allow"):
    """What may stand under `attributes:`: a `LifecycleSpec` whose values may be templates."""

    @model_validator(mode="wrap")
    @classmethod
    def _has_the_shape(cls, given: Any, keep: ValidatorFunctionWrapHandler) -> Self:
        attributes: Self = keep(given)
        if isinstance(given, Mapping) and (error := shape_errors(given)):
            raise in_sentences(error)
        return attributes

    @classmethod
    def model_json_schema(cls, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Describe the attributes to `dg` and to editors."""
        return allow_templates(LifecycleSpec.model_json_schema(*args, **kwargs))


@dg.scaffold_with(ModelLifecycleScaffolder)
class ModelLifecycle(dg.Component):
    """One model's whole life: ingest, validate, features, train, evaluate, register, deploy, monitor.

    Its attributes are those of `LifecycleSpec`. To change what is built, subclass it and name the
    subclass as `type:` in `defs.yaml`:

    ```python
    class AuditedModel(ModelLifecycle):
        def declare(self, context: dg.ComponentLoadContext) -> LifecycleSpec:
            return self.spec.model_copy(update={"owners": ("team:audit",)})

        def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
            return dg.Definitions.merge(super().build_defs(context), audit_defs)
    ```
    """

    def __init__(self, spec: LifecycleSpec) -> None:
        self.spec = spec

    @classmethod
    def get_spec(cls) -> dg.ComponentTypeSpec:
        """Describe the component to `dg list components`."""
        return dg.ComponentTypeSpec(
            description="One declaration of a model becomes its whole life in Dagster.",
            tags=["mlops", "machine-learning", "mlflow", "great-expectations"],
            produces=["asset", "asset_check", "job", "schedule", "sensor", "resource"],
        )

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        """Say what may stand under `attributes:`."""
        return LifecycleAttributes

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> Self:
        """Resolve the templates, then read the declaration. Raises: SpecError."""
        written = attributes.model_dump() if attributes else {}
        scope = context.resolution_context.at_path("attributes")

        def render(place: Location, text: str) -> object:
            here = scope
            for part in place:
                here = here.at_path(part)
            return here.resolve_value(text)

        return cls(read_declaration(written, render))

    def declare(self, context: dg.ComponentLoadContext) -> LifecycleSpec:  # noqa: ARG002 - to override
        """Give the declaration that is built. Override it to add what all your models share."""
        return self.spec

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Build the model's assets, checks, jobs, schedules and sensors."""
        from mlops_dagster.lifecycle import build_lifecycle

        return build_lifecycle(self.declare(context))


def in_sentences(error: ValidationError) -> ValidationError:
    """Rewrite errors for people, at the places where `dg` looks up the line of the file."""
    details = [
        InitErrorDetails(
            # `dg` makes the errors anew with line numbers, which fails for types of our own.
            type="value_error",
            loc=find_place(LifecycleSpec, one["loc"]).path,
            input=show(one["input"]),
            ctx={"error": describe(one, LifecycleSpec)},
        )
        for one in error.errors(include_url=False)
    ]
    return ValidationError.from_exception_data("ModelLifecycle", details)
