"""`python -m fleet.emulator`."""

import sys

from fleet.emulator.main import main

if __name__ == "__main__":
    sys.exit(main())
