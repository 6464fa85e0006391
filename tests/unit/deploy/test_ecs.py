"""The courses that `up`, `update`, `rollback` and `down` can take on ECS, each to its end."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from deploy import ecs, fargate, stacks
from deploy.config import checked
from deploy.errors import Refused, SmokeFailed, StackFailed, Unfinished
from deploy.sections import Config
from tests.deploy_fakes import ACCOUNT, FakeAws, Stack, course, event, refusal
from tests.unit.deploy.person import Person
from tests.unit.deploy.test_config import document

SECRET = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:sightline-users-AbCdEf"


def configured(tag: str = "a", **sections: dict[str, Any]) -> Config:
    return checked(document(image={"source": "sightline:0.1.0", "tag": tag}, **sections), "ecs")


class Session(Person[FakeAws]):
    @property
    def service(self) -> Stack:
        return self.aws.stacks["sightline-ecs"]

    @property
    def running(self) -> str:
        """The digest that the stack names."""
        return digest(self.service.parameters)

    def good(self) -> list[str]:
        return list(map(digest, self.kept()))


def digest(parameters: Mapping[str, str]) -> str:
    return parameters["Image"].rpartition("@")[2]


@pytest.fixture
def session() -> Session:
    return Session(ecs, FakeAws(), configured)


@pytest.fixture
def running(session: Session) -> Session:
    """`up` has been there."""
    session.up("a")
    session.forget()
    return session


def test_up_makes_base_image_network_and_service_in_this_order(session: Session) -> None:
    session.up("a")
    assert list(session.aws.stacks) == ["sightline-base", "sightline-network", "sightline-ecs"]
    made = [name for name in session.operations() if name in ("execute_change_set", "get_authorization_token")]
    assert made == ["execute_change_set", "get_authorization_token", "execute_change_set", "execute_change_set"]
    assert session.good() == [session.aws.images["a"]]
    assert session.said[-1] == "It answers as it should."


BOUNDARY = {"permissions_boundary": f"arn:aws:iam::{ACCOUNT}:policy/teams"}


def test_what_is_gone_back_to_keeps_the_boundary_that_is_set_now(running: Session) -> None:
    running.update("b")
    running.changing("update", running.configured("b", deploy=BOUNDARY))
    running.changing("rollback", running.configured("b", deploy=BOUNDARY))
    assert running.service.parameters["PermissionsBoundary"] == BOUNDARY["permissions_boundary"]
    assert running.running == running.aws.images["a"]
    assert running.good() == [running.aws.images["a"]]


def test_up_again_changes_nothing_and_pushes_nothing(running: Session) -> None:
    pushed = len(running.engine.ran)
    running.up("a")
    assert "execute_change_set" not in running.operations()
    assert len(running.engine.ran) == pushed
    assert running.said[:3] == [
        "sightline-base: nothing to change.",
        "The image a is in the repository already: nothing is pushed, and a new image needs a new tag.",
        "sightline-network: nothing to change.",
    ]
    assert len(running.good()) == 1


def test_what_was_not_agreed_to_is_not_done_and_leaves_no_change_set(session: Session) -> None:
    session.answers = False
    with pytest.raises(Refused, match=r"^Nothing was changed\.$"):
        session.up()
    assert session.aws.stacks == {}


def test_other_credentials_than_deploy_toml_names_are_refused(session: Session) -> None:
    session.aws.account = "999999999999"
    with pytest.raises(Refused, match=r"belong to account 999999999999, and \[deploy\] account is 123456789012"):
        session.up(deploy={"account": ACCOUNT})
    assert session.operations() == ["get_caller_identity"]


def test_a_stack_that_can_not_be_made_says_the_first_cause_and_a_remedy(session: Session) -> None:
    failed = [
        event("Vpc", "CREATE_FAILED", "The maximum number of VPCs has been reached. (Service: Ec2, Status Code: 400)"),
        event("Gateway", "CREATE_FAILED", "Resource creation cancelled"),
    ]
    session.aws.courses["sightline-network"] = [
        course("CREATE_IN_PROGRESS", ("ROLLBACK_IN_PROGRESS", failed), "ROLLBACK_COMPLETE")
    ]
    with pytest.raises(StackFailed) as failure:
        session.up()
    assert str(failure.value) == (
        "sightline-network failed and is ROLLBACK_COMPLETE. The cause: Vpc: The maximum number of VPCs has been"
        " reached. The account's quota is used up: ask for more under Service Quotas in the console, or remove"
        " something."
    )


STAYS = " sightline-network stays, and costs by the hour: `up` goes on with it, `down` removes it."


def test_a_first_service_that_can_not_be_made_names_the_network_that_costs(session: Session) -> None:
    failed = [event("HttpsListener", "CREATE_FAILED", "UnsupportedCertificate: must be issued")]
    session.aws.courses["sightline-ecs"] = [course("CREATE_IN_PROGRESS", ("ROLLBACK_COMPLETE", failed))]
    with pytest.raises(StackFailed) as failure:
        session.up()
    assert str(failure.value) == (
        "sightline-ecs failed and is ROLLBACK_COMPLETE. The cause: HttpsListener: UnsupportedCertificate: must be"
        f" issued. The certificate must be ISSUED, in this region and for the domain: look at it in ACM.{STAYS}"
    )


def test_a_no_to_the_service_names_the_network_that_costs(session: Session) -> None:
    session.ask = lambda question, wanted: "sightline-ecs" not in session.aws.stacks  # type: ignore[method-assign]
    with pytest.raises(Refused) as refused:
        session.up()
    assert str(refused.value) == f"Nothing was changed.{STAYS}"


def test_an_update_that_fails_says_nothing_of_a_network_that_is_in_use(running: Session) -> None:
    failed = [event("Service", "UPDATE_FAILED", "Odd")]
    running.aws.courses["sightline-ecs"] = [course("UPDATE_IN_PROGRESS", ("UPDATE_ROLLBACK_COMPLETE", failed))]
    with pytest.raises(StackFailed, match=r"The cause: Service: Odd\.$"):
        running.update("b")


def test_a_stack_that_was_never_finished_is_removed_on_request_and_made_again(session: Session) -> None:
    failed = [event("Vpc", "CREATE_FAILED", "Quota")]
    session.aws.courses["sightline-network"] = [course("CREATE_IN_PROGRESS", ("ROLLBACK_COMPLETE", failed))]
    with pytest.raises(StackFailed):
        session.up()
    session.up()
    assert "What is left of it has to go first. Remove it?" in session.asked
    assert session.aws.stacks["sightline-network"].status == "CREATE_COMPLETE"


def test_a_stack_that_was_never_finished_stays_where_nobody_agrees(session: Session) -> None:
    session.aws.stacks["sightline-base"] = Stack("ROLLBACK_COMPLETE")
    session.answers = False
    with pytest.raises(Refused, match="sightline-base is ROLLBACK_COMPLETE and stays in the way"):
        session.up()
    assert "delete_stack" not in session.operations()


def test_the_reason_a_task_stopped_is_told_though_the_cluster_goes_with_the_stack(session: Session) -> None:
    breaker = event("Service", "CREATE_FAILED", "ECS Deployment Circuit Breaker was triggered.")
    session.aws.stopped = [
        {
            "stoppedReason": "Essential container in task exited",
            "containers": [{"name": "sightline", "exitCode": 137, "reason": "OutOfMemoryError: Container killed"}],
        }
    ]
    session.aws.courses["sightline-ecs"] = [
        course("CREATE_IN_PROGRESS", ("ROLLBACK_IN_PROGRESS", [breaker]), "ROLLBACK_COMPLETE")
    ]
    with pytest.raises(StackFailed) as failure:
        session.up()
    assert "A task stopped: Essential container in task exited; OutOfMemoryError: Container killed;" in str(
        failure.value
    )
    assert "The task ran out of memory: raise [ecs] memory_mb." in str(failure.value)


def test_a_first_deployment_that_fails_its_smoke_is_left_and_not_kept_as_good(session: Session) -> None:
    session.smokes = ["The page answers 503."]
    with pytest.raises(SmokeFailed, match=r"^The page answers 503\. There is no earlier deployment to go back to"):
        session.up()
    assert session.good() == []


def test_an_update_brings_the_new_image_and_is_kept_as_good(running: Session) -> None:
    running.update("b")
    assert running.running == running.aws.images["b"]
    assert running.good() == [running.aws.images["a"], running.aws.images["b"]]


def test_what_was_found_good_before_is_not_taken_back(running: Session) -> None:
    running.smokes = ["It is slow."]
    with pytest.raises(
        SmokeFailed, match=r"^It is slow\. It was found good before, so it was left as it is; `rollback`"
    ):
        running.up("a")
    assert "execute_change_set" not in running.operations()


def test_up_and_plan_say_that_anybody_may_search_unless_there_are_users(session: Session) -> None:
    anybody = "Nobody has to sign in: everybody whose address is in 0.0.0.0/0 may search ([ecs] allowed_cidr)."
    session.plan()
    session.up()
    assert session.said.count(anybody) == 2
    session.forget()
    session.plan(ecs={"users_secret_arn": SECRET})
    session.up(ecs={"users_secret_arn": SECRET})
    assert anybody not in session.said


def test_an_update_of_nothing_is_refused(session: Session) -> None:
    with pytest.raises(Refused, match="There is no sightline-ecs in eu-central-1 to update: run `up` first"):
        session.update("a")


def test_an_update_that_fails_its_smoke_goes_back_by_itself(running: Session) -> None:
    running.smokes = ["Other ids than golden."]
    with pytest.raises(SmokeFailed, match=r"^Other ids than golden\. It was taken back: image sha256:"):
        running.update("b")
    assert running.asked == ["Do this?"]  # for the update; going back asks nobody
    assert running.running == running.aws.images["a"]
    assert running.good() == [running.aws.images["a"]]


def test_a_way_back_that_aws_refuses_is_told_with_the_smokes_complaint(running: Session) -> None:
    def smoke(at: str = "") -> None:
        running.aws.refused["describe_stacks"] = ("ExpiredToken", "The security token is expired")
        raise SmokeFailed("It is slow.")

    running.smoke = smoke  # type: ignore[method-assign]
    with pytest.raises(StackFailed, match=r"It is slow\. Going back failed as well: .* expired .* `rollback` tries it"):
        running.update("b")


@pytest.mark.parametrize("verb", ["status", "up"])
@pytest.mark.parametrize("answer", [[], [{"status": "INACTIVE", "deployments": [], "runningCount": 0}], None])
def test_a_service_that_somebody_deleted_is_told_with_what_makes_it_anew(
    running: Session, answer: list[Any] | None, verb: str
) -> None:
    def deleted(cluster: str, services: list[str]) -> dict[str, Any]:
        if answer is None:
            raise refusal("DescribeServices", "ClusterNotFoundException", "Cluster not found.")
        return {"services": answer}

    running.aws.ecs_describe_services = deleted  # type: ignore[method-assign]
    with pytest.raises(StackFailed, match=r"sightline is gone from the cluster sightline: .* `down` removes the rest"):
        getattr(running, verb)()


def test_the_circuit_breakers_roll_back_is_told_with_its_cause(running: Session) -> None:
    breaker = event("Service", "UPDATE_FAILED", "ECS Deployment Circuit Breaker was triggered.")
    running.aws.stopped = [{"stoppedReason": "Task failed ELB health checks in (target-group a)"}]
    running.aws.courses["sightline-ecs"] = [
        course("UPDATE_IN_PROGRESS", ("UPDATE_ROLLBACK_IN_PROGRESS", [breaker]), "UPDATE_ROLLBACK_COMPLETE")
    ]
    with pytest.raises(StackFailed) as failure:
        running.update("b")
    assert "sightline-ecs failed and is UPDATE_ROLLBACK_COMPLETE. The cause: Service: ECS Deployment Circuit" in str(
        failure.value
    )
    assert "/ping does not answer 200 in time" in str(failure.value)
    assert running.running == running.aws.images["a"]


def test_a_roll_back_that_ends_completed_on_the_old_tasks_is_a_failure(running: Session) -> None:
    def went_back(aws: FakeAws) -> dict[str, Any]:
        failed = aws.deployment("INACTIVE", "FAILED", 0, reason="ECS deployment circuit breaker: rolling back")
        return aws.service(aws.deployment("PRIMARY", "COMPLETED", 2, revision=1), failed)

    running.aws.services = [went_back]
    with pytest.raises(
        StackFailed,
        match=r"^ECS took the deployment back: ECS deployment circuit breaker: rolling back.*`rollback` puts",
    ):
        running.update("b")


def test_an_alarm_that_takes_the_deployment_back_is_named(running: Session) -> None:
    def went_back(aws: FakeAws) -> dict[str, Any]:
        reason = "ECS deployment rolled back: alarm sightline-errors is in ALARM."
        failed = aws.deployment("INACTIVE", "FAILED", 0, reason=reason)
        return aws.service(aws.deployment("PRIMARY", "IN_PROGRESS", 2, revision=1), failed)

    running.aws.services = [went_back]
    with pytest.raises(StackFailed, match="alarm sightline-errors is in ALARM"):
        running.update("b")


def test_an_alarm_that_rings_already_is_asked_about_before_anything_changes(running: Session) -> None:
    running.aws.ringing = ["sightline-latency", "sightline-memory"]
    running.answers = False
    with pytest.raises(Refused, match=r"^Nothing was changed\.$"):
        running.update("b")
    assert (
        "In ALARM already: sightline-latency. ECS won't take a deployment back for an alarm that rang before it."
        in (running.said)
    )
    assert "create_change_set" not in running.operations()[-3:]
    assert running.running == running.aws.images["a"]


def test_a_failed_roll_back_is_explained_and_tried_again_on_request(running: Session) -> None:
    failed = [event("Service", "UPDATE_FAILED", "image not found: manifest unknown")]
    running.aws.courses["sightline-ecs"] = [
        course("UPDATE_IN_PROGRESS", ("UPDATE_ROLLBACK_IN_PROGRESS", failed), "UPDATE_ROLLBACK_FAILED")
    ]
    with pytest.raises(StackFailed, match="is UPDATE_ROLLBACK_FAILED"):
        running.update("b")
    running.update("c")
    assert "When the cause is mended, AWS can try again to go back. Try now?" in running.asked
    assert running.running == running.aws.images["c"]


def test_a_roll_back_that_fails_again_says_what_else_there_is(running: Session) -> None:
    running.service.status = "UPDATE_ROLLBACK_FAILED"
    stuck = [event("Service", "UPDATE_FAILED", "Access denied")]
    running.aws.courses["sightline-ecs"] = [course("UPDATE_ROLLBACK_IN_PROGRESS", ("UPDATE_ROLLBACK_FAILED", stuck))]
    with pytest.raises(StackFailed, match=r"still UPDATE_ROLLBACK_FAILED.*skip the resource"):
        running.update("b")


def test_throttling_while_waiting_is_waited_out(running: Session) -> None:
    running.aws.throttled.update({"describe_services": 3})
    running.update("b")
    assert running.running == running.aws.images["b"]


def test_throttled_stack_events_are_waited_out(running: Session) -> None:
    begin = running.aws.cloudformation_execute_change_set

    def begin_and_throttle(**request: Any) -> dict[str, Any]:
        answer = begin(**request)
        running.aws.throttled.update({"describe_stacks": 4})
        return answer

    running.aws.cloudformation_execute_change_set = begin_and_throttle  # type: ignore[method-assign]
    stack = "sightline-ecs"
    change = stacks.propose(stack, "Resources: {}", {"Name": "sightline"}, running.aws, running.aws.wait)
    assert change is not None
    stacks.execute(change, running.aws, running.said.append, running.aws.wait)
    assert running.service.status == "UPDATE_COMPLETE"


def test_an_interrupted_update_is_waited_for_by_the_next_run(running: Session) -> None:
    running.aws.interrupt_after = 1
    with pytest.raises(KeyboardInterrupt):
        running.update("b")
    assert running.service.status == "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"
    running.update("b")
    assert (
        "sightline-ecs: UPDATE_COMPLETE_CLEANUP_IN_PROGRESS since an earlier run; waiting for its end." in running.said
    )
    assert running.operations().count("execute_change_set") == 1
    assert running.good() == [running.aws.images["a"], running.aws.images["b"]]


def test_ctrl_c_after_any_call_is_mended_by_the_same_command() -> None:
    for calls in count():
        session = Session(ecs, FakeAws(), configured)
        if not session.is_interrupted(calls, "up", "a"):
            break
        assert {stack.status for stack in session.aws.stacks.values()} == {"CREATE_COMPLETE"}
        assert (session.running, session.good()) == (session.aws.images["a"], [session.aws.images["a"]])
    assert calls > 25
    for calls in count():
        session = Session(ecs, FakeAws(), configured)
        session.up("a")
        if not session.is_interrupted(calls, "update", "b"):
            break
        assert (session.running, session.good()) == (session.aws.images["b"], list(session.aws.images.values()))
        session.rollback()
        assert session.running == session.aws.images["a"]
    assert calls > 25


def test_an_answer_from_before_the_update_is_not_taken_for_its_end(running: Session) -> None:
    running.aws.is_late = True
    running.aws.courses["sightline-ecs"] = [course("UPDATE_IN_PROGRESS", "UPDATE_ROLLBACK_COMPLETE")]
    with pytest.raises(StackFailed, match="sightline-ecs failed and is UPDATE_ROLLBACK_COMPLETE"):
        running.update("b")


def test_a_change_set_that_an_interrupted_run_left_is_replaced(running: Session) -> None:
    stacks.propose("sightline-ecs", "Resources: {}", {"Name": "x"}, running.aws, running.aws.wait)
    running.update("b")
    assert running.running == running.aws.images["b"]


def test_a_stack_that_never_ends_is_given_up_after_an_hour_and_can_be_waited_for_again(running: Session) -> None:
    running.aws.courses["sightline-ecs"] = [course(*["UPDATE_IN_PROGRESS"] * 1_000, "UPDATE_COMPLETE")]
    with pytest.raises(Unfinished, match="still UPDATE_IN_PROGRESS after an hour; the same command waits on"):
        running.update("b")
    assert running.aws.waited_s < 3_700


def test_tasks_that_find_no_capacity_are_told_when_waiting_ends(running: Session) -> None:
    running.aws.services = [
        lambda aws: aws.service(
            aws.deployment("PRIMARY", "IN_PROGRESS", 0),
            aws.deployment("ACTIVE", "COMPLETED", 2, revision=1),
            message="(service sightline) was unable to place a task.",
        )
    ]
    running.aws.stopped = [{"stoppedReason": "Capacity is unavailable at this time. Please try again later."}]
    with pytest.raises(Unfinished, match="Fargate has no room there just now: try again in some minutes"):
        running.update("b")
    assert "  0 of 2 new tasks run, 2 old ones; (service sightline) was unable to place a task." in running.said


def test_an_image_that_can_not_be_pulled_has_its_remedy(running: Session) -> None:
    running.aws.services = [
        lambda aws: aws.service(aws.deployment("PRIMARY", "FAILED", 0, reason="tasks failed to start"))
    ]
    running.aws.stopped = [{"stoppedReason": "CannotPullContainerError: image x: not found"}]
    with pytest.raises(StackFailed, match=r"The image is not in the repository: push it again"):
        running.update("b")


def test_old_tasks_that_drain_too_long_hold_nothing_up(running: Session) -> None:
    running.aws.services = [
        lambda aws: aws.service(
            aws.deployment("PRIMARY", "COMPLETED", 2), aws.deployment("ACTIVE", "COMPLETED", 1, revision=1)
        )
    ]
    running.update("b")
    assert (
        "  Old tasks are still finishing what they answer; AWS ends them. Traffic goes to the new ones." in running.said
    )
    assert running.good()[-1] == running.aws.images["b"]


def test_without_anything_to_push_the_image_no_network_is_made_that_costs(session: Session) -> None:
    def nothing_installed(program: Sequence[str], given: str) -> str:
        raise Refused(f"{program[0]} is not installed.")

    session.engine = nothing_installed  # type: ignore[assignment]
    with pytest.raises(Refused, match="install docker, buildah or skopeo"):
        session.up("a")
    assert list(session.aws.stacks) == ["sightline-base"]


def test_a_push_that_does_not_arrive_stops_before_the_service_changes(running: Session) -> None:
    running.engine.loses = True
    with pytest.raises(Refused, match=r"docker pushed .*/sightline:b, but the repository does not have it"):
        running.update("b")
    assert running.running == running.aws.images["a"]


def test_rollback_goes_back_one_deployment_after_another(running: Session) -> None:
    running.update("b")
    running.update("c")
    running.rollback()
    assert running.running == running.aws.images["b"]
    running.rollback()
    assert running.running == running.aws.images["a"]
    with pytest.raises(Refused, match="There is nothing to go back to"):
        running.rollback()


def test_rollback_leaves_what_was_deployed_but_never_found_good(running: Session) -> None:
    running.aws.services = [lambda aws: aws.service(aws.deployment("PRIMARY", "IN_PROGRESS", 0))]
    with pytest.raises(Unfinished):
        running.update("b")
    running.aws.services = []
    running.rollback()
    assert running.running == running.aws.images["a"]


def test_what_was_taken_away_is_not_gone_back_to(running: Session) -> None:
    running.update("b")
    running.down()
    with pytest.raises(Refused, match=r"^There is no sightline-ecs in eu-central-1 to take back: run `up` first\.$"):
        running.rollback()
    running.smokes = ["The page answers 503."]
    with pytest.raises(SmokeFailed, match="There is no earlier deployment to go back to"):
        running.up("c")  # those of before name a network that is gone
    assert running.running == running.aws.images["c"]


def test_what_somebody_else_wrote_in_the_place_of_the_history_is_told(running: Session) -> None:
    for written in (
        b"[]",
        b"\xff",
        b'{"version": 2}',
        b'{"deployments": [{"template": "a", "parameters": {"Image": 5}}]}',
        b'{"deployments": [{"template": "a", "parameters": []}]}',
        b'{"deployments": ["a"]}',
        b'{"deployments": ' + b"[" * 100_000,
    ):
        running.aws.objects["deployments/ecs.json"] = written
        with pytest.raises(Refused, match=r"^s3://.*/deployments/ecs\.json holds no list of deployments"):
            running.rollback()


def test_a_damaged_history_stops_an_update_before_it_changes_what_runs(running: Session) -> None:
    before = running.running
    running.aws.objects["deployments/ecs.json"] = b"[]"
    with pytest.raises(Refused, match="holds no list of deployments"):
        running.update("b")
    assert running.running == before
    assert "execute_change_set" not in running.operations()


def test_a_damaged_history_does_not_keep_anybody_from_taking_away(running: Session) -> None:
    running.aws.objects["deployments/ecs.json"] = b"[]"
    running.down()
    assert list(running.aws.stacks) == ["sightline-base"]
    assert running.kept() == []


@pytest.mark.parametrize("code", ["ChangeSetNotFound", "InvalidChangeSetStatus"])
def test_two_runs_at_once_are_told_apart(running: Session, code: str) -> None:
    change = stacks.propose("sightline-ecs", "Resources: {}", {"Name": "x"}, running.aws, running.aws.wait)
    assert change is not None

    def taken(**request: Any) -> dict[str, Any]:
        raise refusal("ExecuteChangeSet", code)

    running.aws.cloudformation_execute_change_set = taken  # type: ignore[method-assign]
    with pytest.raises(Refused, match="sightline-ecs: another run took the place of this change: run the same command"):
        stacks.execute(change, running.aws, running.said.append, running.aws.wait)


def test_a_no_leaves_alone_what_another_run_has_made_meanwhile(session: Session) -> None:
    mine = stacks.propose("sightline-ecs", "Resources: {}", {"Name": "mine"}, session.aws, session.aws.wait)
    theirs = stacks.propose("sightline-ecs", "Resources: {}", {"Name": "theirs"}, session.aws, session.aws.wait)
    assert mine is not None
    assert theirs is not None
    stacks.execute(theirs, session.aws, session.said.append, session.aws.wait)
    stacks.discard(mine, session.aws)
    assert session.service.status == "CREATE_COMPLETE"
    assert "delete_stack" not in session.operations()


@pytest.mark.parametrize("interruption", [Refused("nobody can be asked here"), KeyboardInterrupt()])
def test_a_question_that_is_not_answered_leaves_no_change_set(session: Session, interruption: BaseException) -> None:
    def ask(question: str, wanted: str) -> bool:
        raise interruption

    session.ask = ask  # type: ignore[method-assign]
    with pytest.raises(type(interruption)):
        session.up("a")
    assert session.aws.stacks == {}


@pytest.mark.parametrize("name", ["sightline-base", "sightline-network", "sightline-ecs"])
@pytest.mark.parametrize("verb", ["plan", "up"])
def test_a_stack_of_somebody_else_is_never_changed(session: Session, name: str, verb: str) -> None:
    theirs = Stack("UPDATE_COMPLETE", "theirs", description="The shop's database")
    session.aws.stacks[name] = theirs
    with pytest.raises(
        Refused, match=rf"^There is a stack {name} that is not Sightline's \(The shop's database\): it was"
    ):
        getattr(session, verb)()
    assert (theirs.status, theirs.template) == ("UPDATE_COMPLETE", "theirs")


@pytest.mark.parametrize("state", ["UPDATE_IN_PROGRESS", "UPDATE_ROLLBACK_FAILED", "ROLLBACK_COMPLETE"])
def test_a_stack_of_somebody_else_is_neither_waited_for_nor_mended(session: Session, state: str) -> None:
    session.aws.stacks["sightline-network"] = Stack(state, description="The shop's")
    with pytest.raises(Refused, match="There is a stack sightline-network that is not Sightline's"):
        session.up()
    assert not any("Remove it?" in question or "Try now?" in question for question in session.asked)
    assert session.aws.stacks["sightline-network"].status == state
    assert session.aws.waited_s == 5  # for the base


def test_without_a_description_a_stack_is_known_by_its_parameters() -> None:
    aws = FakeAws()

    def described(StackName: str) -> dict[str, Any]:
        name = [{"ParameterKey": "Name", "ParameterValue": "sightline"}] if StackName == "ours" else []
        return {"Stacks": [{"StackStatus": "CREATE_COMPLETE", "Parameters": name}]}

    aws.cloudformation_describe_stacks = described  # type: ignore[method-assign]
    stacks.refuse_anothers("ours", aws)
    with pytest.raises(Refused, match=r"a stack theirs that is not Sightline's \(without a description\)"):
        stacks.refuse_anothers("theirs", aws)


def test_down_leaves_a_network_that_is_called_as_its_own_would_be(session: Session) -> None:
    session.aws.stacks["sightline-network"] = Stack("CREATE_COMPLETE", "theirs", description="Of the shop")
    subnets = ["subnet-0a1b2c3d", "subnet-0a1b2c3e"]
    given = {"vpc_id": "vpc-0a1b2c3d", "load_balancer_subnets": subnets, "task_subnets": subnets}
    session.up(ecs=given)
    session.down()
    assert sorted(session.aws.stacks) == ["sightline-base", "sightline-network"]
    assert [request["StackName"] for request in session.sent("delete_stack")] == ["sightline-ecs"]


def test_down_removes_service_and_network_and_says_what_stays(running: Session) -> None:
    running.down()
    assert list(running.aws.stacks) == ["sightline-base"]
    assert f"What stays: the bucket sightline-{ACCOUNT}-eu-central-1 and the images in " in "\n".join(running.said)


def test_a_stack_that_can_not_be_removed_says_why_and_down_can_be_run_again(running: Session) -> None:
    kept = [event("TaskGroup", "DELETE_FAILED", "resource sg-1 has a dependent object (Service: Ec2)")]
    running.aws.courses["sightline-ecs"] = [course("DELETE_IN_PROGRESS", ("DELETE_FAILED", kept))]
    for _ in range(2):
        try:
            running.down()
        except StackFailed as failure:
            running.said.append(str(failure))
    assert (
        "sightline-ecs could not be removed and is DELETE_FAILED."
        " The cause: TaskGroup: resource sg-1 has a dependent object. Something"
        " still uses it or lies in it; a network interface goes after some minutes. Run the same command again, and"
        " remove by hand what stays."
    ) in running.said
    assert list(running.aws.stacks) == ["sightline-base"]


def test_down_asks_with_region_and_account(running: Session) -> None:
    running.down()
    assert running.asked == [
        f"This ends the service sightline in eu-central-1, account {ACCOUNT}, and removes its load balancer and log."
    ]


def test_down_where_nothing_is_says_so_and_not_that_it_is_gone(session: Session) -> None:
    session.down()
    assert session.said == ["There is no service sightline in eu-central-1."]


def test_a_price_list_that_can_not_be_read_ends_neither_plan_nor_down(running: Session) -> None:
    running.aws.refused["get_products"] = ("UnrecognizedClientException", "The security token is invalid.")
    running.plan()
    running.down()
    unread = "  The price list can't be read (UnrecognizedClientException). No figure."
    assert running.said[-2:] == [
        unread,
        "They go only by hand, in the console: first empty both, then delete the stack and what it retained.",
    ]
    assert running.said.count(unread) == 2


def test_alarms_of_another_deployment_whose_name_begins_alike_are_nobodys_business(running: Session) -> None:
    running.aws.ringing = ["sightline-staging-errors", "sightline-endpoint-latency"]
    running.update("b")
    running.status()
    assert not any("Go on all the same" in question for question in running.asked)
    assert "Alarms: none." in running.said


def test_the_alarms_that_are_asked_for_are_those_of_the_template() -> None:
    named = re.findall(r'AlarmName: !Sub "\$\{Name\}-(\w+)"', stacks.template("service"))
    assert named == list(fargate.ALARMS)


def test_down_does_nothing_without_the_name(running: Session) -> None:
    running.answers = False
    with pytest.raises(Refused, match=r"^Nothing was removed\.$"):
        running.down()
    assert len(running.aws.stacks) == 3


def test_a_network_that_is_there_gets_no_stack(session: Session) -> None:
    keys = {
        "vpc_id": "vpc-0a1b2c3d",
        "load_balancer_subnets": ["subnet-0a1b2c3d", "subnet-0a1b2c3e"],
        "task_subnets": ["subnet-0a1b2c3f"],
    }
    session.up(ecs=keys)
    assert list(session.aws.stacks) == ["sightline-base", "sightline-ecs"]
    assert session.service.parameters["LoadBalancerSubnets"] == "subnet-0a1b2c3d,subnet-0a1b2c3e"
    assert session.service.parameters["AssignPublicIp"] == "DISABLED"


def test_readers_are_given_the_release_that_was_uploaded_and_a_writer_none(session: Session, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_bytes(b'{"files": {}}')
    session.up(release={"path": str(tmp_path)})
    given = session.service.parameters
    assert given["ReleaseBucket"] == f"sightline-{ACCOUNT}-eu-central-1"
    assert f"{given['ReleasePrefix']}/manifest.json" in session.aws.objects
    writer = {"mode": "writer", "users_secret_arn": SECRET}
    session.up(release={"path": str(tmp_path)}, ecs=writer)
    assert session.service.parameters["ReleaseBucket"] == ""


def test_the_endpoint_that_encodes_is_the_only_one_a_task_may_ask(session: Session) -> None:
    session.up(ecs={"model": "sagemaker:clip"})
    assert session.service.parameters["Endpoint"] == "clip"


def test_plan_executes_nothing_and_leaves_no_change_set(running: Session) -> None:
    before = {name: replace(stack) for name, stack in running.aws.stacks.items()}
    running.aws.images["b"] = "sha256:" + "b" * 64
    running.plan("b")
    assert running.aws.stacks == before
    assert running.said[:3] == [
        "sightline-base: nothing to change.",
        "sightline-network: nothing to change.",
        "sightline-ecs would:",
    ]
    assert running.said[3] == "  change Task (ECS::TaskDefinition), by a new one"


def test_plan_of_a_new_deployment_lists_what_would_be_made(session: Session) -> None:
    session.plan()
    assert session.aws.stacks == {}
    assert "sightline-base is not there and would be made, with:" in session.said
    assert "  Vpc (EC2::VPC)" in session.said
    assert "  Nat (EC2::NatGateway), where deploy.toml asks for it" in session.said
    assert "  Topic (SNS::Topic), where deploy.toml asks for it" in session.said
    assert "  Bucket (S3::Bucket)" in session.said
    assert "  Service (ECS::Service)" in session.said
    assert f"Image: sightline:0.1.0 would be pushed as {ACCOUNT}.dkr.ecr.eu-central-1.amazonaws.com/sightline:a." in (
        session.said
    )


def test_status_says_what_runs_and_how_it_is(running: Session) -> None:
    running.aws.ringing = ["sightline-cpu"]
    running.aws.targets = [{"State": "healthy"}, {"State": "unhealthy", "Reason": "Target.Timeout"}]
    running.status()
    assert running.said[2:] == [
        "sightline-ecs: CREATE_COMPLETE",
        f"Runs image {running.running[:19]}, no release.",
        "Tasks: 2 run, 2 are wanted, 0 start.",
        "Deployment PRIMARY: COMPLETED",
        "Load balancer: 1 healthy, 1 unhealthy.",
        "The load balancer finds a task unhealthy: Target.Timeout (Target.Timeout). The task runs, but /ping does not"
        " answer 200 in time: see `logs`; a large release needs a larger [ecs] start_grace_s.",
        "Alarms: sightline-cpu.",
        "Address: https://images.example.com (points to sightline-1.eu-central-1.elb.amazonaws.com)",
    ]
