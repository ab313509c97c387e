"""What a server said."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Head:
    """Status of one response, and the fields that are used here; names in lower case, values as
    they came."""

    status_code: int
    fields: list[tuple[str, str]] = field(default_factory=list)

    def get(self, name: str) -> str | None:
        """The first value of a field."""
        return next((value for key, value in self.fields if key == name), None)

    def all(self, name: str) -> list[str]:
        """The members of a list-valued field, lower case (RFC 9110 section 5.6.1)."""
        values = ",".join(value for key, value in self.fields if key == name)
        return [member.strip().lower() for member in values.split(",") if member.strip()]

    @property
    def is_redirect(self) -> bool:
        """A redirect that can be followed: the status, and somewhere to go."""
        return self.status_code in (301, 302, 303, 307, 308) and self.get("location") is not None

    @property
    def is_success(self) -> bool:
        """2xx."""
        return 200 <= self.status_code < 300

    @property
    def content_length(self) -> int:
        """The announced length, 0 when there is none or it is not a number."""
        text = self.get("content-length") or ""
        return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0

    @property
    def media_type(self) -> str | None:
        """``text/html`` of ``Text/HTML; charset=x``; None when the server did not say."""
        essence = (self.get("content-type") or "").partition(";")[0].strip().lower()
        return essence or None


@dataclass(frozen=True, slots=True)
class Response:
    """A 2xx answer, its content decoded, and how it was reached.

    ``redirects`` are the URLs that redirected here, in order, without ``final_url``.
    ``wire_bytes`` is the size of the content before decoding.
    """

    final_url: str
    redirects: tuple[str, ...]
    head: Head
    body: bytes
    wire_bytes: int
