"""Uplift: does a classifier get better by what was added to its training set?

Arms make training sets, learners are fitted to them for equal steps, statistics judge the paired
results. Only answers reads and writes files: a cache.
"""
