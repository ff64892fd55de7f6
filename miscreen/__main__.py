"""``python -m miscreen``, and the entry point of the ``miscreen`` command."""

import sys

from miscreen.cli import main

if __name__ == "__main__":
    sys.exit(main())
