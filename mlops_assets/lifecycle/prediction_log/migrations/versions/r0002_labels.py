"""Ground truth."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "labels",
        sa.Column(
            "segment",
            sa.Integer,
            sa.ForeignKey("prediction_log_segments.id"),
            primary_key=True,
            autoincrement=False,
        ),
        sa.Column("offset", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("model", TEXT, nullable=False),
        sa.Column("prediction_id", TEXT),
        sa.Column("unit", TEXT),
        sa.Column("at", sa.BigInteger),
        sa.Column("logged_at", sa.BigInteger, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
    )
    op.create_index("labels_model_prediction_id", "labels", ["model", "prediction_id"])
    op.create_index("labels_model_at", "labels", ["model", "at"])


def downgrade() -> None:
    raise NotImplementedError("labels are not thrown away")
