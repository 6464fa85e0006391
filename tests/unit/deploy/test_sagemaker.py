"""The courses that `up`, `update`, `rollback` and `down` can take on SageMaker, each to its end."""

from itertools import count
from typing import Any

import pytest
from botocore.exceptions import ClientError

from deploy import sagemaker
from deploy.asking import of_endpoint
from deploy.clients import told
from deploy.config import checked
from deploy.errors import Refused, SmokeFailed, StackFailed, Unfinished
from deploy.sections import Config
from tests.deploy_fakes import ACCOUNT
from tests.unit.deploy.person import Person
from tests.unit.deploy.sagemaker_fake import SHIFTED, TAKEN_BACK, SagemakerAws
from tests.unit.deploy.test_config import document

NOT_YET = ("ValidationException", 'Could not find endpoint configuration "x".')


def configured(tag: str = "a", **section: Any) -> Config:
    whole = document(image={"source": "sightline:0.1.0", "tag": tag})
    return checked(whole | {"sagemaker": {**section}}, "sagemaker")


class Session(Person[SagemakerAws]):
    @property
    def runs(self) -> str:
        assert self.aws.endpoint is not None
        return str(self.aws.endpoint["EndpointConfigName"])

    def good(self) -> list[str]:
        return [parameters["EndpointConfig"] for parameters in self.kept()]


@pytest.fixture
def session() -> Session:
    return Session(sagemaker, SagemakerAws(), configured)


@pytest.fixture
def running(session: Session) -> Session:
    """`up` has been there."""
    session.up("a")
    session.forget()
    return session


def test_up_makes_stacks_image_model_config_endpoint_and_scaling_in_this_order(session: Session) -> None:
    session.up("a")
    made = [name for name in session.operations() if name.startswith(("create_", "put_", "register", "execute"))]
    assert made == [
        "create_change_set",
        "execute_change_set",
        "create_change_set",
        "execute_change_set",
        "create_model",
        "create_endpoint_config",
        "create_endpoint",
        "register_scalable_target",
        "put_scaling_policy",
        "put_object",
    ]
    assert sorted(session.aws.stacks) == ["sightline-base", "sightline-sagemaker"]
    assert session.good() == [session.runs]
    assert session.said[-1] == "It answers as it should."


def test_up_again_changes_nothing(running: Session) -> None:
    before = running.runs
    running.up("a")
    assert running.runs == before
    assert running.aws.models.keys() == {running.sent("create_model")[0]["ModelName"]}
    assert not {"create_endpoint", "update_endpoint", "delete_model"} & set(running.operations())


def test_an_interrupted_up_is_taken_up_where_it_was(session: Session) -> None:
    session.aws.endpoint_courses = [[("Creating", "")] * 5 + [("InService", "")]]
    session.aws.interrupt_after = 4  # two waits for stacks, two for the endpoint
    with pytest.raises(KeyboardInterrupt):
        session.up("a")
    assert session.aws.endpoint is not None and session.aws.endpoint["EndpointStatus"] == "Creating"
    session.up("a")
    assert session.aws.endpoint["EndpointStatus"] == "InService"
    assert session.operations().count("create_endpoint") == 1
    assert any("Creating since an earlier run" in line for line in session.said)


def test_ctrl_c_after_any_call_is_mended_by_the_same_command() -> None:
    for calls in count():
        session = Session(sagemaker, SagemakerAws(), configured)
        if not session.is_interrupted(calls, "up", "a"):
            break
        assert session.aws.endpoint is not None and session.aws.endpoint["EndpointStatus"] == "InService"
        assert (len(session.aws.models), session.good()) == (1, [session.runs])
        assert session.aws.scaled is not None
    assert calls > 25
    for calls in count():
        session = Session(sagemaker, SagemakerAws(), configured)
        session.up("a")
        before = session.runs
        if not session.is_interrupted(calls, "update", "b"):
            break
        assert session.good() == [before, session.runs] and before != session.runs
        assert (session.aws.trial, len(session.aws.models)) == (None, 2)
        session.rollback()
        assert session.runs == before
    assert calls > 25


def test_what_aws_does_not_know_of_yet_is_asked_for_again(session: Session) -> None:
    session.aws.refusals["create_endpoint"] = [NOT_YET, NOT_YET]
    session.up("a")
    assert session.operations().count("create_endpoint") == 3
    assert session.runs in session.aws.configs


def test_a_role_that_was_made_a_moment_ago_is_waited_for(session: Session) -> None:
    said = "Could not assume role arn:aws:iam::123456789012:role/r. Please ensure that the role exists"
    session.aws.refusals["create_model"] = [("ValidationException", said)] * 3
    session.up("a")
    assert session.operations().count("create_model") == 4


def test_two_runs_at_once_are_told_apart(running: Session) -> None:
    said = 'Cannot update in-progress endpoint "arn:aws:sagemaker:eu-central-1:123456789012:endpoint/sightline".'
    running.aws.refusals["update_endpoint"] = [("ValidationException", said)]
    with pytest.raises(Refused, match="Another run is under way: run the same command again, which waits for it"):
        running.update("b")


def test_what_aws_never_comes_to_know_of_is_told(session: Session) -> None:
    session.aws.refusals["create_endpoint"] = [NOT_YET] * 50
    with pytest.raises(ClientError, match="Could not find endpoint configuration"):
        session.up("a")
    assert session.operations().count("create_endpoint") == 9


def test_an_answer_that_was_lost_is_no_second_endpoint(session: Session) -> None:
    session.aws.refusals["create_endpoint"] = [
        ("ValidationException", 'Cannot create already existing endpoint "sightline".')
    ]
    with pytest.raises(StackFailed, match="is gone: somebody deleted it"):
        session.up("a")


def test_an_endpoint_that_never_came_up_shows_reason_remedy_and_log(session: Session) -> None:
    reason = "The primary container for production variant AllTraffic did not pass the ping health check."
    session.aws.endpoint_courses = [[("Creating", ""), ("Failed", reason)]]
    session.aws.lines = ["SIGHTLINE_MODEL is not a setting", "bye"]
    with pytest.raises(StackFailed) as failed:
        session.up("a")
    assert str(failed.value) == (
        f"sightline is Failed. AWS says: {reason} The container came up, but /ping was not 200 in time: its log says "
        "why; a large release needs a larger [sagemaker] start_timeout_s. Its log ends with:"
        "\n  SIGHTLINE_MODEL is not a setting\n  bye"
    )
    assert session.good() == []


def test_a_log_that_may_not_be_read_hides_no_cause(session: Session) -> None:
    session.aws.endpoint_courses = [[("Creating", ""), ("Failed", "It did not pass the ping health check.")]]
    session.aws.refused["describe_log_streams"] = ("AccessDeniedException", "no identity-based policy allows it")
    with pytest.raises(
        StackFailed, match=r"(?s)^sightline is Failed\. .*ping.*What it says can't be read: .*not allowed"
    ):
        session.up("a")


def test_alarms_that_may_not_be_read_hide_no_roll_back(running: Session) -> None:
    running.aws.endpoint_courses = [TAKEN_BACK]
    find = running.aws.cloudwatch_describe_alarms

    def described(**asked: Any) -> dict[str, Any]:
        if running.aws.endpoint and "FailureReason" in running.aws.endpoint:
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "DescribeAlarms")
        return find(**asked)

    running.aws.cloudwatch_describe_alarms = described  # type: ignore[method-assign]
    with pytest.raises(StackFailed, match=r"was taken back to .*In ALARM: which alarm it is can't be read: "):
        running.update("b")


def test_no_capacity_is_explained(session: Session) -> None:
    session.aws.endpoint_courses = [
        [
            ("Creating", ""),
            ("Failed", "InsufficientInstanceCapacity: Unable to provision requested ML compute capacity"),
        ]
    ]
    with pytest.raises(StackFailed, match=r"none of these instances left there just now.*Its log is empty"):
        session.up("a")


def test_an_image_of_a_form_that_sagemaker_does_not_take_is_refused_with_the_remedy(session: Session) -> None:
    said = "Unsupported manifest media type application/vnd.oci.image.index.v1+json for image a."
    session.aws.refusals["create_model"] = [("ValidationException", said)]
    with pytest.raises(
        Refused, match=r"create_model was refused: Unsupported .* --provenance=false --output type=docker"
    ):
        session.up("a")


def test_a_right_that_who_deploys_lacks_is_not_laid_at_the_endpoints_role(session: Session) -> None:
    session.aws.refusals["create_model"] = [
        ("AccessDeniedException", "not authorized to perform: sagemaker:CreateModel")
    ]
    with pytest.raises(Refused, match=r"^create_model is not allowed: .* deploy/policies/ has"), told():
        session.up("a")


def test_a_used_up_quota_is_refused_with_the_remedy(session: Session) -> None:
    said = "The account-level service limit 'ml.c7i.large for endpoint usage' is 0 Instances"
    session.aws.refusals["create_endpoint"] = [("ResourceLimitExceeded", said)]
    with pytest.raises(Refused, match=r"CreateEndpoint|create_endpoint was refused: .*Service Quotas"):
        session.up("a")


def test_a_failed_endpoint_is_cleared_away_when_that_is_agreed_to(session: Session) -> None:
    session.aws.endpoint_courses = [[("Creating", ""), ("Failed", "out of memory")]]
    with pytest.raises(StackFailed):
        session.up("a")
    session.up("a")
    assert session.aws.endpoint is not None and session.aws.endpoint["EndpointStatus"] == "InService"
    assert "It serves nothing and has to go first. Remove it and make it anew?" in session.asked
    assert session.operations().count("delete_endpoint") == 1


def test_an_endpoint_that_is_being_deleted_is_waited_for_and_made_anew(running: Session) -> None:
    assert running.aws.endpoint is not None
    running.aws.endpoint["EndpointStatus"] = "Deleting"
    running.aws.goes_through(("Deleting", ""), ("gone", ""))
    running.up("a")
    assert running.aws.endpoint["EndpointStatus"] == "InService"


def test_a_model_of_that_name_made_elsewhere_is_not_taken_for_ours(session: Session) -> None:
    session.up("a")
    for model in session.aws.models.values():
        model["PrimaryContainer"] = {"Image": "somebody/else"}
    with pytest.raises(Refused, match=r"another content \(image somebody/else\)"):
        session.up("a")


def test_update_guards_the_new_fleet_and_keeps_its_size(running: Session) -> None:
    before = running.runs
    running.update("b")
    after = running.runs
    assert after != before
    names = [f"{after}-errors", f"{after}-latency"]
    assert [alarm["AlarmName"] for alarm in running.sent("put_metric_alarm")] == names
    (request,) = running.sent("update_endpoint")
    assert request["RetainAllVariantProperties"] is True
    assert request["DeploymentConfig"]["AutoRollbackConfiguration"] == {"Alarms": [{"AlarmName": n} for n in names]}
    assert running.operations().index("put_metric_alarm") < running.operations().index("update_endpoint")
    assert running.good() == [before, after]
    assert set(running.aws.configs) == {before, after}


def test_update_of_what_is_not_there_is_refused(session: Session) -> None:
    with pytest.raises(Refused, match="to update: run `up` first"):
        session.update("b")


def test_an_update_that_was_taken_back_is_not_taken_for_done(running: Session) -> None:
    before = running.runs
    running.aws.endpoint_courses = [TAKEN_BACK]
    with pytest.raises(StackFailed) as failed:
        running.update("b")
    assert running.runs == before
    assert str(failed.value).startswith(f"sightline was taken back to {before}, which serves as before; sightline-")
    assert "An alarm on the new instances rang" in str(failed.value)
    assert running.good() == [before]


def test_the_alarm_that_took_it_back_is_named(running: Session) -> None:
    running.aws.endpoint_courses = [TAKEN_BACK]
    running.aws.rings_at_roll_back = True
    with pytest.raises(StackFailed, match=r"In ALARM: sightline-[0-9a-f]{12}-errors\.$"):
        running.update("b")


def test_without_its_alarms_nothing_is_updated(running: Session) -> None:
    running.aws.alarms_are_lost = True
    with pytest.raises(Refused, match="would not take a bad update back: nothing was changed"):
        running.update("b")
    assert "update_endpoint" not in running.operations()


def test_an_alarm_that_rings_already_stops_the_update(running: Session) -> None:
    running.aws.endpoint_courses = [TAKEN_BACK]
    with pytest.raises(StackFailed):
        running.update("b")
    name = next(name for name in running.aws.alarms if name.endswith("-latency"))
    running.aws.alarms[name] = "ALARM"
    running.aws.calls.clear()
    with pytest.raises(Refused, match=rf"The alarm {name} is in ALARM before the update begins"):
        running.update("b")
    assert "update_endpoint" not in running.operations()


def test_a_no_changes_nothing(running: Session) -> None:
    running.answers = False
    with pytest.raises(Refused, match="Nothing was changed"):
        running.update("b")
    assert "update_endpoint" not in running.operations()


def test_an_update_is_tried_before_any_traffic_shifts(running: Session) -> None:
    running.update("b", min_instances=3)
    assert running.tried == ["sightline-trial"]
    order = [n for n in running.operations() if n in ("create_endpoint", "delete_endpoint", "update_endpoint")]
    assert order == ["create_endpoint", "delete_endpoint", "update_endpoint"]
    (created,) = running.sent("create_endpoint")
    assert created["EndpointName"] == "sightline-trial"
    (tried,) = [
        c for c in running.sent("create_endpoint_config") if c["EndpointConfigName"] == created["EndpointConfigName"]
    ]
    assert tried["ProductionVariants"][0]["InitialInstanceCount"] == 1
    assert running.aws.trial is None
    assert created["EndpointConfigName"] not in running.aws.configs  # three instances run, by another


def test_a_trial_that_fails_its_smoke_shifts_nothing(running: Session) -> None:
    before = running.runs
    running.trials = ["Query 1 found other pictures."]
    with pytest.raises(
        SmokeFailed, match=r"^The trial failed, and no traffic went to it: Query 1 found other pictures\."
    ):
        running.update("b")
    assert (running.runs, running.good(), running.aws.trial) == (before, [before], None)
    assert not {"update_endpoint", "put_metric_alarm"} & set(running.operations())


def test_a_damaged_history_stops_an_update_before_it_changes_what_runs(running: Session) -> None:
    before = running.runs
    running.aws.objects["deployments/sagemaker.json"] = b'{"deployments": 3}'
    with pytest.raises(Refused, match="holds no list of deployments"):
        running.update("b")
    assert running.runs == before
    assert "update_endpoint" not in running.operations()


def test_a_trial_that_does_not_come_up_shifts_nothing_and_shows_its_log(running: Session) -> None:
    running.aws.trial_courses = [[("Creating", ""), ("Failed", "It did not pass the ping health check.")]]
    running.aws.lines = ["no such release"]
    with pytest.raises(StackFailed, match=r"(?s)^The trial failed, .*/ping was not 200 in time.*  no such release$"):
        running.update("b")
    assert running.aws.trial is None
    assert "update_endpoint" not in running.operations()
    assert running.sent("describe_log_streams")[0]["logGroupName"] == "/aws/sagemaker/Endpoints/sightline-trial"


def test_what_an_interrupted_trial_left_is_told_and_goes_with_the_next_run(running: Session) -> None:
    running.aws.trial_courses = [[("Creating", "")] * 4 + [("InService", "")]]
    running.aws.interrupt_after = 1
    with pytest.raises(KeyboardInterrupt):
        running.update("b")
    assert running.aws.trial is not None
    running.status()
    assert any(line.startswith("Endpoint sightline-trial: left by an interrupted update") for line in running.said)
    running.update("b")
    assert running.aws.trial is None
    assert len(running.good()) == 2


EXPIRED = ("ExpiredTokenException", "The security token included in the request is expired")


def test_a_trial_that_can_not_be_watched_or_removed_is_named_as_what_costs(running: Session) -> None:
    before = running.runs

    def expire(at: str = "") -> None:
        running.aws.refused["describe_endpoint"] = EXPIRED
        raise SmokeFailed("It is slow.")

    running.smoke = expire  # type: ignore[method-assign]
    with pytest.raises(SmokeFailed) as failed:
        running.update("b")
    assert str(failed.value).startswith(
        "The trial failed, and no traffic went to it: It is slow. sightline-trial could not be removed and costs an"
        " instance until the next `update`, or `down`, removes it. (The credentials have expired"
    )
    assert running.runs == before


def test_credentials_that_expire_while_a_trial_comes_up_are_told_with_what_is_left(running: Session) -> None:
    running.aws.trial_courses = [[("Creating", "")] * 4 + [("InService", "")]]

    def wait(seconds: float) -> None:
        if running.aws.trial:
            running.aws.refused["describe_endpoint"] = EXPIRED

    running.aws.wait = wait  # type: ignore[method-assign]
    with pytest.raises(StackFailed, match=r"The trial failed.* have expired .* sightline-trial could not be removed"):
        running.update("b")


def test_a_trial_that_passes_but_can_not_be_removed_shifts_nothing(running: Session) -> None:
    running.aws.refused["delete_endpoint"] = ("AccessDeniedException", "no identity-based policy allows it")
    with pytest.raises(
        StackFailed, match=r"^The trial went well, and no traffic has shifted yet\. sightline-trial could"
    ):
        running.update("b")
    assert "update_endpoint" not in running.operations()


def test_ctrl_c_names_the_trial_that_it_leaves(running: Session) -> None:
    running.aws.trial_courses = [[("Creating", "")] * 4 + [("InService", "")]]
    running.aws.interrupt_after = 1
    with pytest.raises(KeyboardInterrupt):
        running.update("b")
    assert running.said[-1] == (
        "sightline-trial stays and costs an instance until the next `update`, or `down`, removes it."
    )


def test_down_takes_a_trial_along(running: Session) -> None:
    running.aws.trial_courses = [[("Creating", "")] * 4 + [("InService", "")]]
    running.aws.interrupt_after = 1
    with pytest.raises(KeyboardInterrupt):
        running.update("b")
    running.down()
    assert (running.aws.trial, running.aws.endpoint) == (None, None)


def test_a_trial_can_be_left_out(running: Session) -> None:
    running.update("b", trial=False)
    assert running.tried == []
    assert "create_endpoint" not in running.operations()


def test_answers_from_before_an_operation_are_not_taken_for_its_end(session: Session) -> None:
    session.aws.is_slow_to_tell = True
    session.up("a")
    session.update("b")
    assert session.good()[-1] == session.runs
    session.rollback()
    session.down()
    assert session.aws.endpoint is None


def test_a_smoke_that_fails_after_an_update_takes_it_back(running: Session) -> None:
    before = running.runs
    running.smokes = ["Query 1 found other pictures."]
    with pytest.raises(SmokeFailed, match=rf"found other pictures\. It was taken back: {before} runs again\."):
        running.update("b")
    assert running.runs == before
    assert running.good() == [before]
    assert running.sent("update_endpoint")[-1] == {
        "EndpointName": "sightline",
        "EndpointConfigName": before,
        "RetainAllVariantProperties": True,
    }


def test_a_smoke_that_fails_with_nothing_before_leaves_it_and_says_so(session: Session) -> None:
    session.smokes = ["It is slow."]
    with pytest.raises(SmokeFailed, match="Nothing was updated: it was left as it is"):
        session.up("a")
    assert session.good() == []


def test_both_failures_are_told_where_going_back_fails_as_well(running: Session) -> None:
    running.smokes = ["It is slow."]
    running.aws.endpoint_courses = [SHIFTED, [("Updating", ""), ("UpdateRollbackFailed", "no capacity")]]
    with pytest.raises(StackFailed, match=r"It is slow\. Going back failed as well: sightline is UpdateRollbackFailed"):
        running.update("b")


def test_a_smoke_that_can_not_ask_takes_nothing_back(running: Session) -> None:
    running.aws.refused["invoke_endpoint"] = EXPIRED
    ask = of_endpoint("sightline", running.aws)
    with pytest.raises(Refused, match="The credentials have expired"):
        ask({"query": "a", "top_k": 1})


def test_a_way_back_that_aws_refuses_is_told_with_the_smokes_complaint(running: Session) -> None:
    def smoke(at: str = "") -> None:
        if not at:
            running.aws.refused["update_endpoint"] = EXPIRED
            raise SmokeFailed("It is slow.")

    running.smoke = smoke  # type: ignore[method-assign]
    with pytest.raises(StackFailed, match=r"It is slow\. Going back failed as well: .* expired .* `rollback` tries it"):
        running.update("b")


def test_an_update_whose_roll_back_failed_can_be_mended_by_the_next(running: Session) -> None:
    running.aws.endpoint_courses = [[("Updating", ""), ("RollingBack", ""), ("UpdateRollbackFailed", "lost instances")]]
    with pytest.raises(StackFailed, match="may serve both"):
        running.update("b")
    running.update("b")
    assert running.aws.endpoint is not None and running.aws.endpoint["EndpointStatus"] == "InService"
    assert running.good()[-1] == running.runs


def test_throttling_while_waiting_is_no_failure(running: Session) -> None:
    running.aws.endpoint_courses = [[("Updating", "")] * 4 + [("InService", "")]]
    describe = running.aws.sagemaker_describe_endpoint
    calls = [0]

    def throttled(EndpointName: str) -> dict[str, Any]:
        assert running.aws.endpoint is not None
        if running.aws.endpoint["EndpointStatus"] == "Updating" and calls[0] < 2:
            calls[0] += 1
            raise ClientError(
                {"Error": {"Code": "ThrottlingException", "Message": "Rate exceeded"}}, "DescribeEndpoint"
            )
        return describe(EndpointName)

    running.aws.sagemaker_describe_endpoint = throttled  # type: ignore[method-assign]
    running.update("b")
    assert calls == [2]
    assert running.good()[-1] == running.runs


def test_an_update_that_does_not_end_is_left_to_aws_and_taken_up_later(running: Session) -> None:
    running.aws.endpoint_courses = [[("Updating", "")] * 2_000 + [("InService", "")]]
    with pytest.raises(Unfinished, match="is still Updating after 3 hours; the same command waits on"):
        running.update("b")
    running.aws.goes_through(("InService", ""))
    running.update("b")
    assert running.operations().count("update_endpoint") == 1
    assert running.good()[-1] == running.runs


def test_a_smoke_that_fails_after_an_interrupted_update_takes_it_back_too(running: Session) -> None:
    before = running.runs
    running.aws.endpoint_courses = [[("Updating", "")] * 4 + [("InService", "")]]
    running.aws.interrupt_after = 1
    with pytest.raises(KeyboardInterrupt):
        running.update("b")
    running.smokes = ["It is slow."]
    with pytest.raises(SmokeFailed, match=f"It was taken back: {before} runs again"):
        running.update("b")
    assert running.runs == before


def test_rollback_goes_to_the_one_before(running: Session) -> None:
    before = running.runs
    running.update("b")
    running.rollback()
    assert running.runs == before
    assert running.good() == [before]
    with pytest.raises(Refused, match="nothing to go back to"):
        running.rollback()


def test_rollback_to_what_was_deleted_is_refused(running: Session) -> None:
    before = running.runs
    running.update("b")
    del running.aws.configs[before]
    with pytest.raises(Refused, match=f"{before} was deleted and can't be gone back to"):
        running.rollback()


def test_only_what_nothing_needs_is_removed(running: Session) -> None:
    running.aws.configs["sightline-0123456789ab"] = {"ProductionVariants": [{"ModelName": "sightline-0123456789ab"}]}
    running.aws.models["sightline-0123456789ab"] = {}
    running.aws.models["sightline-mine"] = {}
    running.aws.configs["other-0123456789ab"] = {}
    running.aws.alarms["sightline-0123456789ab-errors"] = "OK"
    running.aws.alarms["sightline-endpoint-errors"] = "OK"
    running.update("b")
    assert "sightline-0123456789ab" not in running.aws.configs | running.aws.models
    assert "other-0123456789ab" in running.aws.configs
    assert "sightline-mine" in running.aws.models
    assert "sightline-0123456789ab-errors" not in running.aws.alarms
    assert "sightline-endpoint-errors" in running.aws.alarms
    assert len(running.aws.models) == 3  # the two that rollback may need, and somebody else's


def test_down_removes_what_up_made_and_no_data(running: Session) -> None:
    running.update("b")
    running.down()
    assert running.aws.endpoint is None
    assert (running.aws.models, running.aws.configs, running.aws.alarms, running.aws.scaled) == ({}, {}, {}, None)
    assert list(running.aws.stacks) == ["sightline-base"]
    assert "deployments/sagemaker.json" in running.aws.objects
    assert not {"delete_object", "delete_bucket", "batch_delete_image"} & set(running.operations())


def test_down_again_has_nothing_to_do(running: Session) -> None:
    running.down()
    running.forget()
    running.down()
    assert running.said[0] == "There is no endpoint sightline in eu-central-1."
    assert not [name for name in running.operations() if name.startswith("delete_")]


def test_down_says_what_stays_what_that_costs_and_which_jobs_go_on(running: Session) -> None:
    running.aws.jobs = [{"TransformJobName": "sightline-batch-1"}, {"TransformJobName": "my-sightline-batch-1"}]
    running.aws.job_courses = [("InProgress", "")]
    running.down()
    said = "\n".join(running.said)
    assert "Transform job sightline-batch-1 goes on, and costs until it ends" in said
    assert "my-sightline-batch-1" not in said
    assert f"What stays: the bucket sightline-{ACCOUNT}-eu-central-1 and the images in " in said
    assert "Cost a month in eu-central-1" in said


def test_down_asks_with_region_and_account(running: Session) -> None:
    running.down()
    assert running.asked == [
        f"This ends the endpoint sightline in eu-central-1, account {ACCOUNT}, and removes its models and alarms."
    ]


def test_down_where_nothing_is_says_so_and_not_that_it_is_gone(session: Session) -> None:
    session.down()
    assert session.said == ["There is no endpoint sightline in eu-central-1."]


def test_down_waits_for_a_stack_that_an_earlier_run_changes(running: Session) -> None:
    running.aws.stacks["sightline-sagemaker"].status = "UPDATE_IN_PROGRESS"
    running.aws.stacks["sightline-sagemaker"].coming = [("UPDATE_IN_PROGRESS", [])] * 9 + [("UPDATE_COMPLETE", [])]
    running.down()
    assert "sightline-sagemaker: UPDATE_IN_PROGRESS since an earlier run; waiting for its end." in running.said
    assert list(running.aws.stacks) == ["sightline-base"]


@pytest.mark.parametrize(
    ("name", "verb"),
    [("sightline", verb) for verb in ("plan", "up", "update", "rollback", "down")]
    + [("sightline-trial", verb) for verb in ("update", "down")],
)
def test_an_endpoint_of_somebody_else_is_neither_updated_nor_removed(running: Session, name: str, verb: str) -> None:
    theirs = {"EndpointName": name, "EndpointConfigName": "shop-v1", "EndpointStatus": "InService"}
    running.aws.endpoints[name].held = dict(theirs)
    config = configured("b" if verb == "update" else "a")
    with pytest.raises(Refused, match=rf"^There is an endpoint {name} on shop-v1, which this command did not make"):
        if verb in ("plan", "down"):
            getattr(running, verb)()
        else:
            running.changing(verb, config)
    assert running.aws.endpoints[name].held == theirs


def test_down_is_asked_for(running: Session) -> None:
    running.answers = False
    with pytest.raises(Refused, match="Nothing was removed"):
        running.down()
    assert running.aws.endpoint is not None


def test_down_waits_for_an_update_that_goes_on(running: Session) -> None:
    assert running.aws.endpoint is not None
    running.aws.endpoint["EndpointStatus"] = "Updating"
    running.aws.goes_through(("Updating", ""), ("InService", ""))
    running.down()
    assert running.aws.endpoint is None


def test_a_serverless_endpoint_has_no_fleets_and_no_scaling(session: Session) -> None:
    serverless = {"serverless_memory_mb": 3072, "network_isolation": False}
    session.up("a", **serverless)
    session.update("b", **serverless)
    assert session.sent("update_endpoint") == [{"EndpointName": "sightline", "EndpointConfigName": session.runs}]
    assert not {"put_metric_alarm", "register_scalable_target"} & set(session.operations())


def test_status_says_what_runs_and_what_rings(running: Session) -> None:
    running.update("b")
    running.aws.alarms[f"{running.runs}-errors"] = "ALARM"
    running.said.clear()
    running.status()
    assert running.said == [
        "sightline-base: CREATE_COMPLETE",
        "sightline-sagemaker: CREATE_COMPLETE",
        f"Endpoint sightline: InService, on {running.runs}",
        "Instances: 1 of 1 wanted",
        f"In ALARM: {running.runs}-errors",
    ]


def test_plan_says_what_would_change_and_changes_nothing(running: Session) -> None:
    before = running.runs
    running.plan("a")
    assert running.said[:3] == [
        "sightline-base: nothing to change.",
        "sightline-sagemaker: nothing to change.",
        "Endpoint sightline (InService): nothing to change.",
    ]
    running.forget()
    running.plan("b", log_days=90)
    assert running.said[:5] == [
        "sightline-base: nothing to change.",
        "sightline-sagemaker would:",
        "  change Task (ECS::TaskDefinition), by a new one",  # the fake knows one change
        f"Image: sightline:0.1.0 would be pushed as {ACCOUNT}.dkr.ecr.eu-central-1.amazonaws.com/sightline:b.",
        f"Endpoint sightline (InService) would go from {before} to a new configuration: a trial on one instance first,"
        " then 25 % of the capacity first, watched for 300 s.",
    ]
    changed = ("execute", "put", "update", "create_m", "create_e", "delete_m", "delete_e", "delete_stack")
    assert not [name for name in running.operations() if name.startswith(changed)]
    assert running.aws.stacks["sightline-sagemaker"].answer == {}  # no change set is left


def test_plan_of_a_new_endpoint_lists_what_would_be_made(session: Session) -> None:
    session.plan("a")
    assert session.aws.stacks == {}
    assert "  Role (IAM::Role)" in session.said
    assert "Endpoint sightline is not there and would be made, 1 to 4 × ml.c7i.large." in session.said


def test_plan_says_what_its_cost_leaves_out_of_a_serverless_endpoint(session: Session) -> None:
    session.plan("a", serverless_memory_mb=3072, network_isolation=False)
    assert session.said[-1] == "  What a serverless endpoint computes is paid by the request, and not in that."


def test_what_was_taken_away_is_not_gone_back_to(running: Session) -> None:
    running.down()
    running.smokes = ["It is slow."]
    with pytest.raises(SmokeFailed, match="Nothing was updated: it was left as it is"):
        running.up("b")
