"""Which process a step runs in."""

import os

import dagster as dg

from mlops_assets.resources.executor import executor


@dg.op(out=dg.Out(int))
def first():
    return os.getpid()


@dg.op(out=dg.Out(int))
def second(_before):
    return os.getpid()


@dg.job(executor_def=executor)
def one_step():
    first()


@dg.job(executor_def=executor)
def two_steps():
    second(first())


def test_a_single_step_runs_in_the_process_of_its_run():
    job = dg.reconstructable(one_step)
    with dg.instance_for_test() as instance, dg.execute_job(job, instance) as run:
        assert run.success
        assert run.output_for_node("first") == os.getpid()


def test_several_steps_have_a_process_each_and_the_last_alone_needs_none():
    job = dg.reconstructable(two_steps)
    with dg.instance_for_test() as instance:
        with dg.execute_job(job, instance) as run:
            assert run.success
            processes = {run.output_for_node("first"), run.output_for_node("second"), os.getpid()}
        assert len(processes) == 3
        again = dg.ReexecutionOptions(parent_run_id=run.run_id, step_selection=["second"])
        with dg.execute_job(job, instance, reexecution_options=again) as rerun:
            assert rerun.success
            assert rerun.output_for_node("second") == os.getpid()
