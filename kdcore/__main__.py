"""`python -m kdcore`: the command line, and the two warm workers that the app starts."""

from __future__ import annotations

import sys

from kdcore.commands import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
