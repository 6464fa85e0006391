"""An AWS of a few hundred lines: stacks, a service, a repository and a bucket that go through the courses a test sets.

Every request and every answer is checked against botocore's own model of the operation; time passes only when `wait`
is called.
"""

import hashlib
import io
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import botocore.session
from botocore import xform_name
from botocore.exceptions import ClientError
from botocore.validate import ParamValidator

ACCOUNT, REGION = "123456789012", "eu-central-1"
Course = Sequence[tuple[str, Sequence[dict[str, Any]]]]  # a stack's status, and the events that come with it


def course(*steps: str | tuple[str, Sequence[dict[str, Any]]]) -> Course:
    return [(step, []) if isinstance(step, str) else step for step in steps]


def event(
    name: str, status: str, reason: str = "", kind: str = "AWS::ECS::Service", physical: str = ""
) -> dict[str, Any]:
    return {
        "LogicalResourceId": name,
        "ResourceStatus": status,
        "ResourceStatusReason": reason,
        "ResourceType": kind,
        "PhysicalResourceId": physical,
    }


def refusal(operation: str, code: str, message: str = "") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message or code}}, operation)


@dataclass
class Stack:
    status: str
    template: str = ""
    description: str = "Of Sightline"
    parameters: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)  # newest first, as AWS gives them
    coming: list[tuple[str, Sequence[dict[str, Any]]]] = field(default_factory=list)
    proposed: tuple[str, dict[str, str]] | None = None
    answer: dict[str, Any] = field(default_factory=dict)  # of describe_change_set


MADE = course("CREATE_IN_PROGRESS", "CREATE_COMPLETE")
CHANGED = course("UPDATE_IN_PROGRESS", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "UPDATE_COMPLETE")
REMOVED = course("DELETE_IN_PROGRESS", "DELETE_COMPLETE")


class FakeAws:
    def __init__(self) -> None:
        self.stacks: dict[str, Stack] = {}
        self.courses: dict[str, list[Course]] = {}  # by stack: what its next operations go through
        self.images: dict[str, str] = {}  # tag → digest
        self.objects: dict[str, bytes] = {}
        self.ringing: list[str] = []  # alarms
        self.services: list[Callable[[FakeAws], dict[str, Any]]] = []  # describe_services' next answers, the last stays
        self.stopped: list[dict[str, Any]] = []  # tasks
        self.targets: list[dict[str, Any]] = [{"State": "healthy"}]
        self.throttled: Counter[str] = Counter()  # operation → how many of its next calls are refused
        self.refused: dict[str, tuple[str, str]] = {}  # operation → code and message of its every call
        self.is_late = False  # what is asked for shows only after a while
        self.interrupt_after: int | None = None  # waits
        self.interrupt_after_calls: int | None = None
        self.prices: list[dict[str, Any]] = []
        self.log: list[dict[str, Any]] = []
        self.account = ACCOUNT
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.waited_s = 0.0
        self.revision = 0

    def __call__(self, service: str) -> "FakeClient":
        return FakeClient(self, service)

    def wait(self, seconds: float) -> None:
        """Time passes: every stack takes its next step."""
        self.waited_s += seconds
        if self.interrupt_after is not None:
            self.interrupt_after -= 1
            if self.interrupt_after < 0:
                self.interrupt_after = None
                raise KeyboardInterrupt
        for name, stack in list(self.stacks.items()):
            if stack.coming:
                self._step(name, stack)

    def interrupt(self) -> None:
        """Ctrl-C, once so many calls have come through."""
        if self.interrupt_after_calls is not None:
            self.interrupt_after_calls -= 1
            if self.interrupt_after_calls < 0:
                self.interrupt_after_calls = None
                raise KeyboardInterrupt

    def _step(self, name: str, stack: Stack) -> None:
        status, events = stack.coming.pop(0)
        for happened in events:
            self._happened(name, stack, happened)
        stack.status = status
        self._happened(name, stack, event(name, status, "", "AWS::CloudFormation::Stack", self.arn(name)))
        if status in ("CREATE_COMPLETE", "UPDATE_COMPLETE") and stack.proposed:
            stack.template, stack.parameters = stack.proposed
            stack.proposed = None
            self.revision += name.endswith("-ecs")
            stack.outputs = self.outputs(name)
        if status == "DELETE_COMPLETE":
            del self.stacks[name]

    def _happened(self, name: str, stack: Stack, happened: dict[str, Any]) -> None:
        more = {"EventId": str(len(stack.events)), "StackId": self.arn(name), "StackName": name}
        stack.events.insert(0, happened | more)

    def _begin(self, name: str, status: str, otherwise: Course) -> None:
        stack = self.stacks[name]
        began = event(name, status, "User Initiated", "AWS::CloudFormation::Stack", self.arn(name))
        if not self.is_late:
            self._happened(name, stack, began)
        mine = self.courses.get(name, [])
        stack.coming = list(mine.pop(0) if mine else otherwise)
        if not self.is_late:
            self._step(name, stack)

    def arn(self, stack: str) -> str:
        return f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/{stack}/1"

    def task_definition(self, revision: int | None = None) -> str:
        number = self.revision if revision is None else revision
        return f"arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition/sightline:{number}"

    def outputs(self, stack: str) -> dict[str, str]:
        if stack.endswith("-base"):
            return {
                "Repository": f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/sightline",
                "Bucket": f"sightline-{ACCOUNT}-{REGION}",
            }
        if stack.endswith("-network"):
            return {"VpcId": "vpc-1", "LoadBalancerSubnets": "subnet-1,subnet-2", "TaskSubnets": "subnet-3,subnet-4"}
        return {
            "Cluster": "sightline",
            "Service": "sightline",
            "TaskDefinition": self.task_definition(),
            "TargetGroup": f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:targetgroup/a/1",
            "Address": "sightline-1.eu-central-1.elb.amazonaws.com",
            "Log": "/sightline/sightline/ecs",
        }

    # CloudFormation

    def cloudformation_describe_stacks(self, StackName: str) -> dict[str, Any]:
        if StackName not in self.stacks:
            raise refusal("DescribeStacks", "ValidationError", f"Stack with id {StackName} does not exist")
        stack = self.stacks[StackName]
        return {
            "Stacks": [
                {
                    "StackStatus": stack.status,
                    "Description": stack.description,
                    "Outputs": [{"OutputKey": k, "OutputValue": v} for k, v in stack.outputs.items()],
                    "Parameters": [{"ParameterKey": k, "ParameterValue": v} for k, v in stack.parameters.items()],
                }
            ]
        }

    def cloudformation_create_change_set(self, **request: Any) -> dict[str, Any]:
        name, kind = request["StackName"], request["ChangeSetType"]
        if (kind == "CREATE") != (name not in self.stacks or self.stacks[name].status == "REVIEW_IN_PROGRESS"):
            raise refusal("CreateChangeSet", "ValidationError", f"{kind} of {name} is out of place")
        stack = self.stacks.setdefault(name, Stack("REVIEW_IN_PROGRESS"))
        if stack.answer:
            raise refusal("CreateChangeSet", "AlreadyExistsException")
        if stack.coming or (
            stack.status not in ("REVIEW_IN_PROGRESS", "CREATE_COMPLETE") and "UPDATE" not in stack.status
        ):
            raise refusal("CreateChangeSet", "ValidationError", f"{name} is in {stack.status} and can not be updated")
        wanted = (request["TemplateBody"], {p["ParameterKey"]: p["ParameterValue"] for p in request["Parameters"]})
        if wanted == (stack.template, stack.parameters):
            reason = (
                "The submitted information didn't contain changes. Submit different information to create a change set."
            )
            stack.answer = {"Status": "FAILED", "StatusReason": reason}
        else:
            change = {"Action": "Modify" if stack.template else "Add", "LogicalResourceId": "Task"}
            change |= {"ResourceType": "AWS::ECS::TaskDefinition", "Replacement": "True"}
            stack.answer = {"Status": "CREATE_COMPLETE", "Changes": [{"ResourceChange": change}]}
            stack.proposed = wanted
        return {"Id": f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:changeSet/{name}/{'0' * 32}"}

    def cloudformation_describe_change_set(self, ChangeSetName: str) -> dict[str, Any]:
        return self.stacks[ChangeSetName.split("/")[1]].answer

    def cloudformation_delete_change_set(self, ChangeSetName: str, StackName: str = "") -> dict[str, Any]:
        stack = self.stacks[StackName or ChangeSetName.split("/")[1]]
        stack.answer, stack.proposed = {}, None
        return {}

    def cloudformation_execute_change_set(self, ChangeSetName: str, ClientRequestToken: str) -> dict[str, Any]:
        name = ChangeSetName.split("/")[1]
        stack = self.stacks[name]
        assert stack.answer["Status"] == "CREATE_COMPLETE"
        stack.answer = {}
        is_new = stack.status == "REVIEW_IN_PROGRESS"
        self._begin(name, "CREATE_IN_PROGRESS" if is_new else "UPDATE_IN_PROGRESS", MADE if is_new else CHANGED)
        return {}

    def cloudformation_continue_update_rollback(self, StackName: str) -> dict[str, Any]:
        done = course("UPDATE_ROLLBACK_IN_PROGRESS", "UPDATE_ROLLBACK_COMPLETE")
        self._begin(StackName, "UPDATE_ROLLBACK_IN_PROGRESS", done)
        return {}

    def cloudformation_delete_stack(self, StackName: str) -> dict[str, Any]:
        if self.stacks[StackName].status == "REVIEW_IN_PROGRESS":
            del self.stacks[StackName]
        else:
            self._begin(StackName, "DELETE_IN_PROGRESS", REMOVED)
        return {}

    def cloudformation_describe_stack_events(self, StackName: str) -> dict[str, Any]:
        name = StackName.split("/")[1] if StackName.startswith("arn:") else StackName
        if name not in self.stacks:
            raise refusal("DescribeStackEvents", "ValidationError", f"Stack [{name}] does not exist")
        return {"StackEvents": self.stacks[name].events[:100]}

    # ECS and its load balancer

    def deployment(
        self, status: str, state: str, running: int, *, revision: int | None = None, reason: str = ""
    ) -> Any:
        return {
            "status": status,
            "rolloutState": state,
            "rolloutStateReason": reason,
            "runningCount": running,
            "desiredCount": 2,
            "taskDefinition": self.task_definition(revision),
        }

    def service(self, *deployments: Any, message: str = "") -> dict[str, Any]:
        running = sum(entry["runningCount"] for entry in deployments)
        counts = {"runningCount": running, "desiredCount": 2, "pendingCount": 0}
        return counts | {"deployments": list(deployments), "events": [{"message": message}] if message else []}

    def ecs_describe_services(self, cluster: str, services: list[str]) -> dict[str, Any]:
        if not self.services:
            return {"services": [self.service(self.deployment("PRIMARY", "COMPLETED", 2))]}
        answer = self.services.pop(0) if len(self.services) > 1 else self.services[0]
        return {"services": [answer(self)]}

    def ecs_list_tasks(self, cluster: str, serviceName: str, desiredStatus: str) -> dict[str, Any]:
        if not self.stopped and not any("-ecs" in name for name in self.stacks):
            raise refusal("ListTasks", "ClusterNotFoundException")
        return {"taskArns": [f"arn:aws:ecs:{REGION}:{ACCOUNT}:task/{n}" for n in range(len(self.stopped))]}

    def ecs_describe_tasks(self, cluster: str, tasks: list[str]) -> dict[str, Any]:
        return {"tasks": self.stopped}

    def elbv2_describe_target_health(self, TargetGroupArn: str) -> dict[str, Any]:
        return {"TargetHealthDescriptions": [{"TargetHealth": health} for health in self.targets]}

    # The rest

    def cloudwatch_describe_alarms(self, AlarmNames: list[str], StateValue: str) -> dict[str, Any]:
        return {"MetricAlarms": [{"AlarmName": name} for name in self.ringing if name in AlarmNames]}

    def sts_get_caller_identity(self) -> dict[str, Any]:
        return {"Account": self.account}

    def ecr_describe_images(self, repositoryName: str, imageIds: Any = ()) -> dict[str, Any]:
        if not any(name.endswith("-base") for name in self.stacks):
            raise refusal("DescribeImages", "RepositoryNotFoundException")
        wanted = [entry.get("imageDigest") or self.images.get(entry["imageTag"]) for entry in imageIds]
        if imageIds and wanted[0] not in self.images.values():
            raise refusal("DescribeImages", "ImageNotFoundException")
        return {"imageDetails": [{"imageDigest": d, "imageSizeInBytes": 10**9} for d in wanted or self.images.values()]}

    def ecr_get_authorization_token(self) -> dict[str, Any]:
        return {"authorizationData": [{"authorizationToken": "QVdTOnRva2Vu"}]}  # AWS:token

    def pricing_get_products(self, ServiceCode: str, FormatVersion: str, Filters: Any) -> dict[str, Any]:
        return {"PriceList": [json.dumps(offer) for offer in self.prices if offer["serviceCode"] == ServiceCode]}

    def logs_filter_log_events(self, logGroupName: str, startTime: int) -> dict[str, Any]:
        return {"events": [entry for entry in self.log if entry["timestamp"] >= startTime]}

    def s3_get_object(self, Bucket: str, Key: str) -> dict[str, Any]:
        if Key not in self.objects:
            raise refusal("GetObject", "NoSuchKey")
        return {"Body": io.BytesIO(self.objects[Key])}

    def s3_put_object(self, Bucket: str, Key: str, Body: bytes, ContentType: str) -> dict[str, Any]:
        self.objects[Key] = Body
        return {}

    def s3_list_objects_v2(self, Bucket: str, Prefix: str) -> dict[str, Any]:
        found = {key: data for key, data in self.objects.items() if key.startswith(Prefix)}
        return {"Contents": [{"Key": key, "Size": len(data)} for key, data in found.items()]}


class FakeClient:
    def __init__(self, aws: FakeAws, service: str) -> None:
        self._aws, self._service = aws, service

    def upload_file(self, path: str, bucket: str, key: str) -> None:
        self._aws.calls.append(("upload_file", {"Bucket": bucket, "Key": key}))
        self._aws.objects[key] = Path(path).read_bytes()

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        def call(**request: Any) -> Any:
            model = _operation(self._service, operation)
            _check(request, model.input_shape, is_whole=True)
            self._aws.calls.append((operation, request))
            if self._aws.throttled[operation]:
                self._aws.throttled[operation] -= 1
                raise refusal(operation, "ThrottlingException", "Rate exceeded")
            if operation in self._aws.refused:
                raise refusal(operation, *self._aws.refused[operation])
            answer = getattr(self._aws, f"{self._service}_{operation}")(**request)
            _check(answer, model.output_shape, is_whole=False)  # it has what deploy reads
            self._aws.interrupt()
            return answer

        return call


def _check(given: dict[str, Any], shape: Any, *, is_whole: bool) -> None:
    found = ParamValidator().validate(given, shape).generate_report().splitlines() if shape else []
    wrong = [line for line in found if is_whole or not line.startswith("Missing required parameter")]
    assert not wrong, wrong


@cache
def _operation(service: str, operation: str) -> Any:
    model = botocore.session.get_session().get_service_model(service)
    return next(model.operation_model(n) for n in model.operation_names if xform_name(n) == operation)


class FakeEngine:
    """docker: what was run and what was given to it; a push lands in the repository."""

    def __init__(self, aws: FakeAws, *, loses: bool = False) -> None:
        self.aws, self.loses = aws, loses
        self.ran: list[list[str]] = []
        self.given: list[str] = []

    def __call__(self, program: Sequence[str], given: str) -> str:
        self.ran.append(list(program))
        self.given.append(given)
        if program[:2] == ["docker", "push"] and not self.loses:
            tag = program[-1].rpartition(":")[2]
            self.aws.images[tag] = "sha256:" + hashlib.sha256(tag.encode()).hexdigest()
        return ""
