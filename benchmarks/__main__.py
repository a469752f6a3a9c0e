"""Run every benchmark: ``python -m benchmarks [name ...] [-- options for each of them]``.

A benchmark is a script of this folder that prints ratios (ours against a reference measured in the
same run, so that they mean something on any machine). Names choose some of them.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main(arguments: list[str]) -> int:
    """Run the chosen benchmarks one after the other; the number of those that failed."""
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    chosen, options = arguments[:cut], arguments[cut + 1 :]
    scripts = {file.stem: file for file in sorted(HERE.glob("[!_]*.py"))}
    if unknown := [name for name in chosen if name not in scripts]:
        print(f"no benchmark {unknown[0]!r}; there are: {', '.join(scripts)}", file=sys.stderr)
        return 2
    print(
        f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores;"
        " nothing else should run meanwhile"
    )
    failed = []
    for name in chosen or scripts:
        print(f"\n== {name}", flush=True)
        began = time.perf_counter()
        code = subprocess.run([sys.executable, str(scripts[name]), *options], check=False)
        print(f"-- {name}: {time.perf_counter() - began:.1f} s", flush=True)
        if code.returncode:
            failed.append(name)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return min(len(failed), 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
