"""The stage code of a user's project: what each stage's code is, so that an upgrade reruns it."""

import sys

from augment.cli import main

if __name__ == "__main__":
    main(["code", *sys.argv[1:]])
