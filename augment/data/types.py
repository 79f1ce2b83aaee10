"""Types of arrays that several rooms share; images have ``augment.data.images.Pixels``."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Labels = NDArray[np.int64]  # class indices, -1 where unknown
