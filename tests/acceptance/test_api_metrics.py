import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.support.requests import mutable_default
from tests.support.stack import Stack, until


def read_metrics(url: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    answer = httpx.get(f"{url}/metrics")
    assert answer.status_code == 200, answer.text
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_metrics_need_no_key_and_name_no_project(service: Stack) -> None:
    until(lambda: read_metrics(service.api_url)["patchmill_workers", ()] == 1, "the worker's heartbeat")
    metrics = read_metrics(service.api_url)

    assert 0 < metrics["patchmill_slots_limit", ()] <= 25  # less for a while after a refusal
    assert ("patchmill_jobs", (("state", "running"),)) in metrics
    assert "default" not in httpx.get(f"{service.api_url}/metrics").text


def test_the_cached_share_of_each_prompt_version_is_told(service: Stack) -> None:
    jobs = [service.run(mutable_default(number)) for number in (7001, 7002)]
    metrics = read_metrics(service.api_url)

    with service.http() as http:
        [call] = http.get(f"/v1/jobs/{jobs[1]['id']}/calls").json()["data"]
    labels = (("model", call["model"]), ("prompt_version", call["prompt_version"]))
    assert call["usage"]["cached_tokens"] > 0
    assert 0 < metrics["patchmill_prompt_cached_share", labels] < 1
    assert metrics["patchmill_prompt_input_tokens", labels] >= call["usage"]["input_tokens"]
    outcome = (("model", call["model"]), ("outcome", "settled"))
    assert metrics["patchmill_calls", outcome] >= 2
