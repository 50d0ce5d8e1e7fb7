"""What a failed run means for people: where it stopped, why, and what a retry would do. Pure."""

from dataclasses import dataclass

# Raised on purpose for a cause that a retry meets again.
LASTING = frozenset({"SpecError", "DataNotFitError", "GateRefusedError", "MissingExtraError"})


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedRun:
    """A run that failed. `kind` is the error's class; `refused` says that a rule refused its work."""

    run_id: str
    stage: str
    cause: str
    kind: str
    refused: bool

    def sentence(self) -> str:
        """Say stage, cause, and whether a retry is safe."""
        where = f"Run {self.run_id[:8]} stopped at {self.stage}: {self.cause}"
        return f"{where.rstrip('. ')}. {self.retry()}"

    def retry(self) -> str:
        """Say what a retry would do."""
        if self.refused:
            return "A retry is safe and would be refused again: mend the data or the candidate."
        if self.kind in LASTING:
            return "A retry is safe and would stop at the same place: mend the cause first."
        return (
            f"A retry is safe: finished steps are kept, and 're-execute from failure' goes on at "
            f"{self.stage}."
        )
