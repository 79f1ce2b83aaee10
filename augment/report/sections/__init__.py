"""Sections of the page, each a function of what there is to show."""
