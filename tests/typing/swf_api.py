"""Valid uses of the face for simpleflow, which type checkers read and nobody runs."""

from simpleflow import Workflow

from asyncsteps.store import check_step_name, open_bucket
from asyncsteps.swf import Step, WorkflowStepMixin, constants, to_simpleflow, utils
from asyncsteps.swf.tasks import GetStepsDoneTask
from asyncsteps.testing import MotoServer, run_moto_server


class Ingest(Workflow, WorkflowStepMixin):
    step_names = "simpleflow"

    def run(self) -> None:
        self.add_forced_steps("2026/users", "asked for")
        forced: frozenset[str] = self.steps_forced
        done: list[str] = self.get_steps_done()
        runs: bool = utils.step_will_run("a", forced, self.steps_skipped, done)
        reasons: list[str] = utils.get_step_force_reasons("a", self.steps_forced_reasons)
        step: Step = self.step("2026/users", to_simpleflow((print, 1)), force=runs and bool(reasons))
        self.submit(step)


GetStepsDoneTask("bucket", "path", step_names="simpleflow")
timeout: int = constants.STEP_ACTIVITY_PARAMS_DEFAULT["heartbeat_timeout"]
name: str = check_step_name("2026/users", by="simpleflow")
store = open_bucket("bucket", "prefix", step_names="simpleflow")
with run_moto_server() as server, server.as_aws():
    aws: MotoServer = server
    keys: list[str] = aws.keys("bucket")
