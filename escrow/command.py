"""``rotation escrow``: fetch, open and drill. Whoever fetches need not be able to open.

The command adds it with ``app.add_typer(escrow.command.app, name="escrow")``; and it runs alone:
``python -m escrow.command``. Credentials and Region are the SDK's choice, a key's Region its own.
"""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import boto3
import typer

from escrow.bucket import newest
from escrow.drill import drill
from escrow.errors import NotOpened
from escrow.keys import open_record, require_asked_for
from escrow.login import log_in
from escrow.record import Record

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

FAILURE, USAGE = 1, 3
PRIVATE = 0o600

app = typer.Typer(
    no_args_is_help=True,
    help="Opens credentials that were put into escrow when they were rotated.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

Secret = Annotated[str, typer.Argument(help="ARN of the secret.", metavar="SECRET")]
Bucket = Annotated[str, typer.Option(help="The escrow stack's output Bucket.")]


@app.command("fetch")
def fetch_record(
    secret: Secret,
    bucket: Bucket,
    to: Annotated[Path, typer.Option(help="A new file: the record, still sealed.")],
    before: Annotated[str | None, typer.Option(help="Sealed before, as 20261231T235959Z.")] = None,
) -> None:
    """Fetch the newest record of a secret. Needs the bucket, and no key that opens."""
    with _told():
        raw = newest(boto3.client("s3"), bucket, secret, before)
        context = Record.from_bytes(raw).context
    _write(to, raw)
    _say(f"{to}: version {context.version}, sealed at {context.sealed}.")


@app.command("open")
def open_file(
    file: Annotated[Path, typer.Argument(help="What was fetched.", metavar="FILE")],
    *,
    secret: Annotated[str, typer.Option(help="ARN of the secret that it should be of.")],
    key: Annotated[str | None, typer.Option(help="ARN of the key that opens it.")] = None,
    data_key_fd: Annotated[
        int | None, typer.Option(help="Instead: where the data key comes from, out of an HSM.")
    ] = None,
    version: Annotated[str | None, typer.Option(help="Version that it should be of.")] = None,
    since: Annotated[str | None, typer.Option(help="No record that was sealed before.")] = None,
    fd: Annotated[int, typer.Option(help="File descriptor that gets the credential.")] = 1,
) -> None:
    """Open a record. Needs a key, and no bucket. The credential never goes to a terminal."""
    if os.isatty(fd):
        _say(f"File descriptor {fd} is a terminal: send it to a program or a file (`| program`).")
        raise typer.Exit(USAGE)
    if (key is None) is (data_key_fd is None):
        _say("Give either --key or --data-key-fd.")
        raise typer.Exit(USAGE)
    with _told():
        record = Record.from_bytes(file.read_bytes())
        require_asked_for(record, secret=secret, version=version, since=since)
        if data_key_fd is not None:
            text = record.open(_read(data_key_fd))
        else:
            text = open_record(record, str(key), _kms(str(key)))
    with os.fdopen(os.dup(fd), "w", encoding="utf-8") as opened:
        opened.write(text)


@app.command("drill")
def run_drill(
    secret: Secret,
    bucket: Bucket,
    key: Annotated[str, typer.Option(help="ARN of the second key.")],
    ca_file: Annotated[str, typer.Option(help="PEM, for databases outside RDS.")] = "",
    results: Annotated[Path, typer.Option(help="Folder for the dated result.")] = Path(),
) -> None:
    """Open the newest record by the second key alone, log in with it, and write down the result.

    Secrets Manager and the first key are not asked.
    """
    knock = partial(log_in, ca_file=ca_file)
    result = drill(secret, bucket, key, s3=boto3.client("s3"), kms=_kms(key), log_in=knock)
    name = secret.rpartition(":")[2].replace("/", "_")
    path = results / f"escrow-drill-{name}-{result.at.replace(':', '')}.json"
    _write(path, json.dumps(result.document(), indent=1).encode() + b"\n")
    if not result.passed:
        _say(f"Not passed: {result.reason} ({path})")
        raise typer.Exit(FAILURE)
    _say(f"Passed: {result.username} at {result.host}, version {result.version} ({path})")


def _kms(key: str) -> "KMSClient":
    """Return a client in the key's own Region."""
    parts = key.split(":")
    region = parts[3] if len(parts) > len(("arn", "aws", "kms")) else None
    return boto3.client("kms", region_name=region)


def _read(descriptor: int) -> bytes:
    with os.fdopen(descriptor, "rb") as given:
        return given.read()


def _write(path: Path, raw: bytes) -> None:
    """Write a file that nobody else reads, and that was not there."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE)
    except OSError as error:
        _say(f"{path} cannot be made: {error.strerror}.")
        raise typer.Exit(USAGE) from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(raw)


@contextmanager
def _told() -> Iterator[None]:
    """Tell why a record is not opened, and end."""
    try:
        yield
    except NotOpened as error:
        _say(str(error))
        raise typer.Exit(FAILURE) from None
    except OSError as error:
        _say(f"{error.filename} cannot be read: {error.strerror}.")
        raise typer.Exit(USAGE) from None


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")


if __name__ == "__main__":
    app()
