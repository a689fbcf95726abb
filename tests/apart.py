"""Scripts in a process of their own, as benchmarks need them."""

import json
import subprocess
import sys
import textwrap


def run(body, folder, *names):
    """The values of these names at the end of a script, and peak: its bytes of memory at the most, up to
    the end or to where the script takes it itself."""
    script = "import json, resource, time\n" + textwrap.dedent(body)
    peak = "resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024"
    script += f"\npeak = globals().get('peak', {peak})"
    script += f"\nprint(json.dumps({{name: globals()[name] for name in {(*names, 'peak')!r}}}))"
    command = [sys.executable, "-W", "ignore", "-c", script]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])
