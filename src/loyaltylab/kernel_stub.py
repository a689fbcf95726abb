"""A kernel's stand-in: asks for a warm kernel, passes signals on, and ends as the kernel does.

Run as a script, without site-packages: it starts in some milliseconds.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys

POLL = 1.0  # seconds between looks at whether who started this is still there


def main(address: str, connection_file: str) -> int:
    """The kernel's exit code. If nobody listens at `address`, a cold kernel takes this one's place."""
    asked = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    arguments = ["-f", connection_file, *sys.argv[3:]]
    try:
        asked.connect(address)
        wanted = {"argv": arguments, "cwd": os.getcwd(), "env": dict(os.environ)}  # noqa: PTH109
        socket.send_fds(asked, [json.dumps(wanted).encode()], [0, 1, 2])
        number = int(asked.recv(64))
    except (OSError, ValueError):
        os.execv(sys.executable, [sys.executable, "-m", "ipykernel_launcher", *arguments])
    for passed in (signal.SIGINT, signal.SIGTERM):
        signal.signal(passed, lambda which, _: os.kill(number, which))
    parent = os.getppid()
    while not select.select([asked], [], [], POLL)[0]:
        if os.getppid() != parent:
            return 1  # which ends the kernel
    code = int(asked.recv(64) or b"1")
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
