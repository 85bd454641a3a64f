"""The errors a user can meet, each with a message that names the file, key, row or version."""


class LifecycleError(Exception):
    """Base of every error the lifecycle raises on purpose."""


class DeclarationError(LifecycleError):
    """A model declaration (``defs.yaml``) or the platform's configuration is wrong."""


class SourceError(LifecycleError):
    """Raw data could not be read: missing file, bad encoding, failing query or function."""


class ContractViolation(LifecycleError):
    """A frame breaks its contract.

    Parameters
    ----------
    message : str
        One sentence: which contract, how many rows, which columns.
    report : mlops_assets.lifecycle.contract.ContractReport
        The failing rows and the counts by check.
    """

    def __init__(self, message, report=None):
        super().__init__(message)
        self.report = report


class EvidenceError(LifecycleError):
    """Evidence is missing, late, empty, NaN, corrupt or bound to something else: fail closed."""


class ArtifactError(LifecycleError):
    """A model version's files are missing, changed, or not allowed to be loaded."""


class RolloutError(LifecycleError):
    """A promotion or rollback was refused; what serves is unchanged."""


class ApprovalPending(RolloutError):
    """An accepted challenger waits for a person's word; what serves is unchanged."""
