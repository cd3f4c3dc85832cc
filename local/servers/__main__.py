"""`python -m local.servers fetch [kind …]` and `python -m local.servers run <kind>`."""

import argparse
import signal
import sys
from concurrent.futures import ThreadPoolExecutor

from local.servers import KINDS, ServerUnavailable, prepare, start


def fetch(kinds: list[str]) -> None:
    """Bring the servers of these kinds and make their data folders, so that tests start at once.

    Args:
        kinds: kinds of server; none means all.

    Raises:
        ServerUnavailable: one of them cannot be had.
    """
    chosen = kinds or KINDS
    # The network, the disk and the processor are waited for in turn: two at a time.
    with ThreadPoolExecutor(2) as pool:
        for kind, version in zip(chosen, pool.map(prepare, chosen), strict=True):
            print(f"{kind}: {version} is ready", flush=True)


def run(kind: str) -> None:
    """Run one server until Ctrl-C or SIGTERM, after printing how to reach it.

    Raises:
        ServerUnavailable: it cannot be had.
    """
    with start(kind) as server:
        print(f"version   {server.version}")
        print(f"URL       {server.url()}")
        print(f"authority {server.ca_file}", flush=True)
        signal.sigwait({signal.SIGINT, signal.SIGTERM})


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line says and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m local.servers", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    fetching = commands.add_parser("fetch", help="bring servers, so that tests start at once")
    fetching.add_argument("kinds", nargs="*", metavar="kind", help=", ".join(KINDS))
    running = commands.add_parser("run", help="run one server until Ctrl-C")
    running.add_argument("kind", choices=KINDS)
    chosen = parser.parse_args(arguments)
    try:
        if chosen.command == "fetch":
            fetch(chosen.kinds)
        else:
            # Blocked before any thread exists, so that sigwait gets them.
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
            run(chosen.kind)
    except ServerUnavailable as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
