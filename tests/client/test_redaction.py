"""Secrets are redacted in any encoding in which a server repeats them, in linear time."""

import html
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oneloop._redaction import REDACTED, SHORTEST_SECRET, Redactor
from oneloop_core import Secret
from tests.stepping import steps

SECRETS = [
    "sk_live_4711_abcdef",
    "sk/A+b\"c'&<é😀_4711",
    "sk/%41xyz&amp;q",
    "sk\\x41\\u0041z",
    "ключ_от_квартиры",
    "İstanbul_ß_1234",
    "AAAAAAAAAAAA",
]


def no_change(text: str) -> str:
    """Return a text unchanged."""
    return text


def html_decimal(text: str) -> str:
    """Encode each character as a decimal HTML character reference."""
    return "".join(f"&#{ord(one)};" for one in text)


def html_hexadecimal(text: str) -> str:
    """Encode each character as a hexadecimal HTML character reference."""
    return "".join(f"&#x{ord(one):x};" for one in text)


def javascript(text: str) -> str:
    """Encode each character as a code point escape of newer JavaScript."""
    return "".join(f"\\u{{{ord(one):X}}}" for one in text)


def slashes(text: str) -> str:
    """Encode as JSON with escaped slashes, as PHP does."""
    return json.dumps(text).replace("/", "\\/")


def json_hexadecimal(text: str) -> str:
    """Escape what is special in HTML by capital hexadecimal digits, as JSON of .NET does."""
    for one in "+&<>'":
        text = text.replace(one, f"\\u{ord(one):04X}")
    return text


def octal(text: str) -> str:
    """Encode each byte as an octal escape, as C does."""
    return "".join(f"\\{byte:o}" for byte in text.encode())


def escape_of_javascript(text: str) -> str:
    """Encode each UTF-16 code unit as JavaScript's old `escape` does."""
    units = text.encode("utf-16-be")
    pairs = zip(units[::2], units[1::2], strict=True)
    return "".join(f"%u{high:02X}{low:02X}" for high, low in pairs)


def quoted_printable(text: str) -> str:
    """Encode each byte as quoted-printable, as emails do."""
    return "".join(f"={byte:02X}" for byte in text.encode())


SPELLINGS: list[Callable[[str], str]] = [
    no_change,
    str.lower,
    str.upper,
    quote_plus,
    lambda text: quote(text, safe=""),
    lambda text: quote(text, safe="").lower(),
    json.dumps,
    lambda text: json.dumps(text, ensure_ascii=False),
    slashes,
    json_hexadecimal,
    html.escape,
    html_decimal,
    html_hexadecimal,
    javascript,
    octal,
    escape_of_javascript,
    quoted_printable,
    repr,
    lambda text: repr(text.encode()),
    lambda text: text.encode().decode("latin-1"),
    lambda text: json.dumps(json.dumps(text)),
    lambda text: html.escape(json.dumps(quote(text, safe=""))),
    lambda text: quote(html.escape(json.dumps(text)), safe=""),
]
"""Encodings that servers may use for what they repeat, some of them combined."""


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("spell", SPELLINGS)
def test_a_secret_is_found_in_every_spelling(secret: str, spell: Callable[[str], str]) -> None:
    """A secret is redacted completely in each encoding, and the text around it stays."""
    if spell in (str.lower, str.upper) and len(spell(secret)) != len(secret):
        pytest.skip("in other letter case it has another length, which is not looked for")
    said = f"<b>no such key: {spell(secret)} (see 100% of the docs)"
    found = Redactor([Secret(secret)]).clean(said, 1000)
    assert found.startswith("<b>no such key: ")
    assert found.endswith(" (see 100% of the docs)")
    assert found.count(REDACTED) == 1
    assert len(found) <= len(said.replace(spell(secret), REDACTED)) + 24  # quotes, at most


@given(st.text(min_size=SHORTEST_SECRET, max_size=30), st.text(), st.text())
def test_a_secret_as_it_is_never_stays(secret: str, before: str, after: str) -> None:
    """An unencoded secret is always redacted, even next to what looks like an escape."""
    clean = Redactor([Secret(secret)]).clean
    assert secret not in clean(before + secret + after, 10_000).replace(REDACTED, "\0")


@given(st.text(min_size=SHORTEST_SECRET, max_size=20), st.lists(st.sampled_from(SPELLINGS[6:8])))
def test_layers_of_json_are_undone(secret: str, layers: list[Callable[[str], str]]) -> None:
    """A secret is found under up to three layers of JSON encoding."""
    secret = secret.replace("\\", "/").replace("&", "+").replace("%", "+")
    said = secret
    for layer in layers[:3]:
        said = layer(said)
    assert REDACTED in Redactor([Secret(secret)]).clean(said, 100_000)


@pytest.mark.parametrize(
    ("secret", "said"),
    [
        ("ABcd/efgh+ijklmnop==", "?key=ABcd%2Fefgh%2Bijklmnop%3D%3D"),
        ("DEmo_Key<secret>1234", "token=DEmo_Key&lt;secret&gt;1234"),
        ("DEmo_Key<secret>1234", "token=DEmo_Key\\u003csecret\\u003e1234"),
        ("sk_live_4711", "sk\\N{LOW LINE}live\\N{low line}4711"),
        ("sk_live_4711", f"sk&#{'0' * 30}95;live_4711"),
        ("sk_live_4711", "sk=5flive=5F4711"),
        ("sk\\N{no such}4711", "sk\\N{no such}4711"),
        ("x\\N{KEYCAP DIGIT ONE}4711", "x\\N{KEYCAP DIGIT ONE}4711"),
    ],
)
def test_a_secret_is_found_next_to_what_looks_like_an_escape(secret: str, said: str) -> None:
    """A secret is found after a `=` that is not an escape, and in rare escapes."""
    assert REDACTED in Redactor([Secret(secret)]).clean(f"bad call: {said}", 1000)
    assert secret[4:] not in Redactor([Secret(secret)]).clean(f"bad call: {said}", 1000)


def test_many_texts_that_begin_like_a_secret_cost_no_more_than_their_length() -> None:
    """Redacting thousands of headers that begin like a long key takes linear time."""
    counts: list[int] = []
    for size in (100, 200, 400):
        clean = Redactor([Secret("sk_12345" + "ab" * 4000)]).clean
        texts = [f"sk_12345 {number:06}" for number in range(size)]
        counts.append(steps(lambda clean=clean, texts=texts: [clean(one, 1000) for one in texts]))
    small, medium, large = counts
    assert large - medium <= 2.2 * (medium - small)
    assert large - medium < 200 * 1000


def test_more_layers_than_anybody_makes_end_the_search() -> None:
    """Only a few layers of encoding are undone, so that a response cannot prolong the search."""
    clean = Redactor([Secret("sk/live/4711")]).clean
    said = "sk%2525252525252Flive%2525252525252F4711"
    assert clean(said, 100) == said


def test_overlapping_secrets_are_redacted_whole() -> None:
    """Secrets that overlap in a text are redacted as one."""
    redactor = Redactor([Secret("abcdefgh"), Secret("efghijkl"), Secret("cdefgh")])
    assert redactor.clean("<abcdefghijkl>", 100) == f"<{REDACTED}>"


@pytest.mark.parametrize("container", [list, tuple, lambda texts: {"a": [*texts]}])
def test_secrets_in_containers_are_found(container: Any) -> None:
    """A secret argument may be a list, tuple or dict; each string in it is redacted."""
    redactor = Redactor([Secret(container(["sk_first_1", "sk_second_2", 5]))])
    assert redactor.clean("sk_first_1, sk_second_2", 100) == f"{REDACTED}, {REDACTED}"


def test_a_short_secret_garbles_nothing() -> None:
    """A secret too short to be a real one is not redacted, so that other words stay readable."""
    assert Redactor([Secret("a"), Secret("")]).clean("banana", 100) == "banana"


def test_a_text_is_cut_after_it_is_redacted() -> None:
    """A text is redacted before it is shortened, so that no part of a secret is left at its end."""
    for spell in (no_change, html_hexadecimal):
        for at in range(1, 40):
            said = "x" * at + spell("sk_live_4711_abcdef") + "y" * 100
            found = Redactor([Secret("sk_live_4711_abcdef")]).clean(said, 40)
            assert len(found) <= 40
            assert found == ("x" * at + REDACTED + "y" * 100)[:40]


@pytest.mark.parametrize("length", range(8, 19))
def test_the_start_of_a_secret_at_the_end_is_redacted(length: int) -> None:
    """The start of a secret at the end of a text, which a proxy may have cut off, is redacted."""
    secret = "sk_sk_sk_live_4711x"
    said = f"no: sk_{secret[:length]}"
    found = Redactor([Secret(secret)]).clean(said, 100)
    assert found.endswith(REDACTED)
    assert secret[:8] not in found


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("\\U00110000 &#x110000; &#1114112;", None),
        ("&nosuch; &; &# 5 %zz \\", None),
        ("\\n\\t\\q", "\n\tq"),
        ("&notin;&#38;&#x26", "\u2209&&"),
    ],
)
def test_what_is_no_escape_stays(text: str, plain: str | None) -> None:
    """Invalid escapes are left as they are, and unusual ones are decoded."""
    secret = f"key_{text if plain is None else plain}_end"
    assert Redactor([Secret(secret)]).clean(f"key_{text}_end", 100) == REDACTED


@pytest.mark.parametrize(
    ("secret", "text"),
    [
        (lambda n: "a" * n, lambda n: "a" * n),
        (lambda n: "a" * n + "b", lambda n: "a" * 4 * n),
        (lambda n: "ab" * n, lambda n: "%61b" * n),
        (lambda _: "sk_live_4711", lambda n: "&#x73;" * n),
        (lambda _: "sk_live_4711", lambda n: "\\" * n),
        (lambda _: "sk_live_4711", lambda n: "sk_live_4711" * n),
        (lambda _: "sk_live_4711", lambda n: "&amp" * n),
        (lambda _: "sk_live_4711", lambda n: "%" * n),
        (lambda n: "a" * 8 + "b" * n, lambda n: "b" * n + "a" * 8 + "b" * (n - 1)),
        (lambda n: "aaaaaaab" * n, lambda n: "aaaaaaab" * (n - 1) + "aaaaaaa"),
    ],
)
def test_redaction_takes_linear_time(
    secret: Callable[[int], str], text: Callable[[int], str]
) -> None:
    """Twice the size takes at most twice the steps, apart from a constant number of steps."""
    counts: list[int] = []
    for size in (500, 1000, 2000):
        arguments = [Secret(secret(size))], text(size)
        counts.append(steps(lambda given=arguments: Redactor(given[0]).clean(given[1], 10**9)))
    small, medium, large = counts
    assert large - medium <= 2.2 * max(medium - small, 200)


def test_the_count_sees_what_is_quadratic() -> None:
    """The step counter detects an algorithm that takes quadratic time."""

    def quadratic(text: str) -> int:
        return sum(text.endswith(text[:size]) for size in range(len(text)) for _ in range(size))

    sizes = (50, 100, 200)
    small, medium, large = (steps(lambda size=size: quadratic("a" * size)) for size in sizes)
    assert large - medium > 2.2 * (medium - small)


def test_a_redactor_shows_no_secret() -> None:
    """A redactor, which is in the frames of errors, shows no secret in its repr and attributes."""
    redactor = Redactor([Secret("sk_live_4711")])
    shown = [repr(redactor), *(repr(getattr(redactor, name)) for name in redactor.__slots__)]
    assert "4711" not in "".join(shown)
