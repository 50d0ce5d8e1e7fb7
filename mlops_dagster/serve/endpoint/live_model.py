"""Which version answers: follows the alias, swaps whole, and goes on with what it has."""

import json
import logging
import threading
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from mlops_dagster.errors import MlopsError, StoreError, first_line
from mlops_dagster.records import BARRED_TAG, CANARY_TAG
from mlops_dagster.scoring.accelerated import accelerated
from mlops_dagster.scoring.loader import ScoringModel, load_verified
from mlops_dagster.scoring.questions import InputSchema, schema_of
from mlops_dagster.stores.registry import CHALLENGER, CHAMPION, ModelVersion, Registry

log = logging.getLogger("mlops_dagster.serve")
LOOKS_BETWEEN_TRIES = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A version that is ready to answer."""

    model: ScoringModel
    schema: InputSchema

    @property
    def version(self) -> str:
        """Its number in the registry."""
        return self.model.version


@dataclass(slots=True, kw_only=True)
class LiveModel:
    """Holds the champion, the one before it, and the challenger where it is wanted.

    With `only`, that version answers, whatever the alias says.
    `look` is called by one thread; the others read `champion`, one reference, which is swapped whole.
    The challenger answers `share` of the keys, or in a staged promotion as many as its tag says;
    `canary` is how many now.
    """

    registry: Registry
    name: str
    shadow: bool = False
    share: float = 0.0
    canary: float = 0.0
    only: str = ""
    champion: Loaded | None = None
    challenger: Loaded | None = None
    before: Loaded | None = None
    problem: str = ""
    swaps: int = 0
    _refused: dict[str, tuple[str, int]] = field(default_factory=dict)
    _looking: threading.Lock = field(default_factory=threading.Lock)

    def start(self) -> Loaded:
        """Load what serves. Raises: StoreError when nothing can."""
        self.look()
        if self.champion is None:
            message = f"{self.name}: nothing can be served. {self.problem}"
            raise StoreError(message)
        return self.champion

    def look(self, *, again: bool = False) -> None:
        """Follow the alias. What goes wrong is told in `problem`, and the champion goes on.

        `again`: try at once what could not be loaded before.
        """
        with self._looking:
            if again:
                self._refused.clear()
            try:
                self._follow()
            except MlopsError as error:
                self._tell(str(error))
            except Exception as error:
                # The registry is somebody else's code: whatever it raises must not end what serves.
                log.exception("looking at %s", self.name)
                self._tell(f"{type(error).__name__}: {first_line(error)}")

    def _follow(self) -> None:
        wanted = self._wanted()
        if wanted is None:
            self._tell(f"{self.name} has no version with the alias champion.")
        elif self.champion is None or wanted.version != self.champion.version:
            self._swap(wanted)
        else:
            self._tell("")
        if not self.only:
            self._follow_challenger()

    def _wanted(self) -> ModelVersion | None:
        if self.only:
            return self.registry.version(self.name, self.only)
        return self.registry.by_alias(self.name, CHAMPION)

    def _swap(self, wanted: ModelVersion) -> None:
        """Load another version whole, and only then let it answer."""
        known = self.before and self.before.version == wanted.version
        fresh = self.before if known else self._load(wanted)
        self.before, self.champion = self.champion, fresh
        self.swaps += 1
        self._tell("")
        log.info("%s: version %s answers", self.name, wanted.version)

    def _follow_challenger(self) -> None:
        wanted = self.registry.by_alias(self.name, CHALLENGER)
        serves = wanted and self.champion and wanted.version == self.champion.version
        share = self._share_of(wanted) if wanted and not serves else 0.0
        if wanted is None or serves or not (share or self.shadow):
            self.challenger, self.canary = None, 0.0
            return
        if self.challenger is None or self.challenger.version != wanted.version:
            self.challenger, self.canary = None, 0.0
            self.challenger = self._load(wanted)
        self.canary = share

    def _share_of(self, challenger: ModelVersion) -> float:
        """Tell which share of keys a challenger answers now: as declared, or as its promotion goes."""
        if challenger.tags.get(BARRED_TAG):
            return 0.0
        step = challenger.tags.get(CANARY_TAG, "")
        return float(json.loads(step)["share"]) if step else self.share

    def _load(self, wanted: ModelVersion) -> Loaded:
        """Load a version; one that could not be loaded is tried again only after some looks."""
        why, looks = self._refused.get(wanted.version, ("", 0))
        if looks:
            self._refused[wanted.version] = why, looks - 1
            raise StoreError(why)
        try:
            fresh = load(self.registry, wanted)
        except MlopsError as error:
            self._refused[wanted.version] = str(error), LOOKS_BETWEEN_TRIES
            raise
        self._refused.pop(wanted.version, None)
        return fresh

    def _tell(self, problem: str) -> None:
        if problem and problem != self.problem:
            log.warning("%s", problem)
        self.problem = problem


def load(registry: Registry, wanted: ModelVersion) -> Loaded:
    """Load a version: files as registered, requirements met, its example answered as it was.

    Raises: StoreError saying which of these fails.
    """
    folder = registry.download(wanted)
    refuse_other_requirements(wanted, folder)
    model = load_verified(registry, wanted)
    model.check_example()
    return Loaded(model=accelerated(registry, wanted, model), schema=schema_of(model))


def refuse_other_requirements(wanted: ModelVersion, folder: Path) -> None:
    """See that this process has what a version was trained with.

    Raises: StoreError with the difference.
    """
    path = folder / "requirements.txt"
    lines = path.read_text().splitlines() if path.exists() else []
    unmet = [told for line in lines if (told := unmet_requirement(line))]
    if unmet:
        message = (
            f"{wanted.name} version {wanted.version} is not served by this process: {'; '.join(unmet)}. "
            "Start the endpoint in an environment that has them."
        )
        raise StoreError(message)


def unmet_requirement(line: str) -> str:
    """Tell how a requirement is not met here; empty when it is, or when it is no requirement."""
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        needed = Requirement(line.partition("#")[0].strip())
    except InvalidRequirement:
        return ""
    if needed.marker and not needed.marker.evaluate():
        return ""
    try:
        found = version(needed.name)
    except PackageNotFoundError:
        return f"it needs {needed}, and there is none"
    return (
        ""
        if needed.specifier.contains(found, prereleases=True)
        else f"it needs {needed}, here is {found}"
    )
