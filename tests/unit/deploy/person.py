"""One person at the command line, who says yes unless told otherwise, and what happens to them."""

from collections.abc import Callable
from types import ModuleType
from typing import Any, Generic, TypeVar

from deploy import history
from deploy.errors import SmokeFailed
from deploy.sections import Config
from tests.deploy_fakes import FakeAws, FakeEngine

A = TypeVar("A", bound=FakeAws)


class Person(Generic[A]):
    """`configured`: the deploy.toml of an image's tag, and of what else is put into it."""

    def __init__(self, target: ModuleType, aws: A, configured: Callable[..., Config]) -> None:
        self.target, self.aws, self.configured = target, aws, configured
        self.engine = FakeEngine(aws)
        self.said: list[str] = []
        self.asked: list[str] = []
        self.answers = True
        self.smokes: list[str] = []  # what the next smokes complain of; "" is none
        self.trials: list[str] = []  # the same of those before traffic shifts
        self.tried: list[str] = []  # where

    def ask(self, question: str, wanted: str) -> bool:
        self.asked.append(question)
        return self.answers

    def smoke(self, at: str = "") -> None:
        if at:
            self.tried.append(at)
        complaints = self.trials if at else self.smokes
        if complaints and (complaint := complaints.pop(0)):
            raise SmokeFailed(complaint)

    def changing(self, verb: str, config: Config) -> None:
        do = getattr(self.target, verb)
        do(config, self.aws, self.said.append, self.ask, wait=self.aws.wait, run=self.engine, smoke=self.smoke)

    def up(self, tag: str = "a", **more: Any) -> None:
        self.changing("up", self.configured(tag, **more))

    def update(self, tag: str, **more: Any) -> None:
        self.changing("update", self.configured(tag, **more))

    def is_interrupted(self, after_calls: int, verb: str, tag: str) -> bool:
        """Ctrl-C after so many calls of a verb, and the verb again; false where it ended before."""
        self.aws.interrupt_after_calls = after_calls
        try:
            self.changing(verb, self.configured(tag))
            return False
        except KeyboardInterrupt:
            self.changing(verb, self.configured(tag))
            return True
        finally:
            self.aws.interrupt_after_calls = None

    def rollback(self) -> None:
        self.changing("rollback", self.configured())

    def plan(self, tag: str = "a", **more: Any) -> None:
        self.target.plan(self.configured(tag, **more), self.aws, self.said.append, self.ask, wait=self.aws.wait)

    def status(self) -> None:
        self.target.status(self.configured(), self.aws, self.said.append, self.ask)

    def down(self) -> None:
        self.target.down(self.configured(), self.aws, self.said.append, self.ask, wait=self.aws.wait)

    def operations(self) -> list[str]:
        return [operation for operation, _ in self.aws.calls]

    def sent(self, operation: str) -> list[dict[str, Any]]:
        return [request for name, request in self.aws.calls if name == operation]

    def kept(self) -> list[dict[str, str]]:
        """The parameters of each deployment that was found good, newest last."""
        name = self.target.__name__.rpartition(".")[2]
        return [dict(entry.parameters) for entry in history.read("b", name, self.aws)]

    def forget(self) -> None:
        """What was said and called until now."""
        self.said.clear()
        self.asked.clear()
        self.aws.calls.clear()
