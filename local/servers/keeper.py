"""Keeps one server process, and ends it when the program that asked for it is gone.

Runs as a process of its own, `python -I -S keeper.py`, between the test program and the server:

    test program --pipe--> keeper --parent-death signal--> server

* The program dies in any way, SIGKILL included: the pipe closes, the keeper ends the server and
  removes its folder.
* The keeper dies in any way: the kernel kills the server (PR_SET_PDEATHSIG). Setting the user id
  clears that signal (prctl(2)), so `setpriv` sets it afterwards and only then executes the server.

The program does not use the parent-death signal itself, because the kernel sends it when the
*thread* that forked ends: a server started from a thread pool would die with the pool.

Input, one command a line: the name of a signal for the server, such as `SIGTERM`. Output: one
line with the server's process id. The exit status tells nothing; the server's own log does.
"""

import os
import select
import shutil
import signal
import subprocess
import sys

_LOOK_AGAIN_AFTER = 0.25
_PATIENCE = 3.0


def _next_commands(server_ended: int) -> list[str] | None:
    """Return the commands that arrived before the server ended, or None at the input's end."""
    readable, _, _ = select.select([0, server_ended], [], [], _LOOK_AGAIN_AFTER)
    if 0 not in readable:
        return []
    received = os.read(0, 4096)
    return received.decode().split() if received else None


def _end(server: "subprocess.Popen[bytes]", last_signal: int) -> None:
    """End the server: kindly first, so that it releases shared memory, then by force."""
    server.send_signal(last_signal)
    try:
        server.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def main(arguments: list[str]) -> None:
    """Start the server and keep it until it ends, or until the program that asked is gone.

    Args:
        arguments: the folder to remove if the program dies, the server's log file, the name of
            the signal that ends the server at once, then the server's command line.
    """
    folder, log_file, last_signal_name, *command = arguments
    last_signal = signal.Signals[last_signal_name]
    program = os.getppid()
    with open(log_file, "ab") as log:  # noqa: PTH123 - pathlib would double the start-up time
        server = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder
        )
    os.write(1, b"%d\n" % server.pid)
    server_ended = os.pidfd_open(server.pid)  # readable as soon as the server has ended
    while server.poll() is None:
        commands = _next_commands(server_ended)
        # A forked child of the program may hold the pipe open after the program's death.
        if commands is None or os.getppid() != program:
            _end(server, last_signal)
            shutil.rmtree(folder, ignore_errors=True)
            return
        for name in commands:
            server.send_signal(signal.Signals[name])


if __name__ == "__main__":
    main(sys.argv[1:])
