"""A stand-in: asks for a process that has its imports, passes signals on, and ends as that does.

Run as a script, it is a kernel's; without site-packages it starts in some milliseconds.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys
from typing import Any

POLL = 1.0  # seconds between looks at whether who started this is still there


def stand_in(address: str, wanted: dict[str, Any]) -> int | None:
    """The exit code of a process forked at `address` for `wanted`; None if nobody forks there.

    It has this one's folder, variables, and places to read and write.
    """
    asked = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    wanted = wanted | {"cwd": os.getcwd(), "env": dict(os.environ)}  # noqa: PTH109
    try:
        asked.connect(address)
        socket.send_fds(asked, [json.dumps(wanted).encode()], [0, 1, 2])
        number = int(asked.recv(64))
    except (OSError, ValueError):
        return None
    for passed in (signal.SIGINT, signal.SIGTERM):
        signal.signal(passed, lambda which, _: os.kill(number, which))
    parent = os.getppid()
    while not select.select([asked], [], [], POLL)[0]:
        if os.getppid() != parent:
            return 1  # which ends the process
    if not (told := asked.recv(64)):
        print(
            "Killed: the process that it was forked from. Run it again; WARM=0 does without one.",
            file=sys.stderr,
        )
        return 1
    code = int(told)
    return code if code >= 0 else 128 - code


def main(address: str, connection_file: str, *more: str) -> int:
    """A kernel's exit code. If nobody forks at `address`, a cold one takes this one's place."""
    arguments = ["-f", connection_file, *more]
    code = stand_in(address, {"kernel": arguments})
    if code is None:
        os.execv(sys.executable, [sys.executable, "-m", "ipykernel_launcher", *arguments])  # noqa: S606 - this Python again, as a kernel
    return code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
