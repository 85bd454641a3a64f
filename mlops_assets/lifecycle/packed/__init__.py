"""Models as plain arrays: written at training, proved, and served without their library.

``packers`` turns a fitted estimator into arrays and a plan, ``proving`` compares them with the
estimator bit by bit, ``worker`` does both in a process of its own. ``model`` is all that a server
imports: numpy and numba, no scikit-learn, no pandas, and nothing that unpickles.

The answer to a row is what the estimator gives when it is asked that row alone. Linear algebra
libraries add in another order for one row than for many, so that a scikit-learn linear model's
last bits depend on the batch a row comes in; a packed model's never do. They are those of the
machine that computes: BLAS and numpy's exponential differ from processor to processor, for the
estimator and for the arrays alike.
"""
