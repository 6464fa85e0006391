"""SageMaker, its alarms and its scaling, beside the stacks of the other fake; an endpoint goes through set courses."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.deploy_fakes import ACCOUNT, FakeAws, refusal

ROLE = f"arn:aws:iam::{ACCOUNT}:role/sightline-endpoint"
ENDPOINT = f"arn:aws:sagemaker:eu-central-1:{ACCOUNT}:endpoint/"
SCALED = f"arn:aws:application-autoscaling:eu-central-1:{ACCOUNT}:scalable-target/1"
Step = tuple[str, str]  # status and FailureReason; the configuration changes at an InService without a reason

MADE = [("Creating", ""), ("InService", "")]
SHIFTED = [("Updating", ""), ("InService", "")]
TAKEN_BACK = [
    ("Updating", ""),
    ("RollingBack", ""),
    ("InService", "One or more alarms went into ALARM state during the update."),
]


@dataclass
class Endpoint:
    """One that is on its way or at its end; `held` is None where there is none."""

    held: dict[str, Any] | None = None
    coming: list[Step] = field(default_factory=list)
    wanted: str = ""  # a configuration
    old_answers: list[dict[str, Any] | None] = field(default_factory=list)  # AWS gives these first

    def step(self) -> None:
        status, reason = self.coming.pop(0)
        if status == "gone":
            self.held = None
            return
        assert self.held is not None
        self.held["EndpointStatus"] = status
        self.held.pop("FailureReason", None)
        if reason:
            self.held["FailureReason"] = reason
        elif status == "InService":
            self.held["EndpointConfigName"] = self.wanted


def described(request: dict[str, Any]) -> dict[str, Any]:
    """What was made, as AWS tells it: of tags it says nothing."""
    return {key: value for key, value in request.items() if key != "Tags"}


class SagemakerAws(FakeAws):
    def __init__(self) -> None:
        super().__init__()
        self.models: dict[str, dict[str, Any]] = {}
        self.configs: dict[str, dict[str, Any]] = {}
        self.endpoints = {"sightline": Endpoint(), "sightline-trial": Endpoint()}
        self.endpoint_courses: list[Sequence[Step]] = []  # of the next operations; else they succeed
        self.trial_courses: list[Sequence[Step]] = []
        self.is_slow_to_tell = False  # the first answers are from before an operation
        self.refusals: dict[str, list[tuple[str, str]]] = {}  # operation → what its next calls are refused with
        self.alarms: dict[str, str] = {}  # name → state
        self.alarms_are_lost = False
        self.rings_at_roll_back = False
        self.scaled: dict[str, Any] | None = None
        self.jobs: list[dict[str, Any]] = []
        self.job_courses: list[Step] = []
        self.lines: list[str] = []
        for name, answer in {
            "register_scalable_target": self._register,
            "deregister_scalable_target": self._deregister,
            "put_scaling_policy": lambda **request: {},
            "tag_resource": lambda **request: {},
        }.items():
            setattr(self, f"application-autoscaling_{name}", answer)

    @property
    def endpoint(self) -> dict[str, Any] | None:
        return self.endpoints["sightline"].held

    @property
    def trial(self) -> dict[str, Any] | None:
        return self.endpoints["sightline-trial"].held

    def goes_through(self, *steps: Step) -> None:
        """What the deployment's endpoint does by itself."""
        self.endpoints["sightline"].coming = list(steps)

    def wait(self, seconds: float) -> None:
        super().wait(seconds)
        for one in self.endpoints.values():
            if one.coming:
                self._step_endpoint(one)

    def outputs(self, stack: str) -> dict[str, str]:
        return {"Role": ROLE} if stack.endswith("-sagemaker") else super().outputs(stack)

    def _begin_endpoint(self, name: str, config: str, otherwise: Sequence[Step]) -> None:
        one = self.endpoints[name]
        courses = self.trial_courses if name.endswith("-trial") else self.endpoint_courses
        one.wanted, one.coming = config, list(courses.pop(0) if courses else otherwise)
        self._step_endpoint(one)

    def _step_endpoint(self, one: Endpoint) -> None:
        one.step()
        if one.held and one.held["EndpointStatus"] == "RollingBack" and self.rings_at_roll_back:
            self.alarms[f"{one.wanted}-errors"] = "ALARM"

    def _refuse(self, operation: str) -> None:
        if self.refusals.get(operation):
            raise refusal(operation, *self.refusals[operation].pop(0))

    def sagemaker_create_model(self, **request: Any) -> dict[str, Any]:
        self._refuse("create_model")
        if request["ModelName"] in self.models:
            message = f'Cannot create already existing model "{request["ModelName"]}".'
            raise refusal("CreateModel", "ValidationException", message)
        self.models[request["ModelName"]] = request
        return {"ModelArn": ROLE}

    def sagemaker_describe_model(self, ModelName: str) -> dict[str, Any]:
        return described(self.models[ModelName])

    def sagemaker_delete_model(self, ModelName: str) -> dict[str, Any]:
        del self.models[ModelName]
        return {}

    def sagemaker_list_models(self, NameContains: str) -> dict[str, Any]:
        return {"Models": [{"ModelName": name} for name in sorted(self.models) if NameContains in name]}

    def sagemaker_create_endpoint_config(self, **request: Any) -> dict[str, Any]:
        name = request["EndpointConfigName"]
        if name in self.configs:
            message = f'Cannot create already existing endpoint configuration "{name}".'
            raise refusal("CreateEndpointConfig", "ValidationException", message)
        self.configs[name] = request
        return {"EndpointConfigArn": ROLE}

    def sagemaker_describe_endpoint_config(self, EndpointConfigName: str) -> dict[str, Any]:
        if EndpointConfigName not in self.configs:
            message = f'Could not find endpoint configuration "{EndpointConfigName}".'
            raise refusal("DescribeEndpointConfig", "ValidationException", message)
        return described(self.configs[EndpointConfigName])

    def sagemaker_delete_endpoint_config(self, EndpointConfigName: str) -> dict[str, Any]:
        used = [one.held["EndpointConfigName"] for one in self.endpoints.values() if one.held]
        assert EndpointConfigName not in used, "deleted a configuration in use"
        del self.configs[EndpointConfigName]
        return {}

    def sagemaker_list_endpoint_configs(self, NameContains: str) -> dict[str, Any]:
        found = [{"EndpointConfigName": name} for name in sorted(self.configs) if NameContains in name]
        return {"EndpointConfigs": found}

    def sagemaker_create_endpoint(self, **request: Any) -> dict[str, Any]:
        self._refuse("create_endpoint")
        name, config = request["EndpointName"], request["EndpointConfigName"]
        if self.endpoints[name].held is not None:
            raise refusal("CreateEndpoint", "ValidationException", f'Cannot create already existing endpoint "{name}".')
        assert config in self.configs
        self._answer_late(name)
        self.endpoints[name].held = {"EndpointName": name, "EndpointConfigName": config}
        self._begin_endpoint(name, config, MADE)
        return {"EndpointArn": ROLE}

    def sagemaker_update_endpoint(self, **request: Any) -> dict[str, Any]:
        self._refuse("update_endpoint")
        name = request["EndpointName"]
        held = self.endpoints[name].held
        assert held is not None
        if held["EndpointStatus"] not in ("InService", "UpdateRollbackFailed"):
            message = f'Cannot update endpoint "{name}" in {held["EndpointStatus"]} state.'
            raise refusal("UpdateEndpoint", "ValidationException", message)
        self._answer_late(name)
        self._begin_endpoint(name, request["EndpointConfigName"], SHIFTED)
        return {"EndpointArn": ROLE}

    def _answer_late(self, name: str) -> None:
        one = self.endpoints[name]
        one.old_answers = [one.held and dict(one.held)] * 3 if self.is_slow_to_tell else []

    def sagemaker_describe_endpoint(self, EndpointName: str) -> dict[str, Any]:
        one = self.endpoints[EndpointName]
        held = one.old_answers.pop() if one.old_answers else one.held
        if held is None:
            raise refusal("DescribeEndpoint", "ValidationException", f'Could not find endpoint "{EndpointName}".')
        count = {"CurrentInstanceCount": 1, "DesiredInstanceCount": 1, "VariantName": "AllTraffic"}
        return {**held, "EndpointArn": ENDPOINT + EndpointName, "ProductionVariants": [count]}

    def sagemaker_add_tags(self, ResourceArn: str, Tags: list[dict[str, str]]) -> dict[str, Any]:
        return {"Tags": Tags}

    def sagemaker_delete_endpoint(self, EndpointName: str) -> dict[str, Any]:
        held = self.endpoints[EndpointName].held
        assert held is not None
        if held["EndpointStatus"] in ("Creating", "Updating", "RollingBack"):
            raise refusal("DeleteEndpoint", "ValidationException", "Cannot delete an endpoint on its way.")
        self._answer_late(EndpointName)
        self._begin_endpoint(EndpointName, "", [("Deleting", ""), ("gone", "")])
        return {}

    def sagemaker_create_transform_job(self, **request: Any) -> dict[str, Any]:
        self.jobs.append(request)
        return {"TransformJobArn": ROLE}

    def sagemaker_list_transform_jobs(self, NameContains: str, StatusEquals: str) -> dict[str, Any]:
        status = self.job_courses[0][0] if self.job_courses else ""
        names = [job["TransformJobName"] for job in self.jobs if status == StatusEquals]
        return {"TransformJobSummaries": [{"TransformJobName": name} for name in names if NameContains in name]}

    def sagemaker_describe_transform_job(self, TransformJobName: str) -> dict[str, Any]:
        status, reason = self.job_courses.pop(0)
        (job,) = [job for job in self.jobs if job["TransformJobName"] == TransformJobName]
        return {**described(job), "TransformJobStatus": status, **({"FailureReason": reason} if reason else {})}

    def cloudwatch_put_metric_alarm(self, **request: Any) -> dict[str, Any]:
        if not self.alarms_are_lost:
            self.alarms.setdefault(request["AlarmName"], "INSUFFICIENT_DATA")
        return {}

    def cloudwatch_describe_alarms(
        self, AlarmNames: Sequence[str] = (), AlarmNamePrefix: str = "", StateValue: str = ""
    ) -> dict[str, Any]:
        found = [{"AlarmName": name, "StateValue": state} for name, state in self.alarms.items()]
        return {
            "MetricAlarms": [
                alarm
                for alarm in found
                if (not AlarmNames or alarm["AlarmName"] in AlarmNames)
                and alarm["AlarmName"].startswith(AlarmNamePrefix)
            ]
        }

    def cloudwatch_delete_alarms(self, AlarmNames: list[str]) -> dict[str, Any]:
        for name in AlarmNames:
            del self.alarms[name]
        return {}

    def _register(self, **request: Any) -> dict[str, Any]:
        self.scaled = request
        return {"ScalableTargetARN": SCALED}

    def _deregister(self, **request: Any) -> dict[str, Any]:
        if self.scaled is None:
            raise refusal("DeregisterScalableTarget", "ObjectNotFoundException", "No scalable target found")
        self.scaled = None
        return {}

    def logs_describe_log_streams(self, **request: Any) -> dict[str, Any]:
        return {"logStreams": [{"logStreamName": "AllTraffic/i-1"}] if self.lines else []}

    def logs_get_log_events(self, **request: Any) -> dict[str, Any]:
        return {"events": [{"message": line} for line in self.lines]}
