"""Finding the models of a workspace: its modules are imported here, as Dagster would."""

import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import click
import yaml

from mlops_dagster.errors import MlopsError, SpecError, nearest

if TYPE_CHECKING:
    import dagster as dg

    from mlops_dagster.spec import LifecycleSpec
    from mlops_dagster.workbench import Workbench

SETTINGS = "telemetry:\n  enabled: false\nnux:\n  enabled: false\n"

WORKSPACE = click.option(
    "-w",
    "--workspace",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("workspace.yaml"),
    show_default=True,
    help="The file that lists the code locations.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One code location of a workspace."""

    module: str = ""
    file: Path | None = None
    attribute: str | None = None
    folder: Path

    @property
    def name(self) -> str:
        """What it is called in a message."""
        return self.module or str(self.file)


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """One loaded code location."""

    name: str
    definitions: "dg.Definitions"


def load_locations(workspace: Path) -> list[Location]:
    """Import every code location. Raises: SpecError naming the one that does not load."""
    return [load_entry(entry) for entry in entries(workspace)]


def load_entry(entry: Entry) -> Location:
    """Import one code location and find its definitions."""
    for folder in (str(entry.folder), str(entry.folder / "src")):
        if folder not in sys.path:
            sys.path.insert(0, folder)
    try:
        module = _import_file(entry.file) if entry.file else import_module(entry.module)
    except MlopsError:
        raise
    except Exception as error:
        message = f"{entry.name} does not load: {type(error).__name__}: {error}"
        raise SpecError(message) from error
    return Location(name=entry.name, definitions=find_definitions(module, entry))


def find_definitions(module: ModuleType, entry: Entry) -> "dg.Definitions":
    """Find the module's `Definitions`, or the function decorated with `@dg.definitions`."""
    import dagster as dg

    names = [entry.attribute] if entry.attribute else [one for one in vars(module) if one[0] != "_"]
    for name in names:
        found: Any = getattr(module, name, None)
        if type(found).__name__ == "LazyDefinitions":
            found = found()
        if isinstance(found, dg.Definitions):
            return found
    wanted = entry.attribute or "a `dg.Definitions` object"
    message = f"{entry.name} has no {wanted}. Write `defs = build_lifecycle(...)` in it."
    raise SpecError(message)


def entries(workspace: Path) -> list[Entry]:
    """Read which code locations a workspace lists; without one, a `dg` project is its own."""
    if workspace.exists():
        return list(_listed(workspace))
    if found := _dg_project(Path.cwd()):
        return [found]
    message = (
        f"There is no {workspace} here ({Path.cwd()}). Go to the project's folder, give -w, or write "
        "one: `mlops-dagster init NAME --data FILE --target COLUMN`."
    )
    raise SpecError(message)


def one_module(name: str) -> Entry:
    """Make the entry of a module that is given by its name."""
    return Entry(module=name, folder=Path.cwd())


def _listed(workspace: Path) -> Iterator[Entry]:
    try:
        written = yaml.safe_load(workspace.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        message = f"{workspace} is no YAML: {' '.join(str(error).split())}"
        raise SpecError(message) from error
    root = workspace.resolve().parent
    for one in written.get("load_from", []):
        kind, told = next(iter(one.items()))
        told = {} if told is None else told
        if kind == "python_module":
            told = {"module_name": told} if isinstance(told, str) else told
            folder = root / told.get("working_directory", ".")
            yield Entry(module=told["module_name"], attribute=told.get("attribute"), folder=folder)
        elif kind == "python_file":
            told = {"relative_path": told} if isinstance(told, str) else told
            folder = root / told.get("working_directory", ".")
            file = root / told["relative_path"]
            yield Entry(file=file, attribute=told.get("attribute"), folder=folder)


def _dg_project(folder: Path) -> Entry | None:
    import tomllib

    file = folder / "pyproject.toml"
    if not file.exists():
        return None
    project = tomllib.loads(file.read_text()).get("tool", {}).get("dg", {}).get("project", {})
    if not (root := project.get("root_module")):
        return None
    module = project.get("code_location_target_module", f"{root}.definitions")
    return Entry(module=module, folder=folder)


def _import_file(path: Path) -> ModuleType:
    spec = spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.exists():
        message = f"{path} is no Python file."
        raise SpecError(message)
    module = module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def find_model(workspace: Path, name: str) -> "LifecycleSpec":
    """Load the workspace and find a model by `name` or `name/segment`."""
    load_locations(workspace)
    return declared_model(name)


def declared_model(name: str) -> "LifecycleSpec":
    """Find a model, `name` or `name/segment`, among those that were built in this process."""
    known = declared_models()
    name = name.removesuffix("/all")  # the segment of a model that has none
    if name not in known:
        message = f"There is no model {name!r} in this workspace. {nearest(name, known)}"
        raise SpecError(message)
    return known[name]


def declared_models() -> "Mapping[str, LifecycleSpec]":
    """List what was built in this process."""
    from mlops_dagster.lifecycle import declared

    return declared()


def open_bench() -> "Workbench":
    """Open the stores that the environment names."""
    from mlops_dagster.workbench import workbench_from_environment

    return workbench_from_environment()


def home() -> Path:
    """The folder of what is embedded."""
    return Path(os.environ.get("MLOPS_HOME", ".mlops")).resolve()


def dagster_home() -> Path:
    """Find Dagster's folder, making it (without telemetry, or a dialog that asks for an address) when it is not there."""
    folder = Path(os.environ.get("DAGSTER_HOME") or home() / "dagster").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    settings = folder / "dagster.yaml"
    if not settings.exists():
        settings.write_text(SETTINGS, encoding="utf-8")
    return folder
