"""How many numbers a row each task is answered with."""

BINARY, MULTICLASS = "binary_classification", "multiclass_classification"
REGRESSIONS = ("regression", "count_regression")
RANKING = "ranking"

# Of a binary classification it is the probability of 1.
ONE_OUTPUT = (BINARY, *REGRESSIONS)
