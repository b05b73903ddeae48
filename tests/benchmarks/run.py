"""Every benchmark, one process each: ``python tests/benchmarks/run.py``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

for script in sorted(Path(__file__).parent.glob("bench_*.py")):
    subprocess.run([sys.executable, str(script)], check=True)
