"""Replies of S3: whatever a server, or what lies before it, answers to each operation."""

from typing import Any
from xml.sax.saxutils import escape

import pytest
from fuzzing import examples, hostile_text, told_by
from hypothesis import example, given
from hypothesis import strategies as st
from stub_aws import Reply, stub_client

from asyncsteps import AccessDeniedError, StoreError, open_store

NEEDLE = "xPLANTEDx"
CODES = st.sampled_from(
    [
        *(
            "AccessDenied",
            "NoSuchKey",
            "NoSuchBucket",
            "SlowDown",
            "InternalError",
            "PermanentRedirect",
            "301",
            "",
        ),
        *("InvalidAccessKeyId", "ExpiredToken", "SignatureDoesNotMatch", "RequestTimeTooSkewed", "é", "\n", "{}"),
        *("PreconditionFailed", "NotImplemented", "ConditionalRequestConflict", "KMS.DisabledException"),
    ]
)
STATUSES = st.sampled_from([200, 204, 301, 307, 400, 403, 404, 409, 412, 416, 429, 500, 501, 503, 504, 599])
HEADERS = st.dictionaries(
    st.sampled_from(
        ["date", "x-amz-bucket-region", "content-type", "content-length", "location", "etag", "x-amz-id-2"]
    ),
    st.sampled_from(
        ["", "eu-west-1", "Thu, 01 Jan 1970 00:00:00 GMT", "99999", "-1", "http://evil/", '"e"', "é", "x"]
    ),
    max_size=3,
)


@st.composite
def error_bodies(draw: Any) -> bytes:
    code, message = draw(CODES), draw(hostile_text)
    text = "".join(char for char in message if char.isprintable())
    more = draw(
        st.sampled_from(
            [
                "",
                f"<AWSAccessKeyId>{NEEDLE}</AWSAccessKeyId><StringToSign>{NEEDLE}</StringToSign>",
                f"<Token-0>{NEEDLE}</Token-0>",
                "<Region>eu-west-1</Region>",
                "<Message>twice</Message>",
                "<Code><Code>nested</Code></Code>",
            ]
        )
    )
    return f"<Error><Code>{escape(code)}</Code><Message>{escape(text)}</Message>{more}</Error>".encode()


BODIES = st.one_of(
    error_bodies(),
    st.binary(max_size=30),
    st.sampled_from(
        [
            *(
                b"",
                b"<html>log in here</html>",
                b"<Error/>",
                b"<Error><Code/></Error>",
                b"<a>" * 2_000,
                b"{}",
                b"null",
            ),
            b"<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
            b"<ListBucketResult><IsTruncated>false</IsTruncated><Contents/></ListBucketResult>",
            b"<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Size>x</Size></Contents></ListBucketResult>",
            b"<ListBucketResult><IsTruncated>false</IsTruncated><CommonPrefixes/></ListBucketResult>",
            b"<DeleteResult><Error><Code>AccessDenied</Code></Error></DeleteResult>",
            b"<DeleteResult><Error/><Deleted/></DeleteResult>",
            b"<DeleteResult><Deleted><Key>b</Key></Deleted></DeleteResult>",
        ]
    ),
)
REPLIES = st.builds(Reply, STATUSES, BODIES, HEADERS)


async def _every_operation(client: Any) -> list[StoreError]:
    """Ask for all that a store does; return what it raised."""
    raised: list[StoreError] = []
    async with open_store("s3://bucket/steps", client=client, timeout=5) as store:
        for call in (
            store.list_done,
            lambda: store.list_done("a"),
            lambda: store.done_page("a"),
            lambda: store.is_done("a"),
            lambda: store.read_done("a"),
            lambda: store.mark_done("a", {}),
            lambda: store.mark_done("a", {}, first_wins=True),
            lambda: store.withdraw(["a", "b"]),
        ):
            try:
                await call()
            except StoreError as error:
                raised.append(error)
    return raised


@pytest.mark.usefixtures("no_pauses")
@examples(40)
@given(replies=st.lists(REPLIES, min_size=1, max_size=3))
@example(replies=[Reply(200, b"<DeleteResult><Error><Code>AccessDenied</Code></Error></DeleteResult>")])
@example(replies=[Reply(200, b"<DeleteResult><Error/><Deleted/></DeleteResult>", {"etag": "x"})])
@example(replies=[Reply(200, b"<ListBucketResult><IsTruncated>false</IsTruncated><Contents/></ListBucketResult>")])
async def test_any_reply_is_read_or_is_a_store_error(replies: list[Reply]) -> None:
    sent = 0

    def reply(_: Any) -> Reply:
        nonlocal sent
        sent += 1
        return replies[sent % len(replies)]

    async with stub_client("s3", reply) as client:
        for error in await _every_operation(client):
            assert str(error)
            assert NEEDLE not in f"{error} {error!r} {getattr(error, '__notes__', '')}"
            assert error.bucket == "bucket"


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Failed pages are asked for again, after pauses."""

    async def sleep(_: float) -> None:
        pass

    monkeypatch.setattr("asyncsteps.store._listing.fetching._LONGEST_BACKOFF", 0)
    for module in ("_s3.delete", "_s3.conditional_put"):
        monkeypatch.setattr(f"asyncsteps.store.{module}.sleep", sleep)


async def test_what_a_refusal_says_beside_its_message_is_not_told() -> None:
    """The access key, the text that was signed and the token stand in the body, and in botocore's own error."""
    body = f"<Error><Code>AccessDenied</Code><AWSAccessKeyId>{NEEDLE}</AWSAccessKeyId></Error>".encode()
    async with (
        stub_client("s3", lambda _: Reply(403, body)) as client,
        open_store("s3://b/p", client=client) as store,
    ):
        with pytest.raises(AccessDeniedError) as caught:
            await store.read_done("a")
    assert NEEDLE not in told_by(caught.value)
