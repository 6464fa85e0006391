"""The image into the account's repository, by docker, buildah or skopeo; what runs is named by its digest."""

import base64
import re
from collections.abc import Callable, Sequence
from typing import Any

from botocore.exceptions import ClientError

from deploy.clients import code_of
from deploy.errors import Refused
from deploy.sections import Image

Run = Callable[[Sequence[str], str], str]


def publish(
    image: Image,
    repository: str,
    aws: Callable[[str], Any],
    say: Callable[[str], None],
    run: Run,
    *,
    processor: str = "amd64",
) -> str:
    """Repository, @ and digest; nothing is pushed where the tag is there already. Raises: Refused."""
    registry, name = repository.split("/", 1)
    if digest := find(image, name, aws):
        again = " already: nothing is pushed, and a new image needs a new tag" if image.tag else ""
        say(f"The image {image.tag or image.digest} is in the repository{again}.")
        return f"{repository}@{digest}"
    if image.digest:
        raise Refused(f"There is no image {image.digest} in {repository}: look at [image] digest, or push it first.")
    engine = choose(image.engine, run)
    _check_processor(engine, image.source, processor, run)
    _log_in(engine, registry, aws, run)
    say(f"Pushing {image.source} as {repository}:{image.tag} with {engine} …")
    for program in pushes(engine, image.source, f"{repository}:{image.tag}"):
        run(program, "")
    digest = find(image, name, aws)
    if not digest:
        raise Refused(f"{engine} pushed {repository}:{image.tag}, but the repository does not have it.")
    return f"{repository}@{digest}"


def find(image: Image, name: str, aws: Callable[[str], Any]) -> str:
    """Its digest in the repository; empty where it or the repository is not there."""
    wanted = {"imageDigest": image.digest} if image.digest else {"imageTag": image.tag}
    try:
        details = aws("ecr").describe_images(repositoryName=name, imageIds=[wanted])["imageDetails"]
    except ClientError as error:
        if code_of(error) in ("ImageNotFoundException", "RepositoryNotFoundException"):
            return ""
        raise
    return str(details[0]["imageDigest"])


def choose(engine: str, run: Run) -> str:
    """The first that answers; a docker command whose daemon is not there does not."""
    asked = {"docker": ["docker", "info"], "buildah": ["buildah", "--version"], "skopeo": ["skopeo", "--version"]}
    for name in asked if engine == "auto" else (engine,):
        try:
            run(asked[name], "")
        except Refused:
            continue
        return name
    raise Refused("Nothing here can push an image: install docker, buildah or skopeo, or name one in [image] engine.")


def _check_processor(engine: str, source: str, wanted: str, run: Run) -> None:
    """Before it takes a tag, which never moves. Raises: Refused."""
    asked = {
        "docker": ["docker", "image", "inspect", "--format", '"architecture":"{{.Architecture}}"', source],
        "buildah": [
            "buildah",
            "inspect",
            "--type",
            "image",
            "--format",
            '"architecture":"{{.OCIv1.Architecture}}"',
            source,
        ],
        "skopeo": ["skopeo", "inspect", "--config", f"containers-storage:{source}"],
    }
    found = re.search(r'"architecture":\s*"(\w+)"', run(asked[engine], ""))
    if found and found[1] != wanted:
        raise Refused(
            f"[image] source = {source!r} is made for {found[1]}, and what is to run it is {wanted}: build it again"
            f" with --platform linux/{wanted}."
        )


def pushes(engine: str, source: str, remote: str) -> list[list[str]]:
    if engine == "docker":
        return [["docker", "tag", source, remote], ["docker", "push", "--quiet", remote]]
    if engine == "buildah":
        return [["buildah", "push", "--quiet", "--format", "v2s2", source, f"docker://{remote}"]]
    return [["skopeo", "copy", "--quiet", "--format", "v2s2", f"containers-storage:{source}", f"docker://{remote}"]]


def _log_in(engine: str, registry: str, aws: Callable[[str], Any], run: Run) -> None:
    """The token goes through standard input: a command line is readable to everybody on the machine."""
    granted = aws("ecr").get_authorization_token()["authorizationData"][0]
    user, token = base64.b64decode(granted["authorizationToken"]).decode().split(":", 1)
    run([engine, "login", "--username", user, "--password-stdin", registry], token)
