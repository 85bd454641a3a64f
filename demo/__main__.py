"""``make demo``: train, judge, deploy, serve, drift, retrain, promote, roll back."""

import argparse
import shutil
import signal
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from demo.life import Life, Windows, shift_switch
from demo.processes import HOME, DemoError, Processes, environment, free_port
from demo.story import Story
from mlops_assets.lifecycle.spec import ModelSpec, load_specs

DEFS = Path(__file__).parent.parent / "mlops_assets" / "defs"
SHORT = ("fraud", "recommendations")
# Dagster runs two at once (dagster.yaml): more lives would only wait for each other.
AT_ONCE = 2


def main() -> int:
    """Run the demo; 0 when everything happened as told."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("models", nargs="*", help=f"default: {' '.join(SHORT)}")
    parser.add_argument("--all", action="store_true", help="every declared model")
    options = parser.parse_args()
    console = Console()
    declared = {name: spec for name, (spec, _) in load_specs(DEFS).items()}
    wanted = list(declared) if options.all else options.models or list(SHORT)
    unknown = sorted(set(wanted) - set(declared))
    if unknown:
        parser.error(f"no model {', '.join(unknown)}; declared: {', '.join(declared)}")
    # As Ctrl-C: what was started here must not outlive it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    shutil.rmtree(HOME, ignore_errors=True)
    story = Story(console)
    try:
        run(story, [declared[name] for name in wanted])
    except DemoError as error:
        console.print(f"[red]the demo stopped:[/red] {error}")
        return 1
    except KeyboardInterrupt:
        console.print("stopped")
        return 130
    console.rule("what happened")
    console.print(story.summary())
    console.print("Open it all in Dagster, with history, plots, checks and lineage:  [bold]make ui")
    return 0


def run(story: Story, specs: list[ModelSpec]) -> None:
    """Start the platform, let the models live, stop it.

    Raises
    ------
    DemoError
        When a life went wrong; the others end first.
    """
    now = datetime.now(UTC)
    windows = {spec.name: Windows.of(spec, now) for spec in specs}
    switches = [shift_switch(spec, windows[spec.name]) for spec in specs]
    processes = Processes(HOME, environment(HOME, {k: v for s in switches for k, v in s.items()}))
    try:
        with story.progress:
            story.doing("starting the REST server, Dagster and its daemon")
            processes.prepare()
            server = processes.start_server(free_port(8900))
            dagster = processes.start_dagster(free_port(3000))
            lives = [
                Life(spec, windows[spec.name], story, processes, server, dagster) for spec in specs
            ]
            with ThreadPoolExecutor(AT_ONCE) as pool:
                under_way = [pool.submit(life.live) for life in lives]
                story.done()
                renewed = _renewed(lives, under_way, processes)
            for life in renewed[:1]:
                life.roll_back()
    finally:
        processes.stop()


def _renewed(lives: list[Life], under_way: list[Future[bool]], processes: Processes) -> list[Life]:
    """The lives whose retrain brought a new champion, once all have ended."""
    try:
        return [life for life, each in zip(lives, under_way, strict=True) if each.result()]
    except KeyboardInterrupt:
        # Their threads wait for what is stopped here, and the pool for them.
        for each in under_way:
            each.cancel()
        processes.stop()
        raise


if __name__ == "__main__":
    sys.exit(main())
