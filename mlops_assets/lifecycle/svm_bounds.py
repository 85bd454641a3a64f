"""Support vector machines whose parts are not as many as libsvm will read.

libsvm is handed bare pointers. scikit-learn compares the support vectors with their counts, and
neither with the coefficients and intercepts: with fewer of those, foreign memory is read.
"""

from typing import Any

from mlops_assets.lifecycle.reachable import name, require


def check_vectors(held: list[Any]) -> None:
    """Check every support vector machine of an estimator.

    Parameters
    ----------
    held : list of object
        Everything that hangs on the estimator.

    Raises
    ------
    ArtifactError
        Naming the class and what does not fit.
    """
    from sklearn.svm._base import BaseLibSVM

    for machine in held:
        if isinstance(machine, BaseLibSVM) and hasattr(machine, "support_vectors_"):
            _check(machine)


def _check(machine: Any) -> None:
    from sklearn.base import is_classifier

    coefficients = machine._dual_coef_
    counts, number = machine._n_support, machine.support_vectors_.shape[0]
    classes = len(counts) if is_classifier(machine) else 2
    pairs = classes * (classes - 1) // 2
    # libsvm's sparse matrices have pointers of their own, and their class is not on the list.
    require(not machine._sparse, f"{name(machine)}: it was fitted on sparse rows")
    require(
        coefficients.shape == (classes - 1, number),
        f"{name(machine)}: {number} support vectors of {classes} classes with coefficients of "
        f"shape {coefficients.shape}",
    )
    require(
        (counts >= 0).all() and (not is_classifier(machine) or counts.sum() == number),
        f"{name(machine)}: its classes do not have {number} support vectors together",
    )
    sizes = {len(machine._probA), len(machine._probB)}
    require(
        machine._intercept_.shape == (pairs,) and sizes <= {0, pairs},
        f"{name(machine)}: it does not have an intercept for each of {pairs} pairs of classes",
    )
    require(
        machine.support_.shape == (number,),
        f"{name(machine)}: it does not say which rows its {number} support vectors are",
    )
