from patchmill.job.ladder import Policy, Rung, Step, steps
from patchmill.job.record import Options
from patchmill.job.retry import UnknownPolicy

POLICY = Policy(model="flash", escalation_model="pro", fallback_model="old")


def climbed(policy: Policy = POLICY, options: Options | None = None) -> list[tuple[Rung, str, str | None]]:
    return [(step.rung, step.model, step.fallback) for step in steps(policy, options or Options())]


def test_a_job_climbs_from_flash_to_flash_to_pro_and_the_old_model_stands_in_for_flash_alone() -> None:
    assert climbed() == [
        (Rung.FIRST, "flash", "old"),
        (Rung.REPAIR, "flash", "old"),
        (Rung.ESCALATION, "pro", None),
    ]


def test_a_policy_says_how_often_and_how_far() -> None:
    assert climbed(POLICY.changed({"repairs": 3, "escalate": False, "fall_back": False})) == [
        (Rung.FIRST, "flash", None),
        *[(Rung.REPAIR, "flash", None)] * 2,
    ]
    assert climbed(POLICY.changed({"repairs": 0, "model": "other"}))[0] == (Rung.FIRST, "other", "old")
    assert POLICY.changed({"from_a_later_version": 1}) == POLICY
    assert POLICY.changed({"unknown": "fail"}).unknown is UnknownPolicy.FAIL


def test_a_job_that_names_its_model_gets_that_one_or_the_stronger_one() -> None:
    assert climbed(options=Options(model="mine", escalate=False)) == [
        (Rung.FIRST, "mine", None),
        (Rung.REPAIR, "mine", None),
    ]
    assert climbed(options=Options(model="pro")) == [(Rung.FIRST, "pro", None), (Rung.REPAIR, "pro", None)]


def test_a_model_does_not_stand_in_for_itself() -> None:
    assert climbed(POLICY.changed({"fallback_model": "flash"}))[0] == (Rung.FIRST, "flash", None)


def test_only_the_stronger_model_reasons() -> None:
    reasoning = [step.reasoning for step in steps(POLICY.changed({"reasoning": True}), Options())]

    assert reasoning == [False, False, True]
    assert not Step(rung=Rung.FIRST, model="flash").reasoning
