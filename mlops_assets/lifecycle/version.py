"""A registered version of a model, and the tags that bind it to what was trained."""

from dataclasses import dataclass

SIGNATURE, EVIDENCE = "signature", "evidence"


@dataclass(frozen=True)
class Version:
    """One registered version of a model; ``tags`` without the platform's prefix."""

    model: str
    number: int
    run_id: str
    source: str
    tags: dict[str, str]
    created_at: float

    @property
    def digest(self) -> str:
        """The digest of the version's files, as registered."""
        return self.tags["digest"]

    def __str__(self) -> str:
        return f"{self.model} v{self.number}"
