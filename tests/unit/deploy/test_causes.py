"""The first cause is found among AWS's events and told with what to do."""

from typing import Any

import pytest

from deploy.causes import failures, remedy, targets, tasks
from tests.deploy_fakes import FakeAws, Stack, event

STACK = "AWS::CloudFormation::Stack"


def stack(aws: FakeAws, name: str, *events: dict[str, Any]) -> None:
    """`events`: in the order of time."""
    began = event(name, "UPDATE_IN_PROGRESS", "User Initiated", STACK, aws.arn(name))
    kept = [happened | {"EventId": str(n), "StackId": aws.arn(name)} for n, happened in enumerate([*events, began])]
    aws.stacks[name] = Stack("UPDATE_FAILED", events=[*reversed(kept[:-1]), kept[-1]])


def test_the_first_failure_comes_first_and_what_it_took_along_is_left_out() -> None:
    aws = FakeAws()
    stack(
        aws,
        "a",
        event("Second", "UPDATE_FAILED", "Resource update cancelled"),
        event("First", "UPDATE_FAILED", "Denied (Service: Ecs, Status Code: 403, Request ID: 1)"),
        event("Third", "UPDATE_FAILED", "Odd."),
    )
    assert failures("a", aws) == ["First: Denied.", "Third: Odd."]


def test_an_earlier_operations_failures_are_not_told_again() -> None:
    aws = FakeAws()
    stack(aws, "a", event("New", "UPDATE_FAILED", "Now"))
    old = event("Old", "UPDATE_FAILED", "Then") | {"EventId": "9", "StackId": aws.arn("a")}
    aws.stacks["a"].events.append(old)
    assert failures("a", aws) == ["New: Now."]


def test_the_cause_in_a_nested_stack_is_told_in_its_place() -> None:
    aws = FakeAws()
    stack(aws, "inner", event("Vpc", "CREATE_FAILED", "Resource limit exceeded"))
    stack(aws, "a", event("Inner", "CREATE_FAILED", "Embedded stack was not created", STACK, aws.arn("inner")))
    (cause,) = failures("a", aws)
    assert cause.startswith("Vpc: Resource limit exceeded. The account's quota is used up")


def test_a_nested_stack_without_a_cause_of_its_own_is_told_itself() -> None:
    aws = FakeAws()
    stack(aws, "inner")
    stack(aws, "a", event("Inner", "CREATE_FAILED", "Embedded stack was not created", STACK, aws.arn("inner")))
    assert failures("a", aws) == ["Inner: Embedded stack was not created."]


def test_tasks_that_scaling_or_people_stopped_are_no_cause() -> None:
    aws = FakeAws()
    aws.stopped = [
        {"stopCode": "ServiceSchedulerInitiated", "stoppedReason": "Scaling activity"},
        {"stopCode": "UserInitiated", "stoppedReason": "By hand"},
        {"stopCode": "TaskFailedToStart", "stoppedReason": "ResourceInitializationError: no route"},
        {"stopCode": "TaskFailedToStart", "stoppedReason": "ResourceInitializationError: no route"},
    ]
    (cause,) = tasks("cluster", "service", aws)
    assert cause.startswith("A task stopped: ResourceInitializationError: no route. The tasks reach no registry")


def test_a_service_that_was_never_made_has_no_tasks() -> None:
    assert tasks("cluster", "service", FakeAws()) == []


def test_a_cause_that_may_not_be_read_hides_nothing() -> None:
    aws = FakeAws()
    aws.stacks["sightline-ecs"] = Stack("CREATE_COMPLETE")
    aws.throttled.update({"list_tasks": 1, "describe_target_health": 1})
    assert tasks("cluster", "service", aws) == [
        "Why tasks stopped can't be read: AWS throttled list_tasks 8 times: run the same command again in a minute."
    ]
    (found,) = targets("arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/a/1", aws)
    assert found.startswith("What the load balancer finds can't be read: AWS throttled")


def test_healthy_and_starting_targets_are_no_cause() -> None:
    aws = FakeAws()
    aws.targets = [
        {"State": "healthy"},
        {"State": "initial", "Reason": "Elb.RegistrationInProgress"},
        {"State": "unhealthy", "Reason": "Target.ResponseCodeMismatch", "Description": "Health checks failed with 503"},
    ]
    (cause,) = targets("arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/a/1", aws)
    assert cause.startswith(
        "The load balancer finds a task unhealthy: Health checks failed with 503 (Target.ResponseCodeMismatch). The"
    )


@pytest.mark.parametrize(
    ("said", "start"),
    [
        ("CannotPullContainerError: pull image manifest: not found", " The image is not in the repository"),
        ("CannotPullContainerError: dial tcp: i/o timeout", " The tasks reach no registry"),
        (
            "CannotPullContainerError: image Manifest does not contain descriptor matching platform 'linux/amd64'",
            " The image is for another processor: build it with --platform linux/amd64",
        ),
        (
            "ResourceInitializationError: unable to pull secrets or registry auth: unable to retrieve secret from asm:"
            " AccessDeniedException: not authorized to perform: secretsmanager:GetSecretValue",
            " The users can't be read: [ecs] users_secret_arn",
        ),
        ("unable to pull secrets or registry auth: RequestError: i/o timeout", " The tasks reach no registry"),
        ("sightline-alb already exists", " Something of this name is left, from elsewhere or from an `up` that"),
        ("sightline-alarms already exists", " Something of this name is left, from elsewhere or from an `up` that"),
        ("validation failed: [AWS::EarlyValidation::ResourceExistenceCheck]", " Something of this name is left"),
        ("not authorized to perform: cloudwatch:PutMetricAlarm on alarm:a-errors", " The operator's rights don't"),
        ("not authorized to create the service linked role", " The operator's rights don't suffice"),
        ("Unable to assume the Service Linked Role", " AWS has just made a role"),
        ("CloudFormation cannot update a stack when a custom-named resource requires replacing", " AWS can't change"),
        ("vpc-1 has dependencies and cannot be deleted", " Something still uses it or lies in it"),
        ("The bucket you tried to delete is not empty", " Something still uses it or lies in it"),
        ("ECS Deployment Alarms were triggered", " An alarm went off"),
        ("User is not authorized to perform ecs:CreateCluster", " The operator's rights don't suffice"),
        ("The certificate must have a fully-qualified domain name", " The certificate must be ISSUED"),
        ("The CIDR '10.0.0.0/18' conflicts with another subnet", " The network collides"),
        ("Unable to assume the service linked role", " AWS has just made a role"),
        (
            "User: a is not authorized to perform: iam:CreateRole with an explicit deny in an identity-based policy",
            " A policy of whoever asked for it denies it: beside deploy/policies/boundary.json, [deploy] permissions_",
        ),
        (
            "unable to retrieve secret from asm: AccessDenied: because no permissions boundary allows the action",
            " A permissions boundary leaves it out",
        ),
        ("Something nobody has seen", ""),
    ],
)
def test_what_aws_says_has_a_remedy(said: str, start: str) -> None:
    assert remedy(said).startswith(start)
    assert bool(remedy(said)) == bool(start)


def test_an_event_of_what_was_never_made_has_no_name_of_its_own() -> None:
    aws = FakeAws()
    stack(aws, "a", event("Vpc", "CREATE_FAILED", "Odd."))
    for happened in aws.stacks["a"].events:
        if happened["LogicalResourceId"] == "Vpc":
            del happened["PhysicalResourceId"]
    assert failures("a", aws) == ["Vpc: Odd."]
