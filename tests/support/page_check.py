"""The differential check of pages: the fast parser against botocore's own reading."""

import functools
from typing import Any
from xml.parsers import expat

from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError
from botocore.session import Session

from asyncsteps.store._s3 import page_parser

HEAD = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
)
TAIL = b"</ListBucketResult>"
WHOLE = (
    HEAD
    + b"<KeyCount>2</KeyCount><IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>"
    + b"<EncodingType>url</EncodingType><Contents><Key>a%20b</Key><Size>1</Size></Contents>"
    + b"<Contents><Key>c</Key></Contents>"
    + TAIL
)


class Stock:
    """botocore's own reading of a page, through a real client whose requests go nowhere."""

    def __init__(self) -> None:
        self.body = b""
        session = Session()
        session.set_credentials("testing", "testing")
        config = Config(retries={"total_max_attempts": 1})
        self.client: Any = session.create_client("s3", region_name="us-east-1", config=config)
        self.client.meta.events.register("before-send.s3.ListObjectsV2", self._reply)

    def _reply(self, request: Any, **_: Any) -> Any:
        headers: Any = {"content-type": "application/xml"}
        response: Any = AWSResponse(request.url, 200, headers, None)
        response._content = self.body
        return response

    def read(self, body: bytes) -> dict[str, Any] | None:
        """The page, or None when botocore refuses it."""
        self.body = body
        try:
            page: dict[str, Any] = self.client.list_objects_v2(Bucket="b")
        except (ResponseParserError, ClientError, BotoCoreError, ValueError, KeyError, TypeError):
            return None
        return page


@functools.cache
def stock() -> Stock:
    return Stock()


def fast(body: bytes) -> dict[str, Any] | None:
    """The page as the fast parser reads it, or None when it is left to botocore."""
    response: dict[str, Any] = {"status_code": 200, "body": body}
    page: dict[str, Any] = {}
    page_parser._parse_fast(response_dict=response, customized_response_dict=page)
    assert (response["body"] != body) == bool(page)
    return page or None


def is_xml(body: bytes) -> bool:
    try:
        expat.ParserCreate().Parse(body, True)
    except expat.ExpatError:
        return False
    return True


def seen(page: dict[str, Any]) -> tuple[Any, ...]:
    """What the store takes from a page."""
    return (
        page_parser.keys_of(page.get("Contents", ())),
        [entry["Prefix"] for entry in page.get("CommonPrefixes", ())],
        bool(page.get("IsTruncated")),
        (page.get("NextContinuationToken") or None) if page.get("IsTruncated") else None,
    )


def check(body: bytes) -> None:
    read = fast(body)
    if read is None:
        return
    if not is_xml(body):  # damaged, and yet with all that it counts: what it says is what is taken
        assert len(read.get("Contents", ())) == body.count(b"<Key>")
        return
    expected = stock().read(body)
    assert expected is not None, "botocore refuses the page"
    assert seen(read) == seen(expected)
