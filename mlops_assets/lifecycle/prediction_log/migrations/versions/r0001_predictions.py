"""Segments and predictions."""

import uuid

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    identity = op.create_table(
        "prediction_log_identity", sa.Column("id", sa.String(32), primary_key=True)
    )
    op.execute(identity.insert().values(id=uuid.uuid4().hex))
    op.create_table(
        "prediction_log_segments",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("model", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("stored", sa.BigInteger, nullable=False),
        sa.Column("torn", sa.LargeBinary),
        sa.UniqueConstraint("kind", "model", "name", name="prediction_log_segments_name"),
    )
    op.create_table(
        "predictions",
        sa.Column(
            "segment",
            sa.Integer,
            sa.ForeignKey("prediction_log_segments.id"),
            primary_key=True,
            autoincrement=False,
        ),
        sa.Column("offset", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("model", TEXT, nullable=False),
        sa.Column("prediction_id", TEXT, nullable=False),
        sa.Column("unit", TEXT),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("logged_at", sa.BigInteger, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("variant", TEXT, nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
    )
    op.create_index("predictions_model_at", "predictions", ["model", "at"])
    op.create_index("predictions_prediction_id", "predictions", ["prediction_id"])
    op.create_index("predictions_model_unit_at", "predictions", ["model", "unit", "at"])


def downgrade() -> None:
    raise NotImplementedError("the log's rows are not thrown away")
