"""The report stage; options as in params.yaml, overrides as ``-S group.key=value``."""

import sys

from augment.cli import main

if __name__ == "__main__":
    main(["report", *sys.argv[1:]])
