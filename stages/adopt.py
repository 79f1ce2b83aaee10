"""The adopt stage; options as in params.yaml, overrides as ``-S group.key=value``."""

import sys

from augment.cli import main

if __name__ == "__main__":
    main(["adopt", *sys.argv[1:]])
