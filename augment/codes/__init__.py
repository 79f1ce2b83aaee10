"""The codes stage: what the generator's codes stand for and move."""
