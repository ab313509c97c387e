"""libcurl's errors and HTTP statuses in the words of the service.

Details name bounds and hosts' behaviour, never a resolved address: it would map the
operator's network for whoever sends jobs. So libcurl's own messages are not passed on.
"""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import pycurl

from service.errors import JobFailed
from service.fetch.response import Head

MAX_RETRY_AFTER_S: Final = 6 * 3600.0

# curl's error: (our code, detail, may another attempt succeed)
_BY_CURL_ERROR: Final[dict[int, tuple[str, str, bool]]] = {
    pycurl.E_URL_MALFORMAT: ("bad_url", "the URL can't be fetched", False),
    pycurl.E_COULDNT_RESOLVE_HOST: ("dns_error", "the host name can't be resolved", True),
    pycurl.E_COULDNT_CONNECT: ("connect_error", "the connection failed", True),
    pycurl.E_SEND_ERROR: ("connect_error", "the connection broke while sending", True),
    pycurl.E_RECV_ERROR: ("bad_response", "the connection broke before the answer", True),
    pycurl.E_GOT_NOTHING: ("bad_response", "the server closed without an answer", True),
    pycurl.E_PARTIAL_FILE: ("truncated", "the content ended before its announced end", True),
    pycurl.E_UNSUPPORTED_PROTOCOL: ("bad_response", "the answer is not HTTP/1.0 or later", False),
    pycurl.E_FTP_WEIRD_SERVER_REPLY: ("bad_response", "the answer is not valid HTTP", False),
    pycurl.E_BAD_CONTENT_ENCODING: ("bad_response", "the content can't be decoded", False),
    pycurl.E_FILESIZE_EXCEEDED: ("too_large", "the content is too large", False),
    pycurl.E_SSL_CONNECT_ERROR: ("tls_error", "the TLS handshake failed", True),
    pycurl.E_PEER_FAILED_VERIFICATION: (
        "tls_error",
        "the server's certificate is not valid for it or not signed by a trusted authority",
        False,
    ),
    pycurl.E_SSL_CACERT_BADFILE: ("tls_error", "the trusted authorities can't be read", False),
    pycurl.E_SSL_CIPHER: ("tls_error", "no cipher in common", False),
}

_RETRYABLE_STATUS: Final = frozenset({408, 429})


def of_curl_error(number: int) -> JobFailed:
    """The failure for an error of libcurl's that no callback of ours has caused."""
    unknown = ("bad_response", f"the transfer failed (curl error {number})", True)
    code, detail, retryable = _BY_CURL_ERROR.get(number, unknown)
    return JobFailed(code, detail, retryable=retryable)


def of_status(head: Head) -> JobFailed:
    """The failure for a status other than 2xx."""
    status = head.status_code
    retryable = status in _RETRYABLE_STATUS or status >= 500
    return JobFailed(
        "http_status",
        f"the server answered {status}",
        retryable=retryable,
        retry_after_s=retry_after_s(head.get("retry-after")) if retryable else None,
        status_code=status,
    )


def retry_after_s(value: str | None) -> float | None:
    """Retry-After (RFC 9110 section 10.2.3) as seconds from now, 0 to 6 h; None if unreadable."""
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        return min(float(value[:10]), MAX_RETRY_AFTER_S)
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, min((moment - datetime.now(UTC)).total_seconds(), MAX_RETRY_AFTER_S))
