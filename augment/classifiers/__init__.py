"""Small image classifiers: the labeller that filters, the judge that measures."""
