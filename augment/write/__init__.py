"""The write stage: one set of real and synthetic samples, behind its gates."""
