"""``make ui``: Dagster, MLflow and the REST server on what the demo left behind."""

import signal
import sys
import time

from rich.console import Console

from demo.processes import HOME, DemoError, Processes, environment, free_port


def main() -> int:
    """Serve until Ctrl-C."""
    console = Console()
    if not HOME.exists():
        console.print("Nothing to show yet: run [bold]make demo[/bold] first.")
        return 1
    processes = Processes(HOME, environment(HOME, {}))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        server = processes.start_server(free_port(8900))
        mlflow = processes.start_mlflow(free_port(5000))
        dagster = processes.start_dagster(free_port(3000))
        processes.wait_for("dagster", f"{dagster}/server_info")
        processes.wait_for("serve", f"{server}/v2/health/ready")
        processes.wait_for("mlflow", f"{mlflow}/health")
        console.print(f"Dagster  {dagster}\nMLflow   {mlflow}\nModels   {server}/v2/models")
        console.print("Ctrl-C stops them.")
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        return 0
    except DemoError as error:
        console.print(f"[red]{error}[/red]")
        return 1
    finally:
        processes.stop()


if __name__ == "__main__":
    sys.exit(main())
