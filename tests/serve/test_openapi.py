"""The API's description is right: whatever it allows is answered as it says."""

import pytest
from stage import AUTHORIZED, listening

schemathesis = pytest.importorskip("schemathesis")

from hypothesis import HealthCheck, given, settings  # noqa: E402

CHECKS = [
    schemathesis.checks.not_a_server_error,
    schemathesis.checks.status_code_conformance,
    schemathesis.checks.content_type_conformance,
    schemathesis.checks.response_schema_conformance,
]
_STREAMS = ("/v1/events", "/v1/jobs/{job}/events")  # the first never ends


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    """The description of a server that answers."""
    with listening(tmp_path_factory.mktemp("api") / "jobs", queue=3) as origin:
        yield schemathesis.openapi.from_url(f"{origin}/v1/openapi.json")


@pytest.mark.slow
def test_whatever_comes_the_server_never_breaks(api):
    """By hand, since schemathesis' own plugin does not know every pytest."""
    labels = set()
    for result in api.exclude(path=list(_STREAMS)).get_all_operations():
        operation = result.ok()

        @given(case=operation.as_strategy())
        @settings(
            max_examples=60,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        def answers_as_described(case):
            answer = case.call(headers=AUTHORIZED)
            assert answer.status_code < 500, answer.text
            case.validate_response(answer, checks=CHECKS)

        answers_as_described()
        labels.add(operation.label)
    assert len(labels) == 22
