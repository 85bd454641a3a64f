"""How a run's steps are executed: each in a process of its own, and no process without need."""

from collections.abc import Iterator
from typing import Any, cast

import dagster as dg

# Cold imports cost more than most steps: they are paid once a run, in the fork server.
PRELOADED = ["mlops_assets.preload"]
FORKED = {"start_method": {"forkserver": {"preload_modules": PRELOADED}}}


class OneStepHere(dg.Executor):
    """A single step in the run's own process, several in one process each.

    A run has a process already. For a single step, another one and the fork server before it
    would isolate nothing from nothing, at the price of importing everything twice.

    Parameters
    ----------
    alone, several : dagster.Executor
    """

    def __init__(self, alone: dg.Executor, several: dg.Executor):
        self._alone = alone
        self._several = several

    @property
    def retries(self) -> Any:
        return self._several.retries

    @property
    def step_dependency_config(self) -> Any:
        return self._several.step_dependency_config

    def execute(self, plan_context: Any, execution_plan: Any) -> Iterator[dg.DagsterEvent]:
        one = len(execution_plan.step_keys_to_execute) == 1
        yield from (self._alone if one else self._several).execute(plan_context, execution_plan)


def _created(context: dg.InitExecutorContext) -> dg.Executor:
    alone, several = dg.in_process_executor, dg.multiprocess_executor
    return OneStepHere(_made(alone, context), _made(several, context))


def _made(definition: dg.ExecutorDefinition, context: dg.InitExecutorContext) -> dg.Executor:
    create = definition.executor_creation_fn
    assert create is not None, "Dagster's own executors have one"
    return create(context)


executor = dg.ExecutorDefinition(
    name="multiprocess",
    config_schema=cast(Any, dg.multiprocess_executor.config_schema),
    requirements=dg.multiple_process_executor_requirements(),
    executor_creation_fn=_created,
).configured(FORKED, name="multiprocess")
