"""Pages of a listing: read as botocore reads them, or left to it; never another list of names."""

from collections import Counter
from typing import Any

from fuzzing import examples
from hypothesis import example, given
from hypothesis import strategies as st
from page_check import HEAD, TAIL, WHOLE, check, fast, seen

texts = st.sampled_from(
    [
        *(
            b"a",
            b"b.c",
            b"a%20b",
            b"a+b",
            b"%",
            b"%4",
            b"%C3%A9",
            b"%FF",
            b"%00",
            b"%0A",
            b"&amp;",
            b"&lt;Key&gt;",
        ),
        *(
            b"&#65;",
            b"&#x41;",
            b"&#0;",
            b"&#xD800;",
            b"&bogus;",
            b"&",
            "é".encode(),
            b"\xff",
            b"\x01",
            b"\r\n",
            b" a ",
        ),
        *(b"", b"<", b"]]>", b"=", b"=41", b"_", b"'\"", b"&#13;", b"&#10;", b"\t", b"&amp;#65;", b"&#1114112;"),
    ]
)
lines = st.lists(texts, max_size=3).map(b"".join)


@st.composite
def element(draw: Any, name: bytes, text: st.SearchStrategy[bytes] = lines) -> bytes:
    """An element in one of the many ways to write it."""
    inner = draw(text)
    form = draw(st.integers(0, 20))
    odd = {
        0: b"<%b/>" % name,
        1: b"<%b >%b</%b >" % (name, inner, name),
        2: b"<%b a='b'>%b</%b>" % (name, inner, name),
        3: b"<%b><![CDATA[%b]]></%b>" % (name, inner, name),
        4: b"<%b><!-- x -->%b</%b>" % (name, inner, name),
        5: b"<!-- <%b>%b</%b> -->" % (name, inner, name),
        6: b"<%b>%b<?pi <%b>x</%b> ?></%b>" % (name, inner, name, name, name),
        7: b"<x:%b xmlns:x='y'>%b</x:%b>" % (name, inner, name),
        8: b"<![CDATA[<%b>%b</%b>]]>" % (name, inner, name),
        9: b"<%b><%b>%b</%b></%b>" % (name, name, inner, name, name),
        10: b"<a b='<%b>c</%b>'/>" % (name, name),
    }
    return bytes(odd.get(form, b"<%b>%b</%b>" % (name, inner, name)))


numbers = st.integers(0, 4).map(lambda number: b"%d" % number)
booleans = st.sampled_from([b"true", b"false", b"True", b"1", b"", b" true"])


@st.composite
def pages(draw: Any) -> bytes:
    """A page of elements in any order, whose count is often that of the keys."""
    parts: list[bytes] = []
    for _ in range(draw(st.integers(0, 3))):
        inner = draw(
            st.lists(element(b"Key") | element(b"Size", numbers) | element(b"Owner"), min_size=1, max_size=2)
        )
        parts.append(b"<Contents>" + b"".join(inner) + b"</Contents>")
    prefixes = draw(st.lists(element(b"Prefix"), max_size=1))
    parts += (b"<CommonPrefixes>" + prefix + b"</CommonPrefixes>" for prefix in prefixes)
    parts += draw(st.lists(element(b"Key") | element(b"Contents") | element(b"Prefix"), max_size=1))
    count = Counter(tag for part in parts for tag in (b"<Key", b"<CommonPrefixes") if tag in part)
    number = draw(st.just(b"%d" % sum(count.values())) | numbers)
    parts += draw(
        st.just([b"<KeyCount>%b</KeyCount>" % number]) | st.lists(element(b"KeyCount", numbers), max_size=2)
    )
    parts += draw(
        st.just([b"<IsTruncated>false</IsTruncated>"]) | st.lists(element(b"IsTruncated", booleans), max_size=2)
    )
    parts += draw(st.lists(element(b"NextContinuationToken"), max_size=1))
    parts += draw(
        st.just([b"<EncodingType>url</EncodingType>"])
        | st.lists(element(b"EncodingType", st.sampled_from([b"url", b"URL", b""])), max_size=2)
    )
    head = draw(
        st.just(HEAD) | st.sampled_from([b"<ListBucketResult>", b"\xef\xbb\xbf" + HEAD, b" \n" + HEAD[39:]])
    )
    return bytes(head + b"".join(draw(st.permutations(parts))) + TAIL)


@st.composite
def damaged(draw: Any) -> bytes:
    """A page in which something is cut out, doubled, moved or replaced."""
    body = WHOLE
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(body)))
        end = draw(st.integers(start, min(len(body), start + 60)))
        patch = draw(
            st.sampled_from([b"", body[start:end] * 2, b"<!--", b"-->", b"</Key>", b"<Key>", b"\0", b"<", b"&"])
        )
        body = body[:start] + patch + body[end:]
    return body


@examples(300)
@given(pages())
@example(HEAD + b"<KeyCount>1</KeyCount><IsTruncated>false</IsTruncated><!-- <Key>b</Key> -->" + TAIL)
@example(HEAD + b"<IsTruncated>false</IsTruncated><KeyCount>1</KeyCount><a b='<Key>c</Key>'/>" + TAIL)
@example(HEAD + b"<KeyCount>1</KeyCount><IsTruncated>false</IsTruncated><Owner><Key>b</Key></Owner>" + TAIL)
@example(HEAD + b"<KeyCount>0</KeyCount><IsTruncated>false</IsTruncated><Contents/>" + TAIL)
@example(WHOLE.replace(b"a%20b", b"&#xD800;"))
def test_a_page_is_read_as_botocore_reads_it_or_left_to_it(body: bytes) -> None:
    check(body)


@examples(200)
@given(damaged() | st.binary(max_size=60))
def test_a_damaged_page_is_never_another_page(body: bytes) -> None:
    check(body)


def test_the_whole_page_is_read_fast() -> None:
    read = fast(WHOLE)
    assert read is not None
    assert seen(read) == (["a b", "c"], [], True, "t")
    check(WHOLE)
