from pathlib import Path

import pytest

from search.errors import Busy
from search.job import JobSpec
from tests.contract.served import open_workspace
from tests.stored import wait_until
from ui.start import begin_background_work


def test_jobs_run_though_no_decoder_could_be_started_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = open_workspace(tmp_path)
    assert workspace.jobs is not None

    def start() -> None:
        raise Busy("no process starts")

    monkeypatch.setattr(workspace.decoder, "start", start)
    job = workspace.jobs.submit(JobSpec("colours", paths=(str(tmp_path),)))
    with pytest.raises(Busy):
        begin_background_work(workspace)
    jobs = workspace.jobs
    wait_until(lambda: jobs.get(job.id).is_finished)
    assert jobs.get(job.id).state == "done"
    workspace.close()
