"""A real Dagster with history in a temporary home, and a real browser in front of it."""

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from demo.dagster_client import Dagster
from demo.processes import Processes, environment
from mlops_assets_tests.harness import free_port

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "headless",
    "no-sandbox",
    "disable-gpu",
    "disable-quic",
    "disable-dev-shm-usage",
    "no-first-run",
    "disable-background-networking",
    "disable-component-update",
    "disable-sync",
    # Tall enough for every row of a list: Dagster draws only those in sight.
    "window-size=1700,3600",
)
PATIENCE = 30
ERRORS = ("Unexpected error", "Something went wrong", "Error loading", "PythonError")
TOASTS = "[class*='toast'][class*='intent-danger'], [class*='toast'][class*='intent-warning']"


class Page:
    """What a person can do with the UI: open, read, click; every wait ends by itself.

    Parameters
    ----------
    driver : selenium.webdriver.Chrome
    url : str
        Where Dagster answers.
    shots : Path
        A screenshot of what was there instead goes here.
    """

    def __init__(self, driver: Any, url: str, shots: Path):
        self.driver = driver
        self._url = url
        self._shots = shots

    def open(self, path: str) -> None:
        """Go to a page; nothing left on the console is of this page."""
        self.driver.get_log("browser")
        self.driver.get(self._url + path)

    @property
    def text(self) -> str:
        """All that can be read."""
        return self.driver.execute_script("return document.body.innerText")

    def see(self, *texts: str, seconds: float = PATIENCE) -> None:
        """Wait until all texts can be read, on a page without a complaint."""
        for text in texts:
            self.wait(f"the text {text!r}", lambda text=text: text in self.text, seconds)
        self.assert_clean()

    def find(self, css: str, seconds: float = PATIENCE) -> list[Any]:
        """Wait for elements that are there and can be seen."""

        def shown() -> list[Any]:
            return [e for e in self.driver.find_elements("css selector", css) if e.is_displayed()]

        return self.wait(css, shown, seconds)

    def click(self, xpath: str, seconds: float = PATIENCE) -> None:
        """Wait for something that can be clicked, and click it."""

        def clicked() -> bool:
            for element in self.driver.find_elements("xpath", xpath):
                if element.is_displayed() and element.is_enabled():
                    element.click()
                    return True
            return False

        self.wait(f"a click on {xpath}", clicked, seconds)

    def wait(self, what: str, done: Callable[[], Any], seconds: float = PATIENCE) -> Any:
        """Wait until ``done()`` says something true, while the page may redraw itself."""
        from selenium.common.exceptions import TimeoutException, WebDriverException
        from selenium.webdriver.support.ui import WebDriverWait

        wait = WebDriverWait(self.driver, seconds, 0.2, ignored_exceptions=[WebDriverException])
        try:
            return wait.until(lambda _: done())
        except TimeoutException:
            shot = self._shots / f"{len(list(self._shots.iterdir()))}.png"
            self.driver.save_screenshot(str(shot))
            raise AssertionError(
                f"{self.driver.current_url}: waited {seconds:g} s for {what}, see {shot};"
                f" there was:\n{self.text}"
            ) from None

    def assert_clean(self) -> None:
        """No error in words, no toast, a title, no uncaught exception."""
        where, text = self.driver.current_url, self.text
        assert not [error for error in ERRORS if error in text], f"{where}:\n{text}"
        toasts = [e.text for e in self.driver.find_elements("css selector", TOASTS)]
        assert not toasts, f"{where}: {toasts}"
        assert self.driver.title.strip(), f"{where} has no title"
        uncaught = [m for m in self._console() if "Uncaught" in m]
        assert not uncaught, f"{where}: {uncaught}"

    def _console(self) -> list[str]:
        return [e["message"] for e in self.driver.get_log("browser") if e["level"] == "SEVERE"]


@pytest.fixture(scope="module")
def binaries() -> tuple[str, str]:
    """Chromium and its driver."""
    pytest.importorskip("selenium", reason="selenium is not installed")
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    driver = shutil.which("chromedriver")
    if browser is None or driver is None:
        pytest.skip("needs Chromium: apt-get install chromium chromium-driver")
    return browser, driver


@pytest.fixture(scope="module")
def dagster(binaries, tmp_path_factory, migrated_store) -> Iterator[Dagster]:
    """Dagster where iris was trained and is served no more: its endpoint is gone."""
    home = tmp_path_factory.mktemp("ui") / "home"
    processes = Processes(home, _clean(environment(home, {})))
    shutil.copy(migrated_store, home / "mlflow.db")
    # Dagster's greeting, which covers the first page, was seen before.
    (home / "dagster" / ".nux").mkdir()
    (home / "dagster" / ".nux" / "nux.yaml").write_text("seen: 1\n", "utf-8")
    try:
        server = processes.start_server(free_port())
        client = Dagster(processes.start_dagster(free_port()), processes)
        processes.wait_for("serve", f"{server}/v2/health/ready")
        processes.wait_for("dagster", f"{client.url}/server_info")
        run = client.launch("iris_lifecycle")
        assert client.wait([run]) == ["SUCCESS"], (home / "logs" / "dagster.log").read_text()
        _end(processes, "serve")
        yield client
    finally:
        processes.stop()


@pytest.fixture(scope="module")
def driver(binaries, dagster, tmp_path_factory) -> Iterator[Any]:
    """A browser with a profile of its own."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    browser, chromedriver = binaries
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for flag in (*FLAGS, f"user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(f"--{flag}")
    chrome = webdriver.Chrome(options=options, service=Service(chromedriver))
    chrome.set_page_load_timeout(PATIENCE)
    try:
        yield chrome
    finally:
        chrome.quit()


@pytest.fixture
def page(driver, dagster, tmp_path) -> Page:
    """The UI in the browser."""
    return Page(driver, dagster.url, tmp_path)


def _clean(env: dict[str, str]) -> dict[str, str]:
    """The processes' environment without what points to the tester's own platform."""
    own = ("MLOPS_HOME", "DAGSTER_HOME")
    foreign = ("MLOPS_", "MLFLOW_", "DAGSTER_")
    kept = {name: v for name, v in env.items() if name in own or not name.startswith(foreign)}
    return kept | {"DAGSTER_DISABLE_TELEMETRY": "1", "MLFLOW_DISABLE_TELEMETRY": "true"}


def _end(processes: Processes, name: str) -> None:
    process = processes.running.pop(name)
    os.killpg(process.pid, signal.SIGINT)
    process.wait(60)
