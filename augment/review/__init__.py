"""Review: a person decides about the doubtful images, on a local page or on contact sheets."""
