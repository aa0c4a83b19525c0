"""A model of IAM before a server: a proxy's rule that refuses what a policy does not allow, as S3 and SWF do.

moto knows neither ``s3:prefix`` nor that a missing object is a secret to who may not list. Modelled are ``Allow``
statements, wildcards in actions and resources, and the conditions that SECURITY.md has.
"""

import copy
import json
import re
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from servers import Answer, Request, Rule, error_answer

import asyncsteps

PAGE = Path(asyncsteps.__file__).parent.parent / "SECURITY.md"

Policy = dict[str, Any]


def policies(**names: str) -> dict[str, Policy]:
    """The policies of SECURITY.md by their headings, with the placeholders replaced."""
    found: dict[str, Policy] = {}
    for section in PAGE.read_text().partition("\n## Permissions, by feature\n")[2].split("\n### ")[1:]:
        heading, text = section.partition("\n")[0], section.partition("```json\n")[2].partition("```")[0]
        for placeholder, value in names.items():
            text = text.replace(placeholder, value)
        found[heading] = json.loads(text)
    return found


def _several(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def without_each(policy: Policy) -> Iterator[tuple[str, str, Policy]]:
    """Yield each action with its resource, and the policy that lacks it there."""
    for number, statement in enumerate(policy["Statement"]):
        for action in _several(statement["Action"]):
            less = copy.deepcopy(policy)
            left = [other for other in _several(statement["Action"]) if other != action]
            less["Statement"][number]["Action"] = left
            yield action, statement["Resource"], less


def allows(policy: Policy, action: str, resource: str, context: dict[str, str]) -> bool:
    """Whether a statement allows the action."""
    return any(
        any(fnmatchcase(action, each) for each in _several(statement["Action"]))
        and any(fnmatchcase(resource, each) for each in _several(statement["Resource"]))
        and _meets(statement.get("Condition", {}), context)
        for statement in policy["Statement"]
    )


def _meets(conditions: dict[str, dict[str, Any]], context: dict[str, str]) -> bool:
    for operator, keys in conditions.items():
        assert operator in {"StringLike", "StringLikeIfExists"}
        for key, patterns in keys.items():
            if key not in context:
                if operator == "StringLike":
                    return False
            elif not any(fnmatchcase(context[key], pattern) for pattern in _several(patterns)):
                return False
    return True


def s3_guard(policy: Policy, *, exists: Callable[[str, str], bool]) -> Rule:
    """Refuse what the policy does not allow, as S3 does.

    Args:
        policy: The policy.
        exists: Whether a bucket has a key.
    """

    def allowed(action: str, bucket: str, key: str | None = None, **context: str) -> bool:
        return allows(policy, action, f"arn:aws:s3:::{bucket}" + (f"/{key}" if key else ""), context)

    def rule(request: Request) -> Answer | None:
        bucket, _, key = request.path.lstrip("/").partition("/")
        denied = error_answer(403, "AccessDenied", "Access Denied")
        if not key and request.method == "POST":
            return _delete(request, lambda each: allowed("s3:DeleteObject", bucket, each))
        if not key:
            prefix = {"s3:prefix": request.query["prefix"]} if "prefix" in request.query else {}
            return None if allowed("s3:ListBucket", bucket, **prefix) else denied
        actions = {
            "GET": "s3:GetObject",
            "HEAD": "s3:GetObject",
            "PUT": "s3:PutObject",
            "DELETE": "s3:DeleteObject",
        }
        if not allowed(actions[request.method], bucket, key):
            return denied
        if request.method in {"GET", "HEAD"} and not exists(bucket, key) and not allowed("s3:ListBucket", bucket):
            return denied  # whether it is there is not told to who may not list
        return None

    return rule


def _delete(request: Request, may: Callable[[str], bool]) -> Answer | None:
    keys = re.findall(r"<Key>(.*?)</Key>", request.body.decode())
    if all(map(may, keys)):
        return None
    assert not any(map(may, keys)), "a policy by prefix allows all of a store's keys or none"
    errors = "".join(
        f"<Error><Key>{key}</Key><Code>AccessDenied</Code><Message>Access Denied</Message></Error>" for key in keys
    )
    return Answer(200, f"<DeleteResult>{errors}</DeleteResult>".encode(), {"Content-Type": "application/xml"})


def swf_guard(policy: Policy) -> Rule:
    """Refuse what the policy does not allow, as SWF does, in a message that names nothing."""

    def rule(request: Request) -> Answer | None:
        action = f"swf:{request.headers['x-amz-target'].partition('.')[2]}"
        asked = json.loads(request.body)
        domain = asked["domain"] if "domain" in asked else asked["name"]  # of DescribeDomain
        if allows(policy, action, f"arn:aws:swf:us-east-1:123456789012:/domain/{domain}", {}):
            return Answer(200) if action == "swf:RequestCancelWorkflowExecution" else None  # which moto lacks
        body = json.dumps(
            {"__type": "com.amazon.coral.service#AccessDeniedException", "Message": "not authorized"}
        )
        return Answer(400, body.encode(), {"Content-Type": "application/x-amz-json-1.0"})

    return rule
