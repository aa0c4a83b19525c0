"""Recognises the hosts of AWS and their regions, by the partitions that botocore knows."""

import functools
import re
from typing import Any

import botocore.loaders

from asyncsteps._errors import StoreURLError


def check_aws_host(host: str, *, bucket: str) -> str | None:
    """Check that the host of ``host/bucket`` belongs to AWS; return the region that it names, or None.

    ``s3.amazonaws.com``, ``s3-eu-west-1.amazonaws.com``, ``s3.dualstack.eu-west-1.amazonaws.com`` and
    ``s3.cn-north-1.amazonaws.com.cn`` do, for example; ``evilamazonaws.com`` does not.

    Raises:
        StoreURLError: When it does not. Another server is given as an explicit endpoint URL.
    """
    name = host.lower().rstrip(".")
    for suffix, _ in _partitions():
        if name.endswith(f".{suffix}"):
            return _region(name.removesuffix(f".{suffix}"))
    raise StoreURLError(
        f"{host!r} is no host of AWS; for another server pass its URL, such as endpoint_url='https://{host}', "
        f"beside the bare bucket name {bucket!r}"
    )


def _region(labels: str) -> str | None:
    for label in labels.split("."):
        for candidate in (label, re.sub(r"^s3(-fips)?(-website)?-", "", label)):
            if any(re.match(pattern, candidate) for _, pattern in _partitions()):
                return candidate
    return None


@functools.cache
def _partitions() -> tuple[tuple[str, str], ...]:
    """Return pairs of a DNS suffix and the pattern of its regions, longer suffixes first."""
    data: dict[str, Any] = botocore.loaders.Loader().load_data("partitions")
    pairs = {
        (partition["outputs"][kind], partition["regionRegex"])
        for partition in data["partitions"]
        for kind in ("dnsSuffix", "dualStackDnsSuffix")
    }
    return tuple(sorted(pairs, key=lambda pair: (-len(pair[0]), pair)))
