"""``python -m traceanalytics``: the same as the command ``traceanalytics``."""

import sys

from traceanalytics.cli import main

sys.exit(main())
