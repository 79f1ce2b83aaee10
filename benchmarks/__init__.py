"""The documents' claims as commands, which print them and store them with the hardware."""

import augment  # noqa: F401  before torch: threads then wait without spinning
