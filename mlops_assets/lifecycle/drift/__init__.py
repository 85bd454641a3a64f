"""Drift: live traffic of a window against what the version was judged on.

The reference is read once, when a version is trained; a monitor reads only the new window::

    from mlops_assets.lifecycle.drift.judge import drift, judge
    from mlops_assets.lifecycle.drift.profile import Profile
    from mlops_assets.lifecycle.drift.scan import scan
    from mlops_assets.lifecycle.spec import DriftPolicy

    reference = Profile.of(frame)                  # pandas, Polars, pyarrow, or a Parquet path
    content = reference.written()                  # JSON; Profile.read(content) gives it back
    live = scan("window.parquet", reference)       # each column once, at the reference's edges
    columns = judge(DriftPolicy(), reference, live, seed=1)          # list of ColumnDrift
    report = drift(spec, reference, live, window="w", version=1)     # DriftReport of a ModelSpec

``judge`` and ``drift`` take rows in place of a profile, too, where these are at hand.
"""
