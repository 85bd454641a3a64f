"""``mlops-assets explain``: where a prediction comes from, and whether it comes out again."""

from typing import TYPE_CHECKING

from mlops_assets.lifecycle.settings import Settings

if TYPE_CHECKING:
    from mlops_assets.lifecycle.replay import Explanation


def add_to(commands) -> None:
    """Add the command to a parser."""
    parser = commands.add_parser(
        "explain",
        help="lead a prediction back to version, verdict, data and code, and score it again: "
        "0 the same to the bit, 1 not",
    )
    parser.add_argument("prediction_id")
    parser.add_argument("--model", help="look in this model's log only")
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.set_defaults(command=run)


def run(options) -> int:
    """Explain; 0 when it was scored again to the same bits."""
    from mlops_assets.lifecycle.prediction_log import PredictionLog
    from mlops_assets.lifecycle.registry import Registry
    from mlops_assets.lifecycle.replay import explain
    from mlops_assets.lifecycle.rollout.journal import Journal
    from mlops_assets.resources import ReportIOManager

    settings = Settings.from_environment()
    stored = ReportIOManager(base_url=settings.storage_url)
    made = explain(
        options.prediction_id,
        registry=Registry(settings),
        journal=Journal(settings.database_url),
        log=PredictionLog(settings.prediction_log, database=settings.log_database),
        stored=stored.all_of,
        model=options.model,
    )
    print(made.model_dump_json(indent=1) if options.json else told(made))
    return 0 if made.same and made.journal_intact else 1


def told(made: "Explanation") -> str:
    """An explanation in words."""
    lines = [*_asked(made), *_let_in(made), *_trained(made), *_again(made)]
    return "\n".join([*lines, *(f"not known      {words}" for words in made.missing)])


def _asked(made: "Explanation") -> list[str]:
    p = made.prediction
    return [
        f"prediction     {p.prediction_id}",
        f"answered by    {p.model} v{p.version} ({p.variant}) on {p.logged_at.isoformat()}, "
        f"in {p.latency_ms:g} ms, status {p.status}",
        f"about          {p.at.isoformat()}, unit {p.unit or 'not named'}, key {p.key or 'none'}",
        f"features       {_pairs(p.features)}",
        f"answer         {_pairs(p.answer)}",
    ]


def _let_in(made: "Explanation") -> list[str]:
    lines = [
        f"{'let in by' if change == made.let_in else '':<15}{change.at} {change.action}: "
        f"{change.who}: {change.why} [{change.hash[:12]}]"
        for change in made.history
    ]
    lines.append(f"journal        {made.journal}")
    if made.verdict is not None:
        v = made.verdict
        metrics = ", ".join(f"{m.metric} {m.value:.6g}" for m in v.metrics)
        lines += [
            f"gate           {v.verdict} on {v.hold_out_rows} rows of "
            f"{', '.join(v.hold_out_windows)} (data {v.data_version[:12]}, "
            f"policy {v.policy_hash[:12]})",
            f"metrics        {metrics}",
        ]
    return lines


def _trained(made: "Explanation") -> list[str]:
    drift = "no report yet"
    if made.drift is not None:
        d = made.drift
        names = f": {', '.join(d.drifted)}" if d.drifted else ""
        drift = f"{d.verdict}{names} (window {d.window}, v{d.version})"
    t = made.training
    if t is None:
        return [f"drift then     {drift}"]
    windows = ", ".join(
        f"{w} ({t.window_versions[w][:12]})" if w in t.window_versions else w
        for w in t.training_windows
    )
    return [
        f"trained on     {t.rows} rows of {windows}; data version {t.data_version[:12]}",
        f"code           version {t.code_version}, git commit {t.git_commit}",
        f"environment    {t.environment[:12]} {_pairs(made.packages)}".rstrip(),
        f"MLflow run     {t.run_id}, digest {t.digest[:12]}",
        f"drift then     {drift}",
    ]


def _again(made: "Explanation") -> list[str]:
    lines = []
    for each in made.rescored:
        words = f"the same to the bit, {each.how}" if each.same else "; ".join(each.differs)
        lines.append(f"{'scored again':<15}{each.form}: {words}")
    return lines


def _pairs(values: dict) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in values.items())
