"""Rights: each call that deploy makes and each that CloudFormation makes for it is allowed, and nothing more."""

import ast
import json
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import cfnlint
import pytest

from tests.unit.deploy.test_templates import ROOT, TEMPLATES, plain

POLICIES = sorted((ROOT / "deploy" / "policies").glob("*.json"))
DATA = Path(cfnlint.__file__).parent / "data"
ACTIONS = json.loads((DATA / "AdditionalSpecs/Policies.json").read_text(encoding="utf-8"))
TARGETS = {"ecs": ("base", "network", "balancer", "ecs"), "sagemaker": ("base", "sagemaker")}
MADE_BY = {"ecs": ("base", "network", "service"), "sagemaker": ("base", "sagemaker")}  # templates
OF_ONE_TARGET = {  # modules that only one target runs; the others are for both
    "ecs": ("ecs", "ecs_plan", "fargate", "causes"),
    "sagemaker": ("sagemaker", "sagemaker_plan", "endpoint", "guards", "trial", "batch", "asking"),
}
UNSCOPED = {  # what stands beside Resource "*", and why: AWS knows no narrower resource for it
    "ecr:GetAuthorizationToken": "a token is for the whole registry",
    "ec2:Describe": "listings",
    "elasticloadbalancing:Describe": "listings",
    "application-autoscaling:Describe": "listings",
    "logs:DescribeLogGroups": "a listing",
    "ecs:DescribeTaskDefinition": "revisions have no rights of their own",
    "ecs:DeregisterTaskDefinition": "revisions have no rights of their own",
    "pricing:GetProducts": "the price list is everybody's",
    "sagemaker:List": "listings",
    "cloudwatch:PutMetricData": "metrics have no names of their own; a condition names the space",
}
BESIDE_A_CALL = {  # what a call needs beside the action of its own name, by pages of docs.aws.amazon.com
    # CloudFormation's condition key cloudformation:CreateAction: it asks for these where a stack's tags change
    "cloudformation:CreateChangeSet": ["cloudformation:TagResource", "cloudformation:UntagResource"],
    "s3:PutObject": ["s3:AbortMultipartUpload"],  # upload_file, where it breaks off
    "sagemaker:CreateModel": ["iam:PassRole", "sagemaker:AddTags"],
    "cloudwatch:PutMetricAlarm": ["cloudwatch:TagResource"],
    # SageMaker, "Auto scaling prerequisites"
    "application-autoscaling:RegisterScalableTarget": [
        "sagemaker:UpdateEndpointWeightsAndCapacities",
        "iam:CreateServiceLinkedRole",
    ],
    # ECR, "Required IAM permissions for pushing an image": what docker does with the token
    "ecr:GetAuthorizationToken": [
        "ecr:BatchCheckLayerAvailability",
        "ecr:BatchGetImage",
        "ecr:CompleteLayerUpload",
        "ecr:GetDownloadUrlForLayer",
        "ecr:InitiateLayerUpload",
        "ecr:PutImage",
        "ecr:UploadLayerPart",
    ],
}
BESIDE_A_TEMPLATE = {  # what a template needs beside what its resources' handlers name
    "ec2:DescribeAvailabilityZones": "Fn::GetAZs",
    "ec2:DescribeAccountAttributes": "the load balancer asks it when it is made",
}
ARNS = {  # what is in the ARN of each kind of resource that can have tags
    "AWS::ApplicationAutoScaling::ScalableTarget": ":scalable-target/",
    "AWS::CloudWatch::Alarm": ":alarm:",
    "AWS::CloudWatch::Dashboard": ":dashboard/",
    "AWS::EC2::EIP": ":elastic-ip/",
    "AWS::EC2::InternetGateway": ":internet-gateway/",
    "AWS::EC2::NatGateway": ":natgateway/",
    "AWS::EC2::RouteTable": ":route-table/",
    "AWS::EC2::SecurityGroup": ":security-group/",
    "AWS::EC2::Subnet": ":subnet/",
    "AWS::EC2::VPC": ":vpc/",
    "AWS::EC2::VPCEndpoint": ":vpc-endpoint/",
    "AWS::ECR::Repository": ":repository/",
    "AWS::ECS::Cluster": ":cluster/",
    "AWS::ECS::Service": ":service/",
    "AWS::ECS::TaskDefinition": ":task-definition/",
    "AWS::ElasticLoadBalancingV2::Listener": ":listener/",
    "AWS::ElasticLoadBalancingV2::LoadBalancer": ":loadbalancer/",
    "AWS::ElasticLoadBalancingV2::TargetGroup": ":targetgroup/",
    "AWS::IAM::Role": ":role/",
    "AWS::Logs::LogGroup": ":log-group:",
    "AWS::S3::Bucket": ":s3:::",
    "AWS::SNS::Topic": ":sns:",
}
NOT_ASKED_FOR = (  # what a handler may need for properties that the templates leave alone
    r"(kms|lambda|firehose|cognito-idp|vpc-lattice|vpce|s3tables):.*",
    r"s3:.*(Acl|Abac|Accelerat|Analytics|CORS|Cors|Logging|Notification|ObjectLock|Website|Tiering|Inventory|Metrics).*",
    r"s3:.*(Metadata|Replication|ListAllMyBuckets|REST).*",
    r"(s3|ecr):Delete.*",  # the bucket and the repository are never removed, and neither is what is in them
    r"ecr:SetRepositoryPolicy",
    r"iam:.*(AttachRolePolicy|DetachRolePolicy|PermissionsBoundary|UpdateRole|User|Group).*",
    r"iam:UpdateRoleDescription",
    r"logs:.*(DataProtection|Index|ResourcePolic|LogDelivery|Kms|DeletionProtection|BearerToken).*",
    r"sns:.*DataProtection.*",
    r"ecs:.*(AccountSetting|CapacityProviders|UpdateCluster).*",
    r"ec2:.*(AddressTransfer|AssociateAddress|NatGatewayAddress|SubnetCidrBlock|VpnGateway|Tenancy|Encryption|Ipam).*",
    r"ec2:(DescribeInstances|DescribeNetworkAcls|UpdateSecurityGroupRuleDescriptionsEgress)",
    r"ec2:ReplaceRouteTableAssociation",
    r"elasticloadbalancing:Modify(CapacityReservation|IpPools)",
    r"application-autoscaling:.*ScheduledAction.*",
    r"cloudwatch:GetMetricData",
    r"\w+:List(Dashboards|Clusters|Services|TaskDefinitions|Roles|Topics)",  # asked for by nobody's name
)


def statements(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        if "Effect" in value and "Action" in value:
            yield value
        for entry in value.values():
            yield from statements(entry)
    elif isinstance(value, list):
        for entry in value:
            yield from statements(entry)


def actions(document: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each action that is allowed, with its statement."""
    for statement in statements(document):
        if statement["Effect"] == "Allow":
            named = statement["Action"]
            yield from ((action, statement) for action in ([named] if isinstance(named, str) else named))


def resources_of(statement: dict[str, Any]) -> list[str]:
    named = statement["Resource"]
    return [named] if isinstance(named, str) else named


def loaded(policy: Path) -> Any:
    return json.loads(policy.read_text(encoding="utf-8"))


GRANTED = list(actions([plain(path) for path in TEMPLATES] + [loaded(path) for path in POLICIES]))


def allowed(target: str) -> set[str]:
    return {action for path in POLICIES if path.stem in TARGETS[target] for action, _ in actions(loaded(path))}


def called(target: str) -> set[str]:
    """The actions behind every `aws("service").operation` that the target's modules have."""
    prefixes = {"elbv2": "elasticloadbalancing", "sagemaker-runtime": "sagemaker"}
    names = {"list_objects_v2": "s3:ListBucket", "upload_file": "s3:PutObject"}
    others = {name for other, names in OF_ONE_TARGET.items() if other != target for name in names}
    found = set()
    for module in sorted((ROOT / "deploy").glob("*.py")):
        for service, operation in calls(module) if module.stem not in others else ():
            camel = "".join(part.capitalize() for part in operation.split("_"))
            found.add(names.get(operation, f"{prefixes.get(service, service)}:{camel}"))
    return found - {"sts:GetCallerIdentity"}  # which needs no right


def calls(module: Path) -> Iterator[tuple[str, str]]:
    tree = ast.parse(module.read_text(encoding="utf-8"))
    opened = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "aws"]
    used = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.value in opened]
    assert len(opened) == len(used), f"{module.name} keeps a client under another name"
    for node in used:
        assert isinstance(node.value, ast.Call)
        (service,) = node.value.args
        yield ast.literal_eval(service), node.attr


@cache
def schemas(target: str) -> list[dict[str, Any]]:
    """Those of the templates' resources."""
    kinds = {
        resource["Type"]
        for name in MADE_BY[target]
        for resource in plain(ROOT / "deploy" / "templates" / f"{name}.yaml")["Resources"].values()
    }
    found = []
    for path in (DATA / "schemas" / "resources").glob("*.json"):
        text = path.read_text(encoding="utf-8")
        if any(f'"{kind}"' in text for kind in kinds) and (schema := json.loads(text))["typeName"] in kinds:
            kinds.discard(schema["typeName"])
            found.append(schema)
    assert not kinds, f"no schema of {kinds}"
    return found


def handled(target: str) -> set[str]:
    """What CloudFormation's handlers of the templates' resources may call."""
    handlers = [handler for schema in schemas(target) for handler in schema["handlers"].values()]
    return {action for handler in handlers for action in handler["permissions"]}


@pytest.mark.parametrize("action", sorted({action for action, _ in GRANTED}))
def test_an_action_is_named_in_full_and_known_to_aws(action: str) -> None:
    prefix, name = action.split(":")
    assert name.lower() in ACTIONS[prefix]["Actions"]


def test_every_resource_is_scoped_but_where_aws_can_not() -> None:
    unscoped = {action for action, statement in GRANTED if statement.get("Resource") == "*"}
    for action in unscoped:
        prefix, name = action.split(":")
        scopes = ACTIONS[prefix]["Actions"][name.lower()].get("Resources", [])
        assert set(scopes) <= {"dataset"}, f"{action} can be scoped"  # a dataset is not where AWS/SageMaker's are
        assert any(action.startswith(known) for known in UNSCOPED), f"{action} has no reason on the list"
    assert {known for known in UNSCOPED if not any(action.startswith(known) for action in unscoped)} == set()


@pytest.mark.parametrize("target", TARGETS)
def test_the_operator_may_make_every_call_that_deploy_makes(target: str) -> None:
    assert called(target) - allowed(target) == set()


@pytest.mark.parametrize("target", TARGETS)
def test_cloudformation_may_do_what_the_templates_ask_of_it(target: str) -> None:
    missing = handled(target) - allowed(target)
    assert {action for action in missing if not any(re.fullmatch(known, action) for known in NOT_ASKED_FOR)} == set()


@pytest.mark.parametrize("target", TARGETS)
def test_whatever_can_have_tags_may_be_given_them(target: str) -> None:
    granted = [
        (action, resource)
        for path in POLICIES
        if path.stem in TARGETS[target]
        for action, statement in actions(loaded(path))
        for resource in resources_of(statement)
    ]
    tagged = {schema["typeName"]: schema.get("tagging", {}) for schema in schemas(target)}
    tagged = {kind: how for kind, how in tagged.items() if how.get("taggable")}
    assert tagged.keys() <= ARNS.keys()
    for kind, how in tagged.items():
        needed = [action for action in how["permissions"] if re.search(r":(Tag|CreateTags|AddTags|Put\w*Tag)", action)]
        assert needed
        for action in needed:
            assert any(action == one and ARNS[kind] in resource for one, resource in granted), f"{kind}: {action}"


@pytest.mark.parametrize("target", TARGETS)
def test_the_operator_may_do_nothing_more(target: str) -> None:
    beside = {more for action in called(target) for more in BESIDE_A_CALL.get(action, [])}
    needed = {action.lower() for action in called(target) | beside | handled(target) | set(BESIDE_A_TEMPLATE)}
    assert {action for action in allowed(target) if action.lower() not in needed} == set()
    assert beside - allowed(target) == set()


def test_a_task_may_make_every_call_that_the_product_makes_and_nothing_more() -> None:
    names = {"list_objects_v2": "ListBucket", "head_object": "GetObject"}
    in_pieces = {"create_multipart_upload", "upload_part", "complete_multipart_upload", "abort_multipart_upload"}
    made = set()
    for service, path in (("s3", "store/s3.py"), ("sagemaker", "search/encoders/remote.py")):
        found = re.findall(r"self\._client\.(\w+)\(", (ROOT / path).read_text(encoding="utf-8"))
        for operation in set(found) - in_pieces:  # as a part of a collection is sent, which no task makes
            camel = "".join(part.capitalize() for part in operation.split("_"))
            made.add(f"{service}:{names.get(operation, camel)}")
    role = plain(ROOT / "deploy" / "templates" / "service.yaml")["Resources"]["TaskRole"]["Properties"]
    assert {action for action, _ in actions(role["Policies"])} == made
    assert [statement for _, statement in actions(role["Policies"]) if statement["Resource"] == "*"] == []


@pytest.mark.parametrize("policy", POLICIES, ids=lambda path: path.name)
def test_the_operators_resources_are_of_their_account_and_of_their_name(policy: Path) -> None:
    for statement in loaded(policy)["Statement"]:
        for resource in resources_of(statement):
            assert resource == "*" or "123456789012" in resource


@pytest.mark.parametrize("policy", POLICIES, ids=lambda path: path.name)
def test_a_policy_can_be_a_managed_one(policy: Path) -> None:
    text = re.sub(r"\s", "", policy.read_text(encoding="utf-8"))
    assert len(text) <= 6_144  # characters but white space; docs.aws.amazon.com, "IAM and AWS STS quotas"


def test_the_guides_command_makes_policies_of_another_deployment() -> None:
    guide = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8")
    (sed,) = re.findall(r"sed -e '[^']+'", guide)
    for policy in POLICIES:
        done = subprocess.run(f"{sed} {policy}", shell=True, capture_output=True, text=True, check=True)
        assert not re.search(r"sightline|123456789012|eu-central-1|arn:aws", done.stdout)
        assert json.loads(done.stdout)
    named = set(re.findall(r"`deploy/policies/(\w+)\.json`", guide))
    needed = {name for names in TARGETS.values() for name in names}
    assert named == {policy.stem for policy in POLICIES} == needed | {"boundary"}


def test_with_a_boundary_no_role_is_made_or_widened_without_it() -> None:
    within, stays, unchanged, gets = loaded(ROOT / "deploy" / "policies" / "boundary.json")["Statement"]
    roles, boundary = "arn:aws:iam::123456789012:role/sightline-*", "arn:aws:iam::123456789012:policy/boundary"
    assert [entry["Effect"] for entry in (within, stays, unchanged, gets)] == ["Deny", "Deny", "Deny", "Allow"]
    assert within["Condition"] == {"StringNotEquals": {"iam:PermissionsBoundary": boundary}}  # true where there is none
    widening = {action for action in allowed("ecs") | allowed("sagemaker") if re.match(r"iam:(Create|Put)Role", action)}
    assert widening == {"iam:CreateRole", "iam:PutRolePolicy"}
    assert widening < set(within["Action"])
    assert stays["Action"] == ["iam:DeleteRolePermissionsBoundary"]
    assert [entry["Resource"] for entry in (within, stays, unchanged, gets)] == [roles, roles, boundary, roles]
