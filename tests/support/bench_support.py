"""Clients of the bench's servers."""

from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from bench._targets import Target


def s3_client(target: Target) -> Any:
    config = Config(retries={"total_max_attempts": 1})
    return boto3.client(
        "s3",
        endpoint_url=target.place.endpoint_url,
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
        region_name="us-east-1",
        config=config,
    )


def refusal(error: ClientError) -> dict[str, Any]:
    """The status and the code of an error."""
    reply: Any = error.response
    return {"status": reply["ResponseMetadata"]["HTTPStatusCode"], "code": reply["Error"]["Code"]}
