"""augment compare: recipes trained for equal time on one set, and ranked by what a user wants.

A command above the stages: each recipe is a small project in ``.augment/compare``, in which the
stages train and sample; what it is worth is measured on the valid split.
"""
