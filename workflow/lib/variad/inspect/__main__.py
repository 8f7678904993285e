"""``python -m variad.inspect``: the same as the command ``variad-inspect``."""

import sys

from variad.inspect.command import main

if __name__ == "__main__":
    sys.exit(main())
