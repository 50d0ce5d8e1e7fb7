"""`mlops-dagster`: the group of commands. `--help` loads none of them."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

from mlops_dagster.cli.leave import run_and_leave
from mlops_dagster.errors import MlopsError

COMMANDS: Mapping[str, tuple[str, str]] = {
    "init": ("init", "Write a small working project for one table."),
    "run": ("run", "Run one of a model's jobs here, and say what each step did."),
    "check": ("check", "Import and resolve everything that is declared."),
    "status": ("status", "What serves, what waits, how new the data is, what was found."),
    "why": ("why", "The last decisions about a model, as sentences."),
    "calibrate": ("calibrate", "How often drift would alarm on a model's own history."),
    "backtest": ("backtest", "What other retraining policies would have done on its history."),
    "skew-check": ("skew_check", "Compare live answers' features with the lake's, row by row."),
    "history": ("history", "Every change of what serves: who, what, why, when."),
    "serve": ("serve", "Answer over HTTP with the version that is live."),
    "load-test": ("load_test", "Measure what the endpoint answers on this machine."),
    "approve": ("approve", "Let a version serve that waits for a person."),
    "rollback": ("rollback", "Put back the version that served before."),
    "quarantine": ("quarantine", "Look at refused rows, and take mended ones back."),
    "setup": ("setup", "Prepare stores that are not embedded."),
    "dev": ("dev", "Open Dagster's and MLflow's pages on this machine."),
}
"""Each command's module here, and its line of help."""


class Commands(click.Group):
    """Loads a command's module when it is called, and shows our own errors as one message."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """List the commands in the order of a project's life."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Load one command."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"mlops_dagster.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or name the nearest one."""
        from mlops_dagster.errors import nearest

        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            message = f"There is no command {args[0]!r}. {nearest(args[0], COMMANDS)}"
            raise click.UsageError(message, ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the list of commands without loading them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; what this package raises on purpose is told without a traceback."""
        try:
            return super().invoke(ctx)
        except MlopsError as error:
            if ctx.params.get("traceback"):
                raise
            raise click.ClickException(str(error)) from error


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--traceback", is_flag=True, help="Show where in the code an error was raised.")
@click.version_option(package_name="mlops-dagster")
def main(*, traceback: bool) -> None:
    """Take a model through its whole life in Dagster."""


def console() -> None:
    """Be the program `mlops-dagster`."""
    run_and_leave(main)


if __name__ == "__main__":
    console()
