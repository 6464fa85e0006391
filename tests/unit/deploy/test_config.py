"""deploy.toml is read whole, or refused with one sentence that names section, key, value and expected form."""

from pathlib import Path
from typing import Any

import pytest

from deploy.config import checked, read_config
from deploy.errors import BadConfig
from deploy.sections import Deploy, Ecs, Image

CERTIFICATE = "arn:aws:acm:eu-central-1:123456789012:certificate/11111111-2222-3333-4444-555555555555"
SECRET = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:sightline-users-AbCdEf"
SUBNETS = ["subnet-0a1b2c3d", "subnet-0a1b2c3e"]


def document(**sections: dict[str, Any]) -> dict[str, Any]:
    """A good file, with keys put over it."""
    good: dict[str, dict[str, Any]] = {
        "deploy": {"name": "sightline", "region": "eu-central-1"},
        "image": {"source": "sightline:0.1.0", "tag": "0.1.0-3f2c1d0"},
        "ecs": {"certificate_arn": CERTIFICATE, "domain": "images.example.com"},
    }
    return good | {name: good.get(name, {}) | keys for name, keys in sections.items()}


def test_a_small_file_gives_the_defaults() -> None:
    config = checked(document(), "ecs")
    assert config.deploy == Deploy(name="sightline", region="eu-central-1")
    assert config.image == Image(source="sightline:0.1.0", tag="0.1.0-3f2c1d0")
    assert config.ecs == Ecs(certificate_arn=CERTIFICATE, domain="images.example.com")
    assert (config.ecs.mode, config.ecs.min_tasks, config.ecs.task_subnets) == ("readers", 2, ())
    assert config.sagemaker is None


def test_a_boundary_may_be_one_of_awss_own_policies() -> None:
    keys = {"account": "123456789012", "permissions_boundary": "arn:aws:iam::aws:policy/PowerUserAccess"}
    assert checked(document(deploy=keys), "ecs").deploy.permissions_boundary.endswith("/PowerUserAccess")


def test_a_file_that_begins_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    file = tmp_path / "deploy.toml"
    file.write_bytes(b"\xef\xbb\xbf[deploy]\nname = 'aa'\nregion = 'eu-central-1'\n[space]\n")
    assert read_config(file, "space").deploy.name == "aa"


def test_a_list_becomes_a_tuple() -> None:
    keys = {"vpc_id": "vpc-0a1b2c3d", "load_balancer_subnets": SUBNETS, "task_subnets": SUBNETS}
    ecs = checked(document(ecs=keys), "ecs").ecs
    assert ecs is not None
    assert ecs.task_subnets == ("subnet-0a1b2c3d", "subnet-0a1b2c3e")


@pytest.mark.parametrize(
    ("section", "key", "value", "expected"),
    [
        ("deploy", "name", "Sightline", "expected 2 to 24 small letters, digits and hyphens, a letter first, and not"),
        ("deploy", "name", "a" * 25, "expected 2 to 24 small letters, digits and hyphens, a letter first, and not"),
        ("deploy", "name", "search-trial", "a letter first, and not -trial at the end."),  # an update of search ends it
        ("deploy", "name", "sthree-a", "expected 2 to 24 small letters, digits and hyphens, a letter first, and not"),
        ("deploy", "region", "Frankfurt", "expected a region such as eu-central-1."),
        ("deploy", "account", "12345", "expected the account's 12 digits."),
        ("deploy", "permissions_boundary", "teams", "expected the ARN of a policy in IAM."),
        ("image", "tag", "-x", "expected a tag that no other image has, such as 0.1.0-3f2c1d0."),
        ("image", "tag", "latest", "expected a tag that no other image has, because tags never move."),
        ("image", "engine", "podman", "expected one of auto, docker, buildah, skopeo."),
        ("release", "uri", "https://bucket/x", "expected s3://bucket/prefix of a release that is there already."),
        ("release", "path", "no/such", "expected a release that is there; `release build` makes one."),
        ("ecs", "certificate_arn", "certificate", "expected the ARN of a certificate in ACM."),
        ("ecs", "domain", "https://x.example", "expected the name that people type, such as images.example.com."),
        ("ecs", "mode", "both", "expected one of readers, writer."),
        ("ecs", "cpu", "2048", "expected a whole number from 256 to 16,384."),
        ("ecs", "cpu", True, "expected a whole number from 256 to 16,384."),
        ("ecs", "cpu", 3000, "expected one of 256, 512, 1024, 2048, 4096, 8192, 16384."),
        ("ecs", "disk_gb", 20, "expected a whole number from 21 to 200."),
        ("ecs", "stop_timeout_s", 121, "expected a whole number from 20 to 120."),
        ("ecs", "log_days", 31, "expected one of 1, 3, 5, 7, 14, 30, "),
        ("ecs", "task_subnets", "subnet-0a1b2c3d", "expected a list of subnets such as subnet-0a1b2c3d."),
        ("ecs", "task_subnets", ["subnet"], "expected a list of subnets such as subnet-0a1b2c3d."),
        ("ecs", "users_secret_arn", "sightline-users", "expected the ARN of a secret in Secrets Manager, with"),
        ("ecs", "origins", ["a.example/"], "expected a list of origins such as https://example.com."),
        ("ecs", "nat_gateway", 1, "expected true or false."),
        (
            "ecs",
            "vpc_cidr",
            "10.20.0.1/16",
            "expected an IPv4 network such as 10.20.0.0/16 (10.20.0.1/16 has host bits set).",
        ),
        ("ecs", "vpc_cidr", "127.0.0.0/16", "expected a private network from /16 to /24."),
        ("ecs", "vpc_cidr", "198.18.0.0/16", "expected a private network from /16 to /24."),
        ("ecs", "collection", "a\0b", "expected a collection's name."),
        ("space", "folder", "a\0b", "expected the folder to write."),
        (
            "ecs",
            "users_secret_arn",
            "arn:aws:secretsmanager:eu-central-1:123456789012:secret:users",
            "expected the ARN of a secret in Secrets Manager, with the hyphen and six characters at its end.",
        ),
        ("ecs", "vpc_cidr", "8.8.0.0/16", "expected a private network from /16 to /24."),
        ("ecs", "allowed_cidr", "300.0.0.0/8", "expected an IPv4 network such as 10.20.0.0/16 ("),
        ("alarms", "email", "oncall", "expected an address such as oncall@example.com."),
        ("alarms", "errors_percent", 0, "expected a number from 0.1 to 100.0."),
        ("sagemaker", "instance_type", "c7i.large", "expected an instance such as ml.c7i.large."),
        ("space", "sdk", "static", "expected one of gradio, docker."),
    ],
)
def test_a_wrong_value_is_named_with_its_form(section: str, key: str, value: object, expected: str) -> None:
    with pytest.raises(BadConfig) as refused:
        checked(document(**{section: {key: value}}), "ecs")
    assert str(refused.value).startswith(f"[{section}] {key} = {value!r}: ")
    assert expected in str(refused.value)


@pytest.mark.parametrize(
    ("sections", "sentence"),
    [
        ({"ecs": {"cpus": 1}}, "[ecs] cpus is not a key of this section; known are certificate_arn, domain, mode"),
        ({"esc": {}}, "[esc] is not a section of deploy.toml; known are deploy, image, release, tags, alarms, cost"),
        ({"image": {"digest": "sha256:" + "0" * 64}}, "[image] digest names an image that is there already"),
        ({"release": {"path": ".", "uri": "s3://bucket/releases/a"}}, "[release] path and uri are both there"),
        ({"ecs": {"memory_mb": 2048}}, "[ecs] memory_mb = 2048: expected one of 4096, 5120"),
        ({"deploy": {"region": "us-east-1"}}, "[ecs] certificate_arn is in eu-central-1: expected one in us-east-1"),
        (
            {"deploy": {"permissions_boundary": "arn:aws-us-gov:iam::123456789012:policy/teams"}},
            "[deploy] permissions_boundary = 'arn:aws-us-gov:iam::123456789012:policy/teams': expected arn:aws:…,",
        ),
        (
            {"deploy": {"account": "123456789012", "permissions_boundary": "arn:aws:iam::210987654321:policy/teams"}},
            "[deploy] permissions_boundary is of account 210987654321: expected one of 123456789012,",
        ),
        ({"ecs": {"mode": "writer"}}, "[ecs] users_secret_arn is missing: a writer needs users"),
        (
            {
                "deploy": {"region": "cn-north-1"},
                "ecs": {"certificate_arn": CERTIFICATE.replace("eu-central-1", "cn-north-1")},
            },
            "[ecs] certificate_arn = 'arn:aws:acm:cn-north-1:123456789012:certificate/11111111-2222-3333-4444-"
            "555555555555': expected arn:aws-cn:…, as in cn-north-1.",
        ),
        (
            {"ecs": {"mode": "writer", "users_secret_arn": SECRET, "stop_timeout_s": 54}},
            "[ecs] stop_timeout_s = 54: expected 55 or more for a writer, whose last copy has 30 seconds",
        ),
        ({"ecs": {"drain_s": 58}}, "[ecs] drain_s = 58: expected at least 5 seconds less than stop_timeout_s = 60"),
        ({"ecs": {"min_tasks": 9}}, "[ecs] min_tasks = 9: expected no more than max_tasks = 6"),
        ({"sagemaker": {"min_instances": 5}}, "[sagemaker] min_instances = 5: expected no more than max_instances = 4"),
        (
            {"ecs": {"internal": True}},
            "[ecs] internal = true: expected vpc_id, load_balancer_subnets and task_subnets of",
        ),
        ({"ecs": {"vpc_id": "vpc-0a1b2c3d"}}, "[ecs] vpc_id is there: expected vpc_id, load_balancer_subnets and"),
        (
            {
                "ecs": {
                    "vpc_id": "vpc-0a1b2c3d",
                    "load_balancer_subnets": ["subnet-0a1b2c3d"],
                    "task_subnets": ["subnet-0a1b2c3d"],
                }
            },
            "[ecs] load_balancer_subnets: expected at least two, in two availability zones.",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(sections: dict[str, dict[str, Any]], sentence: str) -> None:
    with pytest.raises(BadConfig) as refused:
        checked(document(**sections), "ecs")
    assert str(refused.value).startswith(sentence)


def test_a_value_without_end_is_cut_in_its_sentence() -> None:
    with pytest.raises(BadConfig, match=r"^\[ecs\] collection = 'x{99}…: expected a collection's name\.$"):
        checked(document(ecs={"collection": "x" * 100_000}), "ecs")


def test_a_release_whose_name_no_disk_can_hold_is_refused() -> None:
    with pytest.raises(BadConfig, match=r"can't be looked at: File name too long\.$"):
        checked(document(release={"path": "x" * 1_000}), "ecs")


def test_an_image_is_to_be_pushed_or_is_there() -> None:
    with pytest.raises(BadConfig, match=r"^\[image\] source and tag are missing: expected both, or the digest"):
        checked(document() | {"image": {"source": "sightline:0.1.0"}}, "ecs")


def test_the_target_needs_its_section() -> None:
    with pytest.raises(BadConfig, match=r"^\[sagemaker\] is missing: the target sagemaker needs this section; deploy/"):
        checked(document(), "sagemaker")


def test_a_key_without_a_default_must_be_there() -> None:
    with pytest.raises(BadConfig, match=r"^\[ecs\] domain is missing: expected the name that people type"):
        checked(document() | {"ecs": {"certificate_arn": CERTIFICATE}}, "ecs")


def test_a_space_needs_no_image() -> None:
    config = checked({"deploy": {"name": "sightline", "region": "eu-central-1"}, "space": {}}, "space")
    assert config.space is not None
    assert config.space.folder == "build/space"


def test_a_file_that_is_not_there_says_what_to_copy(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match=r"Copy deploy/deploy\.example\.toml to it"):
        read_config(tmp_path / "deploy.toml", "ecs")


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"[deploy]\nname = sightline\n", "is not TOML: Invalid value (at line 2, column 8). Mend it there; "),
        ("[deploy]\nname = 'Bürobilder'\n".encode("latin-1"), "is not UTF-8 text, first in line 2: save it as UTF-8."),
        (b"#" * (2**20 + 1), "has more than 1 MB, the limit: is it another file?"),
        (b"a = " + b"[" * 100_000, "is not TOML that is read here: its lists are nested too deep."),
    ],
)
def test_a_file_that_can_t_be_used_says_why_and_what_to_do(tmp_path: Path, data: bytes, sentence: str) -> None:
    (tmp_path / "deploy.toml").write_bytes(data)
    with pytest.raises(BadConfig) as refused:
        read_config(tmp_path / "deploy.toml", "ecs")
    assert str(refused.value).startswith(f"{tmp_path / 'deploy.toml'} {sentence}")


def test_what_is_no_file_that_may_be_read_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "file").write_text("")
    told = {}
    for name in ("folder", "loop", "file/deploy.toml", "dangling"):
        with pytest.raises(BadConfig) as refused:
            read_config(tmp_path / name, "ecs")
        told[name] = str(refused.value).replace(f"{tmp_path}/", "")
    assert told == {
        "folder": "folder is a folder: name the file in it with --config folder/deploy.toml.",
        "loop": "loop can't be read, too many levels of symbolic links: give this user the right to, or name another.",
        "file/deploy.toml": "There is no file/deploy.toml. Copy deploy/deploy.example.toml to it and fill it in.",
        "dangling": "There is no dangling. Copy deploy/deploy.example.toml to it and fill it in.",
    }


OTHERS_CERTIFICATE = CERTIFICATE.replace("123456789012", "999999999999")


@pytest.mark.parametrize(
    ("sections", "sentence"),
    [
        (
            {"deploy": {"account": "123456789012"}, "ecs": {"certificate_arn": OTHERS_CERTIFICATE}},
            "[ecs] certificate_arn is of account 999999999999: expected one of 123456789012, as [deploy] account says.",
        ),
        (
            {"ecs": {"users_secret_arn": SECRET.replace("eu-central-1", "eu-west-1")}},
            "[ecs] users_secret_arn is in eu-west-1: expected one in eu-central-1, where the tasks are.",
        ),
        (
            {"ecs": {"model": "sagemaker:*"}},
            "[ecs] model = 'sagemaker:*': expected the name of an endpoint after sagemaker:",
        ),
        (
            {"sagemaker": {"model": "sagemaker:clip"}},
            "[sagemaker] model = 'sagemaker:clip': expected a model, because an endpoint does not encode by another",
        ),
        ({"release": {"uri": "s3://bucket/*"}}, "[release] uri = 's3://bucket/*': expected s3://bucket/prefix"),
        ({"deploy": {"name": "internal-search"}}, "[deploy] name = 'internal-search': expected 2 to 24 small letters"),
        ({"deploy": {"region": "eu-centrl-1"}}, "[deploy] region = 'eu-centrl-1': AWS has no such region; expected"),
    ],
)
def test_what_aws_would_refuse_or_read_otherwise_is_refused(sections: dict[str, dict[str, Any]], sentence: str) -> None:
    with pytest.raises(BadConfig) as refused:
        checked(document(**sections), "ecs")
    assert str(refused.value).startswith(sentence)


def test_a_release_is_a_folder_with_a_manifest_or_an_archive(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no release")
    for path in (tmp_path, tmp_path / "notes.txt"):
        with pytest.raises(BadConfig, match="expected a folder with a manifest"):
            checked(document(release={"path": str(path)}), "ecs")
