"""The command line of `rotation`."""

import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, TextIO

import boto3
import typer
from botocore.exceptions import BotoCoreError, ClientError

from console.account import Account, stop_of
from console.changes import Asked, read_file
from console.disable import disable
from console.doctor import doctor
from console.enable import enable
from console.explain import codes, explain
from console.fleet import Wanted, describe, select
from console.outcome import CouldNotLook, Exit, Misused, Stop
from console.posture.report import DAYS, report
from console.recover import Choices, recover
from console.rekey import rekey
from console.rotate import PATIENCE_SECONDS, rotate
from console.schedules import hours_of
from console.screen import Screen
from console.status import status

FIRST_STEPS = """\
Rotates database passwords in AWS Secrets Manager. What to do first:

  rotation status --all          how every secret stands, the most urgent first
  rotation doctor SECRET         what a rotation will need, looked at without changing anything
  rotation enable SECRET         attach it to its function, after an examination
  rotation rotate SECRET         rotate it now, and see each step
  rotation recover --all         after failures: go on, or say what has to be mended

Each has --help. Which account: --profile, --region. Shell completion: --install-completion"""
"""Ten lines, for a person who types the command alone."""

EPILOG = (
    "Everywhere: --json, --quiet, --profile, --region, --endpoint-url. Exit status: 0 well, "
    "1 failure, 2 warnings, 3 usage, 4 could not look."
)
ESCROW = "escrow"
FLAGS = frozenset({"--json", "--quiet", "-q"})
VALUES = frozenset({"--profile", "--region", "--endpoint-url"})
"""Options of every command; they may stand anywhere on the line."""

app = typer.Typer(
    name="rotation",
    no_args_is_help=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EPILOG,
)


@dataclass
class Session:
    """What the options of every command ask for."""

    account: Account
    screen: Screen


@dataclass
class _Line:
    """The command line that is being carried out."""

    out: TextIO | None = None
    err: TextIO | None = None
    session: Session | None = None


_line = _Line()


def _version(wanted: bool) -> None:  # noqa: FBT001 (Typer hands it so)
    if wanted:
        try:
            told = version("secret-rotation")
        except PackageNotFoundError:
            told = "from a working tree"
        typer.echo(f"rotation {told}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def options(
    context: typer.Context,
    *,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON document on standard output.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="The verdict alone.")] = False,
    profile: Annotated[str | None, typer.Option(help="Of the AWS configuration.")] = None,
    region: Annotated[str | None, typer.Option(help="The AWS Region.")] = None,
    endpoint_url: Annotated[
        str | None, typer.Option(help="Of all services, where it is not AWS.")
    ] = None,
    _version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which it is.")
    ] = False,
) -> None:
    """Rotates database passwords in AWS Secrets Manager: looks, attaches, rotates, recovers."""
    screen = Screen(as_json=as_json, quiet=quiet, out=_line.out, err=_line.err)
    _line.session = Session(Account(profile, region, endpoint_url), screen)
    if context.invoked_subcommand == ESCROW:
        # Its commands take what the SDK takes.
        boto3.setup_default_session(profile_name=profile, region_name=region)
        if endpoint_url is not None:
            os.environ["AWS_ENDPOINT_URL"] = endpoint_url
    if context.invoked_subcommand is None:
        for line in FIRST_STEPS.split("\n"):
            screen.say(line)


Names = Annotated[list[str] | None, typer.Argument(metavar="SECRET...", help="Names or ARNs.")]
Name = Annotated[str, typer.Argument(metavar="SECRET", help="Its name or ARN.")]
Tags = Annotated[
    list[str] | None, typer.Option("--tag", metavar="KEY=VALUE", help="All that have it.")
]
Every = Annotated[bool, typer.Option("--all", help="All of the Region.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the changes, and make none.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@app.command("status", epilog=EPILOG)
def status_command(
    names: Names = None,
    tags: Tags = None,
    *,
    every: Every = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="A report for auditors.")] = False,
    days: Annotated[
        int | None, typer.Option("--policy", min=1, help="Days that a password may be old.")
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Again and again, until Ctrl-C.")] = False,
    interval: Annotated[float, typer.Option(min=1, help="Seconds between two looks.")] = 10.0,
) -> None:
    """How secrets stand, the most urgent first, and why; no value is read."""
    wanted = Wanted(names or (), tags or (), every or not (names or tags))

    def look(session: Session) -> Exit:
        secrets = select(session.account, wanted)
        return status(session.account, session.screen, secrets, policy_days=days, as_csv=as_csv)

    def look_again(session: Session) -> Exit:
        while True:
            session.screen.clear()
            found = look(session)
            try:
                time.sleep(interval)
            except KeyboardInterrupt:
                return found

    _run(look_again if watch else look)


@app.command("doctor", epilog=EPILOG)
def doctor_command(
    names: Names = None,
    tags: Tags = None,
    *,
    every: Every = False,
    function: Annotated[str, typer.Option(help="What is to rotate what is not attached.")] = "",
    here: Annotated[
        bool,
        typer.Option(
            "--here", help="Look from this machine at what is not attached: reads values."
        ),
    ] = False,
) -> None:
    """What a rotation will need, looked at without changing anything."""

    def work(session: Session) -> Exit:
        secrets = select(session.account, Wanted(names or (), tags or (), every))
        return doctor(session.account, session.screen, secrets, function, here=here)

    _run(work)


@app.command("explain", epilog=EPILOG)
def explain_command(
    code: Annotated[str, typer.Argument(autocompletion=codes, help="A code, or a log's cause.")],
) -> None:
    """What a code means, and what to do about it."""
    _run(lambda session: explain(session.screen, code))


@app.command("rotate", epilog=EPILOG)
def rotate_command(
    name: Name,
    *,
    yes: Yes = False,
    patience: Annotated[
        float, typer.Option(min=1, help="Seconds without news before it is left to itself.")
    ] = PATIENCE_SECONDS,
) -> None:
    """Rotate a secret now, and follow it step by step to its end."""

    def work(session: Session) -> Exit:
        secret = describe(session.account, name)
        return rotate(session.account, session.screen, secret, yes=yes, patience=patience)

    _run(work)


@app.command("recover", epilog=EPILOG)
def recover_command(
    names: Names = None,
    tags: Tags = None,
    *,
    every: Every = False,
    yes: Yes = False,
    mended: Annotated[
        bool, typer.Option("--mended", help="The cause is mended: do not look for it.")
    ] = False,
) -> None:
    """After failures: end the attempt and rotate, or say what has to be mended first."""
    wanted = Wanted(names or (), tags or (), every)

    def work(session: Session) -> Exit:
        secrets = select(session.account, wanted)
        choices = Choices(yes=yes, mended=mended, patient=not names)
        return recover(session.account, session.screen, secrets, choices)

    _run(work)


@app.command("enable", epilog=EPILOG)
def enable_command(
    names: Names = None,
    tags: Tags = None,
    *,
    every: Every = False,
    file: Annotated[
        Path | None,
        typer.Option("--file", help="CSV with the columns secret, function, schedule, window."),
    ] = None,
    function: Annotated[str, typer.Option(help="Name or ARN; found where there is one.")] = "",
    schedule: Annotated[
        str, typer.Option(help="monthly, weekly, daily (spread), rate(...) or cron(...).")
    ] = "",
    window: Annotated[str, typer.Option(help="How long a window is open, such as 4h.")] = "",
    between: Annotated[str, typer.Option(help="Hours, UTC, in which windows open.")] = "0-5",
    adopt: Annotated[
        bool,
        typer.Option(
            "--adopt", help="The second user of AWS's own function: reads the user's name."
        ),
    ] = False,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """Attach secrets; where the function finds something in the way, detach them again."""

    def work(session: Session) -> Exit:
        asked = Asked(function, schedule, window, hours_of(between), adopt)
        account = session.account
        if file is not None:
            if names or tags or every:
                raise Misused("Name secrets in the file, or on the command line.")
            wanted = [(describe(account, name), each.over(asked)) for name, each in read_file(file)]
        else:
            chosen = select(account, Wanted(names or (), tags or (), every))
            wanted = [(secret, asked) for secret in chosen]
        return enable(account, session.screen, wanted, dry_run=dry_run, yes=yes)

    _run(work)


@app.command("disable", epilog=EPILOG)
def disable_command(
    names: Names = None,
    tags: Tags = None,
    *,
    every: Every = False,
    back: Annotated[
        bool, typer.Option("--back", help="To the function that rotated it before `enable`.")
    ] = False,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """Detach secrets, and say what stays in the database."""

    def work(session: Session) -> Exit:
        secrets = select(session.account, Wanted(names or (), tags or (), every))
        return disable(
            session.account, session.screen, secrets, back=back, dry_run=dry_run, yes=yes
        )

    _run(work)


@app.command("posture", epilog=EPILOG)
def posture_command(
    names: Names = None,
    tags: Tags = None,
    *,
    every: Every = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="One row a secret, for auditors.")] = False,
    days: Annotated[int, typer.Option(min=1, help="That a password may be old.")] = DAYS,
    values: Annotated[
        bool,
        typer.Option("--values/--no-values", help="Read secrets' values for host and port alone."),
    ] = True,
) -> None:
    """How well secrets, their keys, functions and databases are protected; changes nothing."""
    wanted = Wanted(names or (), tags or (), every)

    def work(session: Session) -> Exit:
        secrets = select(session.account, wanted)
        return report(
            session.account,
            session.screen,
            secrets,
            days=days,
            as_csv=as_csv,
            reads_values=values,
        )

    _run(work)


@app.command("rekey", epilog=EPILOG)
def rekey_command(
    names: Names = None,
    tags: Tags = None,
    *,
    key: Annotated[str, typer.Option("--key", metavar="ARN", help="The new KMS key.")],
    yes: Yes = False,
    patience: Annotated[
        float, typer.Option(min=1, help="Seconds without news before a rotation is left to itself.")
    ] = PATIENCE_SECONDS,
) -> None:
    """Put secrets under another KMS key, and rotate each once; may be run again at any time."""

    def work(session: Session) -> Exit:
        secrets = select(session.account, Wanted(names or (), tags or ()))
        return rekey(session.account, session.screen, secrets, key, yes=yes, patience=patience)

    _run(work)


try:
    from escrow.command import app as escrow
except ModuleNotFoundError:  # without the extra that brings its cryptography

    @app.command(ESCROW, epilog=EPILOG, context_settings={"ignore_unknown_options": True})
    def escrow_command(_: Annotated[list[str] | None, typer.Argument(hidden=True)] = None) -> None:
        """Open credentials that were put into escrow: needs the extra `escrow`."""

        def work(_: Session) -> Exit:
            msg = "The command was installed without its extra: `uv tool install '.[escrow]'`."
            raise Misused(msg)

        _run(work)
else:
    app.add_typer(escrow, name=ESCROW)


def _run(work: Callable[[Session], Exit]) -> None:
    """Do a command's work, and exit with its status."""
    session = _line.session
    if session is None:
        raise RuntimeError
    try:
        result = work(session)
    except Stop as stop:
        result = session.screen.stopped(stop)
    except ClientError as error:
        result = session.screen.stopped(stop_of(error))
    except BotoCoreError as error:
        result = session.screen.stopped(CouldNotLook(f"AWS gave no answer: {error}"))
    raise typer.Exit(int(result))


def run(arguments: Sequence[str], out: TextIO | None = None, err: TextIO | None = None) -> int:
    """Carry out a command line, and return the exit status.

    Args:
        arguments: Without the program's name.
        out: Where results go; standard output when None.
        err: Where everything else goes; standard error when None.
    """
    _line.out, _line.err = out, err
    command = typer.main.get_command(app)
    try:
        ended = command.main(args=in_order(arguments), prog_name="rotation", standalone_mode=False)
    except typer.TyperException as error:
        # Typer's own status for this is 2, which means warnings here.
        told = error.format_message() if hasattr(error, "format_message") else str(error)
        return int(Screen(out=out, err=err).stopped(Misused(f"{told} Try `rotation --help`.")))
    except (KeyboardInterrupt, typer.Abort):
        return 130
    return int(ended or 0)


def in_order(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with the options of every command first, wherever they stood."""
    first: list[str] = []
    rest: list[str] = []
    given = iter(arguments)
    for argument in given:
        if argument == "--":
            rest += [argument, *given]
        elif argument in FLAGS or argument.partition("=")[0] in VALUES:
            first.append(argument)
            if argument in VALUES:
                first += [value for value in [next(given, None)] if value is not None]
        else:
            rest.append(argument)
    return first + rest


def main() -> None:
    """Carry out the command line of this process."""
    sys.exit(run(sys.argv[1:]))
