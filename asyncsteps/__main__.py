"""``python -m asyncsteps``: the command, where its script is not on the path."""

import sys

from asyncsteps.cli import main

sys.exit(main())
