"""An index against exact search for neighbours: ``python -m benchmarks.neighbours``.

Rows lie around centres. It prints the seconds that an index takes to build, those of both searches,
and of how many queries the index gives the nearest row. It needs the extra ``neighbours``.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from augment.data.types import Floats
from augment.vision import neighbours

CENTRES = 1000
SPREAD = 0.3  # standard deviation around a centre, where that of the centres is 1


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_050_000)
    parser.add_argument("--queries", type=int, default=2000)
    parser.add_argument("--width", type=int, default=64, help="numbers a row")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(CENTRES, options.width)).astype(np.float32)
    rows, queries = (around(centres, count, rng) for count in (options.rows, options.queries))
    neighbours.LARGE = min(neighbours.LARGE, options.rows - 1)
    begun = time.perf_counter()
    index = neighbours.Neighbours(rows)
    built = time.perf_counter()
    near = index.nearest(queries)[1]
    searched = time.perf_counter()
    neighbours.LARGE = options.rows
    exact = neighbours.Neighbours(rows)
    plain = time.perf_counter()
    truth = exact.nearest(queries)[1]
    done = time.perf_counter()
    recall = (near <= truth * (1 + 1e-6)).mean()
    print(f"index: built in {built - begun:.1f} s, searched in {searched - built:.2f} s, "
          f"recall {recall:.2%}; exact: {done - plain:.2f} s")  # fmt: skip


def around(centres: Floats, count: int, rng: np.random.Generator) -> Floats:
    """``count`` rows around centres that are picked at random."""
    rows = centres[rng.integers(len(centres), size=count)]
    rows += SPREAD * rng.standard_normal(rows.shape, np.float32)
    return rows


if __name__ == "__main__":
    main()
