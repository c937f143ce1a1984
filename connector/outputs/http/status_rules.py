"""``status`` rules of the http output: what an HTTP status means for a collector that differs from most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from connector.errors import DeliveryError, Hold, Refused, Retryable
from connector.model import Event
from connector.net.backoff import parse_retry_after
from connector.net.transport import Response
from connector.outputs.shared.answer_text import says

Action: TypeAlias = Literal["accept", "retry", "dead_letter", "hold"]
"""``dead_letter``: the batch is halved until the culprit is alone."""

Status = Annotated[str, StringConstraints(pattern="^([2-5][0-9]{2}|[2-5]xx)$")]
"""A status, or a class: ``4xx`` applies to statuses of that class without a rule of their own."""


class BodyRule(BaseModel):
    """A rule for responses whose body contains a text."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")

    body: str = Field(min_length=1, description="Text in the response's body, in any case.")
    action: Action = Field(description="What such a response means.")


Rule: TypeAlias = Action | BodyRule


def _reachable(rules: list[Rule]) -> list[Rule]:
    if any(isinstance(rule, str) for rule in rules[:-1]):
        raise ValueError("an action without body matches every response: the rule after it never applies")
    return rules


Rules: TypeAlias = Rule | Annotated[list[Rule], Field(min_length=1), AfterValidator(_reachable)]
"""What a status means: an action, a rule for the body, or a list of which the first match applies."""


def action_for(response: Response, rules: Mapping[str, Rules], sent: Sequence[Event]) -> Action | None:
    """What *rules* say of *response* to the events *sent*; ``None`` if no rule matches."""
    for status in (str(response.status), f"{response.status // 100}xx"):
        candidates = rules.get(status, [])
        for rule in candidates if isinstance(candidates, list) else [candidates]:
            if isinstance(rule, str):
                return rule
            if says(response.body, rule.body, sent):
                return rule.action
    return None


def accepts_by_body(rules: Mapping[str, Rules]) -> bool:
    """Whether a rule accepts responses by their body."""
    every = (rule for value in rules.values() for rule in (value if isinstance(value, list) else [value]))
    return any(isinstance(rule, BodyRule) and rule.action == "accept" for rule in every)


def error_of(action: Action, answer: Response, description: str, now: datetime) -> DeliveryError | None:
    """The error for *action*; ``None``: everything was accepted. *description*: the response in words."""
    if action == "retry":
        return Retryable(description, parse_retry_after(answer.headers.get("retry-after"), now))
    if action == "hold":
        return Hold(f"{description}; held by the `status` rule for {answer.status}")
    return Refused(description) if action == "dead_letter" else None
