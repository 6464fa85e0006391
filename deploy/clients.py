"""AWS clients by service name, and what their errors mean in words."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from deploy import regions
from deploy.errors import DeployError, Refused
from deploy.sections import Deploy

CONNECT_TIMEOUT_S = 10
READ_TIMEOUT_S = 65  # InvokeEndpoint may take 60
ATTEMPTS = 8  # with botocore's own pauses: throttling of the control plane passes within a minute
# Each service has names of its own for the same refusal.
THROTTLED = (
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "TooManyRequestsException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "SlowDown",
)
DENIED = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError", "NotAuthorized")
# What bars an action whatever deploy/policies/ has, as AWS says it (a pattern) → what to do.
BARRED = (
    (
        r"service control policy|resource control policy",
        "The organisation's policy forbids it: ask who keeps that. Tags and a boundary, which it may demand, are [tags]"
        " and [deploy] permissions_boundary.",
    ),
    (
        r"explicit deny in an identity-based policy",
        "A policy of whoever asked for it denies it: beside deploy/policies/boundary.json, [deploy]"
        " permissions_boundary must be the ARN that stands in it.",
    ),
    (
        r"permissions boundary",
        "A permissions boundary leaves it out: ask who keeps that. [deploy] permissions_boundary bounds the roles that"
        " are made.",
    ),
)
EXPIRED = (
    "ExpiredToken",
    "ExpiredTokenException",
    "RequestExpired",
    "InvalidClientTokenId",
    "InvalidAccessKeyId",
    "UnrecognizedClientException",
    "AuthFailure",
    "InvalidSignatureException",
    "SignatureDoesNotMatch",
)
SKEWED = r"RequestTimeTooSkewed|RequestInTheFuture|Signature expired|Signature not yet current"
OF_THE_REGION = ("InvalidClientTokenId", "UnrecognizedClientException", "AuthFailure")  # where it is not enabled, too


def open_clients(deploy: Deploy) -> Callable[[str], Any]:
    """Clients are made when they are first asked for, of one session: a code of a second factor is asked for once.

    The price list answers in a few regions only.
    """

    @cache
    def session() -> Any:
        import boto3

        return boto3.session.Session()

    @cache
    def client(service: str) -> Any:
        from botocore.config import Config

        options = Config(
            retries={"mode": "standard", "max_attempts": ATTEMPTS},
            connect_timeout=CONNECT_TIMEOUT_S,
            read_timeout=READ_TIMEOUT_S,
            user_agent_extra="sightline-deploy",
        )
        region = regions.price_list(deploy.region) if service == "pricing" else deploy.region
        return session().client(service, region_name=region, config=options)

    return client


def check_account(deploy: Deploy, aws: Callable[[str], Any]) -> str:
    """The account that the credentials belong to. Raises: Refused, where deploy.toml names another."""
    account = str(aws("sts").get_caller_identity()["Account"])
    if deploy.account and account != deploy.account:
        raise Refused(
            f"The credentials belong to account {account}, and [deploy] account is {deploy.account}:"
            " choose the right profile with AWS_PROFILE."
        )
    return account


@contextmanager
def told() -> Iterator[None]:
    """Turns botocore's errors into sentences. Raises: Refused, DeployError."""
    from boto3.exceptions import Boto3Error
    from botocore import exceptions

    try:
        yield
    except exceptions.ProfileNotFound as error:
        raise Refused(f"{error}: look at AWS_PROFILE, or run `aws configure sso --profile NAME`.") from error
    except (exceptions.NoCredentialsError, exceptions.PartialCredentialsError) as error:
        raise Refused("No AWS credentials were found: run `aws configure sso`, or set AWS_PROFILE.") from error
    except (
        exceptions.SSOTokenLoadError,
        exceptions.UnauthorizedSSOTokenError,
        exceptions.TokenRetrievalError,
    ) as error:
        raise Refused("The sign-in has expired: run `aws sso login`.") from error
    except exceptions.ClientError as error:
        raise in_words(error) from error
    except (exceptions.EndpointConnectionError, exceptions.ConnectTimeoutError) as error:
        raise DeployError(
            f"AWS can't be reached: {error}. Look at the network and at [deploy] region; then run the same command"
            " again, which goes on where this one stopped."
        ) from error
    except (exceptions.BotoCoreError, Boto3Error) as error:
        if isinstance(error.__context__, exceptions.ClientError):  # upload_file hides what S3 said in a sentence
            raise in_words(error.__context__) from error
        raise DeployError(f"The call to AWS failed: {str(error).rstrip('.')}.") from error


def in_words(error: Any) -> DeployError:
    code, said = error.response["Error"].get("Code", ""), error.response["Error"].get("Message", "")
    operation = error.operation_name
    if re.search(SKEWED, f"{code} {said}"):
        return Refused(f"This machine's clock is wrong: set it, and run the same command again. AWS says: {said}")
    if code in EXPIRED:
        region = " A region that has to be enabled first refuses good ones, too." if code in OF_THE_REGION else ""
        return Refused(
            f"The credentials have expired or are not valid: run `aws sso login`, or renew them.{region} Then run the"
            " same command again, which goes on where this one stopped."
        )
    if code in DENIED:
        bars = (what for pattern, what in BARRED if re.search(pattern, said))
        what = next(bars, "deploy/policies/ has what each target needs.")
        return Refused(f"{operation} is not allowed: {said.rstrip('.')}. {what}")
    if code in THROTTLED:
        return DeployError(f"AWS throttled {operation} {ATTEMPTS} times: run the same command again in a minute.")
    hint = " Another run is under way: run the same command again, which waits for it." if _is_busy(said) else ""
    if re.search(r"LimitExceeded|QuotaExceeded", code):
        hint = " The account's quota is used up: ask for more under Service Quotas in the console, or remove something."
    return DeployError(f"{operation} failed: {said.rstrip('.')} ({code}).{hint}")


def _is_busy(said: str) -> bool:
    return bool(re.search(r"is in \w+_IN_PROGRESS state|in-progress endpoint", said))


def code_of(error: Any) -> str:
    return str(error.response["Error"].get("Code", ""))


def each(call: Callable[..., Any], key: str, **request: Any) -> Iterator[Any]:
    """The entries under `key` of every page of an answer."""
    tokens = (("NextToken", "NextToken"), ("nextToken", "nextToken"), ("NextContinuationToken", "ContinuationToken"))
    while True:
        page = call(**request)
        yield from page.get(key, [])
        more = {asked: page[told] for told, asked in tokens if page.get(told)}
        if not more:
            return
        request |= more
