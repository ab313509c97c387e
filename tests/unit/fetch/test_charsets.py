"""Pages in the encodings of the web, found out and read as browsers do."""

from __future__ import annotations

import codecs
import time
from typing import Any, get_args

import pytest
import webencodings

from service.fetch.decode import decode
from service.fetch.whatwg_codecs import decoded
from service.jobs.extraction.extract import Parser, Part, Request, extract

# Sentences of real documentation, in the encodings that such pages were and are written in.
# The first name is the standard's, the second that of a codec which writes it.
TEXTS = [
    ("utf-8", "utf-8", "Dokumentáció – 説明書 – документация"),  # noqa: RUF001
    ("utf-16le", "utf-16-le", "Документация Apache"),
    ("utf-16be", "utf-16-be", "Документация Apache"),
    ("shift_jis", "cp932", "Apache HTTP サーバ バージョン 2.4 ドキュメント ①㈱髙"),
    ("euc-jp", "euc_jp", "サーバのコンパイルとインストール"),
    ("iso-2022-jp", "iso2022_jp", "設定ファイルの書き方"),
    ("euc-kr", "cp949", "아파치 웹서버 설치와 실행 똠방각하"),
    ("gbk", "gbk", "配置文件的语法说明"),
    ("gb18030", "gb18030", "配置文件的语法说明 𠀀"),
    ("big5", "big5hkscs", "伺服器設定說明文件 嘅"),
    ("koi8-r", "koi8_r", "Компиляция и установка сервера"),
    ("koi8-u", "koi8_u", "Встановлення сервера: їжак"),
    ("windows-1251", "cp1251", "Настройка и запуск сервера"),
    ("iso-8859-5", "iso8859_5", "Настройка и запуск сервера"),
    ("ibm866", "cp866", "Настройка и запуск сервера"),
    ("windows-1252", "cp1252", "Größe – „Zitat“, 5 € für Überläufe"),  # noqa: RUF001
    ("iso-8859-2", "iso8859_2", "Zażółć gęślą jaźń: dokumentacja"),
    ("windows-1250", "cp1250", "Příručka – žluťoučký kůň"),  # noqa: RUF001
    ("windows-1253", "cp1253", "Τεκμηρίωση του διακομιστή"),
    ("iso-8859-7", "iso8859_7", "Τεκμηρίωση του διακομιστή"),
    ("windows-1254", "cp1254", "Yapılandırma dosyaları ve güvenlik ipuçları"),  # noqa: RUF001
    ("windows-1255", "cp1255", "תיעוד השרת"),
    ("iso-8859-8", "iso8859_8", "תיעוד השרת"),
    ("windows-1256", "cp1256", "توثيق الخادم"),
    ("windows-1257", "cp1257", "Diegimas ir paleidimas: ąčęėįšųūž"),
    ("windows-874", "cp874", "เอกสารประกอบ"),
    ("macintosh", "mac_roman", "Größe ∞ Œuvre"),
]
ASCII_LIKE = [text for text in TEXTS if not text[0].startswith("utf-16")]


def page(text: str, head: str = "") -> str:
    return f"<html><head>{head}<title>{text}</title></head><a href=x>{text}</a></html>"


def read(body: bytes, content_type: str | None, parser: Parser = "lexbor") -> tuple[str, str, str]:
    html, charset = decode(body, content_type)
    request = Request(get_args(Part), parser)
    result: Any = extract(html, "http://a.example/", request)
    return result["title"], result["links"][0]["text"], charset


@pytest.mark.parametrize("parser", get_args(Parser))
@pytest.mark.parametrize(("name", "codec", "text"), TEXTS, ids=lambda v: v if v.isascii() else "")
def test_a_page_is_read_by_the_headers_label(
    name: str, codec: str, text: str, parser: Parser
) -> None:
    body = page(text).encode(codec)
    assert read(body, f"text/html; charset={name.upper()}", parser) == (text, text, name)


@pytest.mark.parametrize(("name", "codec", "text"), ASCII_LIKE, ids=lambda v: v[:12])
def test_a_page_is_read_by_its_own_label(name: str, codec: str, text: str) -> None:
    for head in (
        f'<meta charset="{name}">',
        f'<meta http-equiv="Content-Type" content="text/html; charset={name}">',
        f"<META content='text/html;charset = {name};x' HTTP-EQUIV=content-type>",
    ):
        assert read(page(text, head).encode(codec), "text/html") == (text, text, name)


def test_every_label_of_the_standard_is_known() -> None:
    assert len(webencodings.LABELS) > 200
    for name in set(webencodings.LABELS.values()):
        assert isinstance(decoded(bytes(range(256)), name), str)


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("ascii", "windows-1252"), ("latin1", "windows-1252"), ("iso-8859-1", "windows-1252"),
        ("x-sjis", "shift_jis"), ("ks_c_5601-1987", "euc-kr"), ("gb2312", "gbk"),
        ("unicode-1-1-utf-8", "utf-8"), ("utf8", "utf-8"), (" UTF-8\t", "utf-8"),
        ("iso-8859-9", "windows-1254"), ("tis-620", "windows-874"), ("x-x-big5", "big5"),
        ("utf-16", "utf-16le"), ("unicode", "utf-16le"), ("x-user-defined", "x-user-defined"),
    ],
)  # fmt: skip
def test_labels_mean_what_they_mean_to_browsers(label: str, name: str) -> None:
    assert decode(b"x", f'text/html; charset="{label}"')[1] == name


def test_x_user_defined_keeps_bytes_apart_from_text() -> None:
    assert decoded(b"a\x80\xff", "x-user-defined") == "a\uf780\uf7ff"
    assert decode(b"<meta charset=x-user-defined>\x80")[1] == "windows-1252"


@pytest.mark.parametrize(
    "label", ["hz-gb-2312", "iso-2022-cn", "iso-2022-cn-ext", "iso-2022-kr", "replacement"]
)
def test_encodings_that_hide_markup_show_nothing(label: str) -> None:
    assert decode(b"<h1>x", f"text/html; charset={label}") == ("\ufffd", "replacement")
    assert decode(f"<meta charset={label}><h1>x".encode()) == ("\ufffd", "replacement")
    assert decode(b"", f"text/html; charset={label}") == ("", "replacement")


@pytest.mark.parametrize("label", ["utf-16", "utf-16le", "utf-16be", "unicode", "UCS-2"])
def test_a_meta_element_that_says_utf_16_means_utf_8(label: str) -> None:
    assert decode(f"<meta charset={label}>é".encode())[1] == "utf-8"


def test_bytes_that_an_encoding_leaves_out_are_controls_or_replaced() -> None:
    assert decoded(b"\x81\x8d", "windows-1252") == "\x81\x8d"
    assert decoded(b"\xff", "windows-1253") == "\ufffd"
    assert decoded(b"\xa1", "euc-jp") == "\ufffd"


def test_japanese_rows_that_windows_added_are_read_in_euc_jp() -> None:
    assert decoded(b"\xad\xa1\xad\xea\xfc\xe2\xb9\xe2", "euc-jp") == "①㈱髙高"
    assert decoded(b"\xa1\xc1\xa1\xdd", "euc-jp") == "\uff5e\uff0d"
    assert decoded(b"\xad\xa1\x80\xad", "euc-jp") == "①\ufffd\ufffd"


@pytest.mark.parametrize(
    "head",
    [
        "<meta name=x content='text/html; charset=koi8-r'>",
        "<meta http-equiv=refresh content='0; charset=koi8-r'>",
        "<meta http-equiv=content-type content='text/html'>",
        "<meta data-charset=koi8-r>",
        "<metadata charset=koi8-r>",
        "<!-- <meta charset=koi8-r> -->",
        "<a title='<meta charset=koi8-r>'>",
        "<? <meta charset=koi8-r ?>",
        "<!doctype <meta charset=koi8-r>",
        "</meta charset=koi8-r>",
        "<meta content='charset=koi8-r>",
        "<meta charset=punycode>",
        "<link charset=koi8-r>",
    ],
)
def test_what_only_looks_like_a_declaration_is_none(head: str) -> None:
    assert decode(head.encode())[1] == "utf-8"


@pytest.mark.parametrize(
    "head",
    [
        "<!--><meta charset=koi8-r>",
        "<!---><meta charset=koi8-r>",
        "<meta/charset='koi8-r'/>",
        "<meta\fcharset=koi8-r >",
        "<meta name=x charset=koi8-r>",
        "<meta charset=koi8-r charset=latin1>",
        "<script>if (a < b) c()</script><meta charset=koi8-r>",
        "< meta><meta charset=koi8-r>",
        "<p title=\">\" x='<'><meta charset=koi8-r>",
        "<meta http-equiv=CONTENT-TYPE content='charset charset=\"koi8-r\"'>",
        "<meta charset=nonsense><meta charset=koi8-r>",
        "<?xml version='1.0' encoding='koi8-r'?><html>",
        '<?xml version="1.0" encoding = "koi8-r" standalone="no"?>',
        "<?xml version='1.0' encoding='latin1'?><meta charset=koi8-r>",
    ],
)
def test_declarations_are_found_as_browsers_find_them(head: str) -> None:
    assert decode(head.encode())[1] == "koi8-r"


def test_bom_then_header_then_meta_then_utf_8() -> None:
    meta = b"<meta charset=koi8-r>"
    header = "text/html; charset=windows-1251"
    for bom, name in ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16le")):
        assert decode(bom + meta, header)[1] == name
    assert decode(meta, header)[1] == "windows-1251"
    assert decode(meta, "text/html; charset=nonsense")[1] == "koi8-r"
    assert decode(meta, "text/html")[1] == "koi8-r"
    assert decode(b"<p>", None)[1] == "utf-8"


def test_utf_16_without_a_bom_is_seen_by_its_xml_declaration() -> None:
    html = "<?xml version='1.0'?><title>é</title>"
    assert decode(html.encode("utf-16-le")) == (html, "utf-16le")
    assert decode(html.encode("utf-16-be")) == (html, "utf-16be")


def test_no_encoding_takes_long_to_read_the_worst() -> None:
    for name in sorted(set(webencodings.LABELS.values())):
        for piece in (b"\xff", b"\x8f\xa1", b"\xad\xa1\xff", b"\x1b$", b"<meta "):
            body = piece * (2**18 // len(piece))
            started = time.thread_time()
            decode(body, f"text/html; charset={name}")
            assert time.thread_time() - started < 1.0  # a quarter is usual for the worst
