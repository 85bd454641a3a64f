"""The tables as the newest migration leaves them. Times are microseconds since 1970, UTC."""

import sqlalchemy as sa

METADATA = sa.MetaData()

# Sorted by code point everywhere, as Python does: what a server's locale makes of it, differs.
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

IDENTITY = sa.Table(
    "prediction_log_identity", METADATA, sa.Column("id", sa.String(32), primary_key=True)
)
SEGMENTS = sa.Table(
    "prediction_log_segments",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("model", TEXT, nullable=False),
    sa.Column("name", TEXT, nullable=False),
    sa.Column("stored", sa.BigInteger, nullable=False),
    sa.Column("torn", sa.LargeBinary),
    sa.UniqueConstraint("kind", "model", "name", name="prediction_log_segments_name"),
)


def _place() -> list[sa.Column]:
    """Where a row comes from: what makes it unique."""
    return [
        sa.Column("segment", sa.ForeignKey(SEGMENTS.c.id), primary_key=True, autoincrement=False),
        sa.Column("offset", sa.BigInteger, primary_key=True, autoincrement=False),
    ]


PREDICTIONS = sa.Table(
    "predictions",
    METADATA,
    *_place(),
    sa.Column("model", TEXT, nullable=False),
    sa.Column("prediction_id", TEXT, nullable=False),
    sa.Column("unit", TEXT),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("logged_at", sa.BigInteger, nullable=False),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("variant", TEXT, nullable=False),
    sa.Column("status", sa.Integer, nullable=False),
    sa.Column("document", sa.Text, nullable=False),
    sa.Index("predictions_model_at", "model", "at"),
    sa.Index("predictions_prediction_id", "prediction_id"),
    sa.Index("predictions_model_unit_at", "model", "unit", "at"),
)
LABELS = sa.Table(
    "labels",
    METADATA,
    *_place(),
    sa.Column("model", TEXT, nullable=False),
    sa.Column("prediction_id", TEXT),
    sa.Column("unit", TEXT),
    sa.Column("at", sa.BigInteger),
    sa.Column("logged_at", sa.BigInteger, nullable=False),
    sa.Column("document", sa.Text, nullable=False),
    sa.Index("labels_model_prediction_id", "model", "prediction_id"),
    sa.Index("labels_model_at", "model", "at"),
)
