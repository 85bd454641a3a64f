"""A challenger that answers as it should, and too late."""

from typing import ClassVar

from mlops_assets.rehearsal.drill.bad_canary import LEAST_MS, MOST_MS, BadCanary

SLOW_MS = 1000.0


class SlowCanary(BadCanary):
    """A canary that takes a second for one request in five."""

    name = "slow_canary"
    fault: ClassVar[str] = f"take {SLOW_MS:,.0f} ms instead of {LEAST_MS:g} to {MOST_MS:g}"
    guardrail: ClassVar[str] = "latency_p95"
    expected = "latency_p95 rolls it back on its first step; the champion answers everybody"

    def spoil(self, record):
        import msgspec

        return msgspec.structs.replace(record, latency_ms=SLOW_MS)
