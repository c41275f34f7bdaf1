"""One job: how it is run, stopped and reported."""

import pytest
import torch

import impasto
from impasto.images.write import encode
from impasto.jobs.job import Job, JobState
from impasto.jobs.progress import JobCancelled, JobReporter, StopEvent
from impasto.jobs.run_job import attempt, limit_memory, run_job
from impasto.recipes import StyleRecipe


@pytest.fixture
def job(tmp_path):
    """A small painting of two files."""
    inputs = {}
    for number, role in enumerate(("content", "style-1")):
        pixels = torch.rand(3, 32, 48, generator=torch.Generator().manual_seed(number))
        (tmp_path / f"{role}.png").write_bytes(encode(pixels, "png"))
        inputs[role] = str(tmp_path / f"{role}.png")
    recipe = StyleRecipe(size=48, steps=4, scales=1)
    return Job("style", recipe.model_dump_json(), inputs, str(tmp_path / "out.png"))


def test_a_job_gives_what_the_method_gives_and_reports_every_loss_by_name(job):
    state = JobState()
    reporter = JobReporter(state)
    result = run_job(job, reporter=reporter)
    made = impasto.stylize(job.inputs["content"], job.inputs["style-1"], recipe=job.options)
    assert torch.equal(result.pixels, made.pixels)
    assert result.provenance().inputs == made.provenance().inputs
    assert [point.evaluation for point in state.history] == [1, 2, 3, 4]
    assert all(set(point.losses) == set(made.losses) for point in state.history)
    assert (state.step.evaluation, state.step.evaluations) == (4, 4)
    assert reporter.preview[:2] == b"\xff\xd8"


def test_a_part_of_the_memory_is_not_stored_in_the_result(job):
    assert limit_memory(job.options, 0.5).memory > 0
    assert run_job(job, share=0.5).recipe.memory == "auto"
    given = job.options.model_copy(update={"memory": 3.0})
    assert limit_memory(given, 0.5) == given


def test_a_stop_keeps_the_image_and_a_cancel_does_not(job):
    reporter = JobReporter(JobState())
    reporter.stop.set()
    outcome = attempt(lambda: run_job(job, reporter=reporter), reporter.stop)
    assert outcome.status == "stopped"
    assert outcome.saved.stopped
    reporter.stop.cancel()
    outcome = attempt(lambda: run_job(job, reporter=reporter), reporter.stop)
    assert (outcome.status, outcome.saved, outcome.reason) == ("cancelled", None, None)


def test_a_cancel_after_the_last_step_changes_nothing(job):
    stop = StopEvent()

    def work():
        stop.cancel()
        return "saved"

    assert attempt(work, stop).status == "done"
    with pytest.raises(JobCancelled):
        stop()


@pytest.mark.parametrize(
    ("error", "reason", "permanent"),
    [
        (ValueError("`size` must be\nother"), "`size` must be other", True),
        (impasto.ImageError("no"), "no", True),
        (MemoryError(), "there is not enough memory for this job; ask for a smaller `size`", False),
        (RuntimeError("CUDA out of memory"), "there is not enough memory for this job; ask", False),
        (KeyError("x"), "something unforeseen went wrong, KeyError: 'x'", False),
    ],
)
def test_a_failure_is_one_line_and_says_whether_to_try_again(error, reason, permanent):
    def work():
        raise error

    outcome = attempt(work)
    assert (outcome.status, outcome.permanent) == ("failed", permanent)
    assert outcome.reason.startswith(reason)
