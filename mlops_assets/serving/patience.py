"""How long the server waits for a client, without a timer a request."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from mlops_assets.serving.errors import RequestError

T = TypeVar("T")
LOOKS = 4


class Patience:
    """Ends waits that took longer than a limit, to within a quarter of it.

    A timer a request would cost more than parsing it; here one timer serves all, and only while
    somebody waits.

    Parameters
    ----------
    seconds : float
    """

    def __init__(self, seconds: float):
        self._seconds = seconds
        self._waits: dict[asyncio.Task, float] = {}
        self._late: set[asyncio.Task] = set()
        self._looking = False

    async def wait(self, awaitable: Awaitable[T], status: int, message: str) -> T:
        """What ``awaitable`` gives.

        Raises
        ------
        RequestError
            With ``status`` and ``message``, when it took too long.
        """
        task = asyncio.current_task()
        assert task is not None
        loop = asyncio.get_running_loop()
        self._waits[task] = loop.time()
        if not self._looking:
            self._looking = True
            loop.call_later(self._seconds / LOOKS, self._look, loop)
        try:
            return await awaitable
        except asyncio.CancelledError:
            if task not in self._late:
                raise
            task.uncancel()
            raise RequestError(status, message) from None
        finally:
            del self._waits[task]
            self._late.discard(task)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for task, since in self._waits.items():
            if now - since >= self._seconds and task not in self._late:
                self._late.add(task)
                task.cancel()
        self._looking = bool(self._waits)
        if self._looking:
            loop.call_later(self._seconds / LOOKS, self._look, loop)
