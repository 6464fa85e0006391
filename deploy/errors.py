"""The errors of a deployment, each one sentence for the person who runs it."""


class DeployError(Exception):
    """What happened, to what, and what to do. Tree: BadConfig, Refused, Unfinished, StackFailed, SmokeFailed."""


class BadConfig(DeployError):
    """deploy.toml can't be used; names section, key, value and expected form."""


class Refused(DeployError):
    """AWS, a program or the person said no; nothing was changed by the call that was refused."""


class Unfinished(DeployError):
    """An operation goes on at AWS but was not waited for to its end; the same command waits on."""


class StackFailed(DeployError):
    """A stack or a deployment failed; says the first cause and a remedy."""


class SmokeFailed(DeployError):
    """The service runs, but does not answer as it should."""
