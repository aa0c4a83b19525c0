"""Keeps credentials that were put into a URL out of messages."""

import re

_USERINFO = re.compile(r"""//(?:[^\s"'/]*|[^\s"'/:@]+:(?!\d+/)[^\s"']*)@""")
_BARE = re.compile(r"""(?<![^\s"'(=])[^\s"'/:@()]+:[^\s"'@]+@(?=[\w.\[-])""")
"""User and password of a URL that has no scheme."""

_PARAMETER = re.compile(
    r"""(?i)([?&][^=&\s"']*(?:token|signature|credential|secret|password|accesskey)[^=&\s"']*=)[^&#\s"']+"""
)


def redacted(text: str) -> str:
    """Return ``text`` with ``***`` for users, passwords and credential parameters of the URLs in it."""
    return _PARAMETER.sub(r"\1***", _BARE.sub("***@", _USERINFO.sub("//***@", text)))


def redacted_url(url: str) -> str:
    """Like `redacted`, for a text that is one URL: all before its last ``@`` is taken for credentials.

    With or without a scheme: ``user:secret@host`` is a URL that was meant to have one.
    """
    return redacted(re.sub(r"^(.*?//)?.*@", r"\1***@", url, count=1, flags=re.DOTALL))


def endpoint_refusal(url: object) -> str | None:
    """Return why an endpoint cannot be used, or None when it can.

    With credentials in its URL no request could be signed, and every error of the libraries below would show them.
    """
    shown = redacted_url(str(url))
    if shown == str(url):
        return None
    return (
        f"the endpoint {shown!r} has credentials in its URL: leave them out and give AWS credentials "
        "by environment, profile or session"
    )


def has_credential_parameters(text: str) -> bool:
    """Whether ``text`` has a query with credentials, as presigned URLs do."""
    return _PARAMETER.search(text) is not None
