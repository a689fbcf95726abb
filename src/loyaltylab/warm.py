"""Processes that start warm: forked from one that has imported what commands and notebooks import.

Imports are most of the time of a command, and much of a notebook's. The process, `serve`, is begun by
the first command of `make report`, reads no data, and ends when it has had nothing to do for IDLE
seconds. From it are forked the commands, and kernels for `stub`, which stands for the kernel to whoever
started it. Linux alone: elsewhere libraries may not survive a fork, and everything starts cold.
"""

from __future__ import annotations

import ast
import atexit
import contextlib
import gc
import hashlib
import importlib
import json
import os
import re
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from loyaltylab import stub
from loyaltylab.alone import end_with_parent
from loyaltylab.files import write_json

IDLE = 20.0  # seconds
WAIT = 5.0  # seconds that it may take to begin to listen
# Read by libraries when they are imported: a process may not have them otherwise than its run.
_READ_AT_IMPORT = re.compile(r"PYTHON|MPL|LC_|LANG$|TZ$|HOME$|PATH$|XDG_|\w+_NUM_THREADS$")
# What `make report` needs first, in this order; what notebooks import comes after.
_FIRST = ("loyaltylab.inspection", "ipykernel.kernelapp", "loyaltylab.execution", "papermill")
_LAST = (
    "loyaltylab.report",
    "loyaltylab.provenance",
    "loyaltylab.summary.table",
    "loyaltylab.poster",
)


def address(root: Path) -> Path:
    """Where the process for this code and these settings listens; others have another one.

    root : of the project.
    """
    files = sorted(Path(__file__).parent.rglob("*.py"))
    state = [f"{path} {path.stat().st_mtime_ns}" for path in files]
    state += [
        f"{name}={os.environ[name]}" for name in sorted(os.environ) if _READ_AT_IMPORT.match(name)
    ]
    state += [str(root.resolve()), sys.executable, sys.prefix]
    name = hashlib.sha256("\n".join(state).encode()).hexdigest()[:16]
    # The path of a socket has at most 107 bytes: the project's own may be longer.
    return Path(tempfile.gettempdir()) / f"loyaltylab-{os.getuid()}" / name


def command(root: Path, arguments: Sequence[str]) -> int | None:
    """The exit code of a command of the package, run by a warm process, which this one begins if
    there is none; None if none is to be had."""
    if not (at := _served(root)):
        return None
    return stub.stand_in(str(at), {"command": list(arguments)})


def kernel(root: Path, folder: Path) -> str:
    """The name of a kernel to run a notebook with: "warm", or "python3" if none is to be had.

    folder : for Jupyter's description of it, empty or not there.
    """
    if not (at := _served(root)):
        return "python3"
    script = Path(__file__).with_name("stub.py")
    spec = {
        "argv": [sys.executable, "-I", "-S", str(script), str(at), "{connection_file}"],
        "display_name": "Python 3, warm",
        "language": "python",
    }
    write_json(folder / "kernels" / "warm" / "kernel.json", spec)
    os.environ["JUPYTER_PATH"] = str(folder)
    return "warm"


def _served(root: Path) -> Path | None:
    """Where somebody listens for this project, begun now if need be; None if nobody does."""
    if sys.platform != "linux":
        return None
    at = address(root)
    if not _is_served(at):
        with contextlib.suppress(OSError):  # no place for it: all starts cold
            _begin(at, sorted((root / "notebooks").glob("[0-9]*.ipynb")))
    return at if _is_served(at) else None


def _is_served(at: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as asked:
        return asked.connect_ex(str(at)) == 0


def _begin(at: Path, notebooks: Sequence[Path]) -> None:
    """Start the process that listens there, and wait until it does; it goes on when this one ends."""
    at.parent.mkdir(mode=0o700, exist_ok=True)
    folder = at.parent.lstat()
    if folder.st_uid != os.getuid() or folder.st_mode & 0o077 or at.parent.is_symlink():
        return  # somebody else's: who listens there could be anybody
    begun = subprocess.Popen(  # noqa: S603 - a program of the system, and arguments of ours
        [sys.executable, "-m", "loyaltylab.warm", str(at), *map(str, notebooks)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    end = time.monotonic() + WAIT
    while not _is_served(at) and begun.poll() is None and time.monotonic() < end:
        time.sleep(0.01)


def imported(notebooks: Sequence[Path]) -> list[str]:
    """The modules that notebooks import, each once, and names that may be modules."""
    import nbformat  # slow to import, and whoever asks for a process does without it

    names: dict[str, None] = {}
    for path in notebooks:
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "code":
                names |= dict.fromkeys(_modules(ast.parse(cell.source)))
    return list(names)


def _modules(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def serve(at: Path, notebooks: Sequence[Path], *, idle: float = IDLE) -> None:
    """Import what commands and notebooks import, and fork a process for whoever asks, until nobody does
    for `idle` seconds. Does nothing if another process does it already."""
    import fcntl  # which Windows has not

    # Looking for cycles among so many objects that stay takes a tenth of a notebook's time.
    gc.set_threshold(100_000, 50, 50)
    with at.with_suffix(".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        at.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
            listening.bind(str(at))
            listening.listen(64)
            try:
                _Processes(listening).run(_imports(notebooks), idle)
            finally:
                at.unlink(missing_ok=True)


def _imports(notebooks: Sequence[Path]) -> Iterator[bool]:
    """Import all that is needed, a module a step; each is True, for there may be more."""
    for names in (_FIRST, imported(notebooks), _LAST):
        for name in names:
            with contextlib.suppress(ImportError):  # a name in a module; or nothing to run it with
                importlib.import_module(name)
            yield True


class _Processes:
    """The processes that run: their numbers, by the connection of who asked."""

    def __init__(self, listening: socket.socket) -> None:
        self.listening = listening
        self.running: dict[socket.socket, int] = {}
        self.selector = selectors.DefaultSelector()
        self.selector.register(listening, selectors.EVENT_READ)
        # A process's end is an event like any other.
        self.ended, told = socket.socketpair()
        told.setblocking(False)
        self.told = told
        self.selector.register(self.ended, selectors.EVENT_READ)
        signal.set_wakeup_fd(told.fileno())
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def run(self, imports: Iterator[bool], idle: float) -> None:
        """Import whenever nobody asks; the first command finds what it needs."""
        next(imports)
        left, last = True, time.monotonic()
        while left or self.running or time.monotonic() - last < idle:
            for key, _ in self.selector.select(timeout=0 if left else idle / 10):
                if key.fileobj is self.listening:
                    self._accept()
                elif key.fileobj is self.ended:
                    self.ended.recv(4096)
                else:  # who asked is no more: neither may its process be
                    asking: Any = key.fileobj
                    os.kill(self.running[asking], signal.SIGKILL)
                    self.selector.unregister(asking)
                last = time.monotonic()
            self._reap()
            left = left and next(imports, False)

    def _accept(self) -> None:
        asking, _ = self.listening.accept()
        message, files, _, _ = socket.recv_fds(asking, 1 << 20, 3)
        if not message:  # only looked whether somebody is here
            asking.close()
            return
        gc.freeze()  # what is there stays: no child need look through it
        number = os.fork()
        if not number:
            _end(lambda: self._become(json.loads(message), files))
        for file in files:
            os.close(file)
        self.running[asking] = number
        self.selector.register(asking, selectors.EVENT_READ)
        with contextlib.suppress(OSError):  # already gone, which is the next event
            asking.send(json.dumps(number).encode())

    def _become(self, wanted: dict[str, Any], files: Sequence[int]) -> int:
        """Be what is wanted, in the child; its exit code."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for inherited in (self.listening, self.ended, self.told, *self.running):
            inherited.close()
        self.selector.close()
        for place, file in enumerate(files):
            os.dup2(file, place)
            os.close(file)
        for place, name in ((1, "stdout"), (2, "stderr")):
            is_line = place == 2 or os.isatty(place)
            errors = "backslashreplace" if place == 2 else "strict"
            stream = os.fdopen(place, "w", 1 if is_line else -1, errors=errors, closefd=False)
            setattr(sys, name, stream)
        os.setsid()
        # Nobody could end it any more, and who asked goes on without it.
        end_with_parent()
        os.chdir(wanted["cwd"])
        os.environ.clear()
        os.environ.update(wanted["env"])
        sys.path[0] = wanted["cwd"]
        if "command" in wanted:
            # By name: what runs notebooks does not hang on all that the command line reads.
            commands = importlib.import_module("loyaltylab.__main__")
            return int(commands.main(wanted["command"]))
        from ipykernel.kernelapp import launch_new_instance

        # It ends with the process it was forked from, which ends it with who asked.
        sys.argv = [
            "ipykernel_launcher",
            *wanted["kernel"],
            f"--IPKernelApp.parent_handle={os.getppid()}",
        ]
        launch_new_instance()
        return 0

    def _reap(self) -> None:
        while self.running:
            number, status = os.waitpid(-1, os.WNOHANG)
            if not number:
                return
            asking = next(a for a, n in self.running.items() if n == number)
            del self.running[asking]
            with contextlib.suppress(KeyError):
                self.selector.unregister(asking)
            with contextlib.suppress(OSError):
                asking.send(json.dumps(os.waitstatus_to_exitcode(status)).encode())
            asking.close()


def _end(become: Callable[[], int]) -> NoReturn:
    """Be something, and end as Python does, but for taking apart what was imported."""
    code = 1
    try:
        code = become()
    except SystemExit as asked:
        code = asked.code if isinstance(asked.code, int) else int(asked.code is not None)
    except BaseException:  # as Python tells what nobody caught
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            atexit._run_exitfuncs()
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
