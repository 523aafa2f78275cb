"""Which proxy the environment names, and which hosts `NO_PROXY` takes out."""

import base64
import os
import shutil
import subprocess
import sys
import time
import traceback
import urllib.request
from urllib.parse import quote

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oneloop._http import _proxies
from oneloop._http._proxies import Proxy, proxy_for
from oneloop.transport import TransportError
from oneloop_core import Secret

URL = "https://api.corp.example"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the variables of the machine that the tests run on."""
    for name in [*os.environ]:
        if name.lower().endswith("_proxy") or name == "REQUEST_METHOD":
            monkeypatch.delenv(name)


def through(url: str, monkeypatch: pytest.MonkeyPatch, name: str = "HTTPS_PROXY") -> Proxy:
    """Return the proxy for `URL` where a variable names this URL."""
    monkeypatch.setenv(name, url)
    proxy = proxy_for(URL)
    assert proxy is not None
    return proxy


BOTH = {"HTTPS_PROXY": "http://secure:1", "HTTP_PROXY": "plain:2"}


@pytest.mark.parametrize(
    ("url", "variables", "host"),
    [
        ("https://api.test", BOTH, "secure"),
        ("http://api.test", BOTH, "plain"),
        ("https://api.test", {"ALL_PROXY": "http://all"}, "all"),
        ("http://api.test", {"all_proxy": "http://all"}, "all"),
        ("https://api.test", {"ALL_PROXY": "http://all", **BOTH}, "secure"),
        ("https://api.test", {"https_proxy": "http://lower", **BOTH}, "lower"),
        ("https://api.test", {"https_proxy": "", **BOTH}, None),
        ("https://api.test", {"HTTPS_PROXY": " http://spaces\n"}, "spaces"),
        ("https://api.test", {"HTTP_PROXY": "http://a"}, None),
        ("https://api.test", {"FTP_PROXY": "http://a"}, None),
        ("https://api.test", {}, None),
        ("https://api.test", {"NO_PROXY": "*"}, None),
        ("https://api.test", {"NO_PROXY": "api.test", **BOTH}, None),
        ("https://api.test", {"NO_PROXY": "api.test", "no_proxy": "", **BOTH}, "secure"),
        ("https://api.test", {"NO_PROXY": "api.test", "no_proxy": "other", **BOTH}, "secure"),
        # In a CGI program, HTTP_PROXY is a header of somebody's request.
        ("http://api.test", {"REQUEST_METHOD": "GET", **BOTH}, None),
        ("https://api.test", {"REQUEST_METHOD": "GET", **BOTH}, "secure"),
        ("http://api.test", {"REQUEST_METHOD": "GET", "http_proxy": "http://lower"}, "lower"),
        *[
            (url, BOTH, None)
            for url in ("http://localhost:1", "https://127.0.0.1:1", "https://[::1]")
        ],
    ],
)
def test_the_environment_names_the_proxy(
    url: str, variables: dict[str, str], host: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proxy for the URL's scheme is preferred to that for all, and lower case to upper."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    proxy = proxy_for(url)
    assert (proxy and proxy.host) == host


@pytest.mark.parametrize(
    ("url", "scheme", "host", "port"),
    [
        ("proxy.test", "http", "proxy.test", 80),
        ("proxy.test:3128", "http", "proxy.test", 3128),
        ("proxy.test:", "http", "proxy.test", 80),
        ("HTTP://proxy.test/", "http", "proxy.test", 80),
        ("http://proxy.test:3128/path?query#fragment", "http", "proxy.test", 3128),
        ("https://proxy.test", "https", "proxy.test", 443),
        ("socks5://proxy.test", "socks5", "proxy.test", 1080),
        ("socks5h://proxy.test:1", "socks5h", "proxy.test", 1),
        ("http://10.0.0.1:1", "http", "10.0.0.1", 1),
        ("http://[FD00::1]:8080", "http", "FD00::1", 8080),
        ("[fd00::1]", "http", "fd00::1", 80),
        ("http://user:password@[fd00::1]:65535", "http", "fd00::1", 65_535),
        ("http://[fe80::1%25eth0]:1", "http", "fe80::1%eth0", 1),
        ("http://pröxy.test", "http", "pröxy.test", 80),
        ("http://under_score", "http", "under_score", 80),
    ],
)
def test_a_proxy_has_a_scheme_a_host_and_a_port(
    url: str, scheme: str, host: str, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A URL without a scheme is one of HTTP, and each scheme has a default port."""
    proxy = through(url, monkeypatch)
    assert (proxy.scheme, proxy.host, proxy.port) == (scheme, host, port)
    if "%" not in host:  # httpx refuses a zone
        normal = httpx.Proxy(proxy.url.reveal())
        assert normal.url.host.lower() == host.lower()
        assert normal.url.scheme == scheme.removesuffix("h")


def sent(proxy: Proxy) -> bytes | None:
    """Return the user name and the password that a proxy gets."""
    if proxy.authorization is None:
        return None
    kind, _, value = proxy.authorization.reveal().partition(" ")
    assert kind == "Basic"
    return base64.b64decode(value)


@pytest.mark.parametrize(
    ("login", "expected"),
    [
        ("user:password@", "user:password"),
        ("user:p%40ss@", "user:p@ss"),
        ("user:p@ss@", "user:p@ss"),
        ("us%C3%A9r:p%C3%A4ss@", "usér:päss"),
        ("usér:päss\N{SNOWMAN}@", "usér:päss\N{SNOWMAN}"),
        ("user:@", "user:"),
        ("user@", "user:"),
        (":password@", ":password"),
        ("user:100%@", "user:100%"),
        ("user:%zz%4@", "user:%zz%4"),
        ("user:a:b@", "user:a:b"),
        ("user:a%3Ab%2F%3F%23%25@", "user:a:b/?#%"),
        ("user:a+b@", "user:a+b"),
        ("user:%0D%0AX: y@", "user:\r\nX: y"),
        ("@", None),
        (":@", None),
        ("", None),
    ],
)
def test_user_and_password_may_have_any_characters(
    login: str, expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are percent-decoded as UTF-8, and httpx reads the same ones from the normal URL."""
    proxy = through(f"http://{login}proxy.test:1", monkeypatch)
    assert sent(proxy) == (None if expected is None else expected.encode())
    normal = httpx.Proxy(proxy.url.reveal())
    user, _, password = (expected or "").partition(":")
    assert normal.auth == (None if expected is None else (user, password))


def test_bytes_that_are_not_text_are_sent_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user name and a password need not be UTF-8, neither escaped nor in the environment."""
    raw = os.fsdecode(b"http://caf\xe9:%E9%FF@proxy.test")
    assert sent(through(raw, monkeypatch)) == b"caf\xe9:\xe9\xff"


@given(st.text(min_size=1).filter(lambda text: text.isprintable()), st.text())
def test_what_is_percent_encoded_arrives(user: str, password: str) -> None:
    """Any user name without a colon and any password survive the way through a URL."""
    user = user.replace(":", "")
    with pytest.MonkeyPatch.context() as patch:
        login = f"{quote(user, safe='')}:{quote(password, safe='')}"
        proxy = through(f"http://{login}@proxy.test", patch)
    assert sent(proxy) == (f"{user}:{password}".encode() if user or password else None)


ENCODE = '"/", "?" and "#" in a user name or password must be percent-encoded'
FORM = "expected http://user:password@host:port"
SCHEMES = "supported are http, https, socks5 and socks5h"
HIDDEN = "(not shown, as it may contain a password)"


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("gopher://a", f"gopher://...; {SCHEMES}"),
        ("socks4://a", f"socks4://...; {SCHEMES}"),
        ("socks://us3r:p4ss@a", f"{HIDDEN}; {SCHEMES}"),
        ("http://us3r:p4ss/w@a:80", f"http://...; {ENCODE}"),
        ("http://us3r:12/p4ss@a:80", f"http://...; {ENCODE}"),
        ("http://us3r:p4ss?w@a:80", f"http://...; {ENCODE}"),
        ("http://us3r:p4ss#w@a:80", f"http://...; {ENCODE}"),
        ("us3r:p4ss/w@a:80", f"http://...; {ENCODE}"),
        ("us3r:p4ss://w@a:80", f"{HIDDEN}; {ENCODE}"),
        ("us3r:p4ss@a://", f"{HIDDEN}; {ENCODE}"),
        ("p4ss://us3r@a:80", f"{HIDDEN}; {SCHEMES}"),
        ("://us3r:p4ss@a:80", f"{HIDDEN}; {ENCODE}"),
        ("us3r:p4ss@a:0", f"http://...; {FORM}"),
        ("http://us3r:p4ss@a:65536", f"http://...; {FORM}"),
        ("http://us3r:p4ss@a:999999", f"http://...; {FORM}"),
        ("http://us3r:p4ss@a:1x", f"http://...; {FORM}"),
        ("http://us3r:p4ss@a:\N{ARABIC-INDIC DIGIT ONE}", f"http://...; {FORM}"),
        ("http://us3r:p4ss@", f"http://...; {FORM}"),
        ("http://us3r:p4ss@:80", f"http://...; {FORM}"),
        ("http://us3r:p4ss@a b", f"http://...; {FORM}"),
        ("http://us3r:p4ss@fd00::1", f"http://...; {FORM}"),
        ("http://us3r:p4ss@[fd00::1::2]:80", f"http://...; {FORM}"),
        ("http://us3r:p4ss@[v1.x]:80", f"http://...; {FORM}"),
        ("http://us3r:p4ss@[fd00::1]x", f"http://...; {FORM}"),
        ("http://", f"http://...; {FORM}"),
    ],
)
@pytest.mark.parametrize("name", ["HTTPS_PROXY", "all_proxy"])
def test_a_url_that_cannot_be_used_is_an_error_without_its_password(
    url: str, problem: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the variable and the remedy, but nothing of the user name and password."""
    monkeypatch.setenv(name, url)
    with pytest.raises(TransportError) as caught:
        proxy_for(URL)
    error = caught.value
    assert error.detail == f"unsupported or malformed proxy URL in {name}: {problem}"
    assert (error.sent, error.passing) == (False, False)
    ours = [frame for frame, _ in traceback.walk_tb(error.__traceback__)][1:]
    shown = repr([frame.f_locals for frame in ours]) + repr(error) + str(error) + error.detail
    assert ours
    assert "us3r" not in shown
    assert "p4ss" not in shown


def test_a_repr_shows_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy can be logged."""
    proxy = through("http://us3r:p4ss@proxy.test:1", monkeypatch)
    hidden = "authorization=Secret(...), url=Secret(...)"
    assert repr(proxy) == f"Proxy(scheme='http', host='proxy.test', port=1, {hidden})"


NAME = "https://api.corp.example"
FOUR = "https://10.1.2.3"
SIX = "https://[fd00::1]"


@pytest.mark.parametrize(
    ("entries", "url", "direct"),
    [
        # Names
        ("api.corp.example", NAME, True),
        ("corp.example", NAME, True),
        (".corp.example", NAME, True),
        ("*.corp.example", NAME, True),
        ("*corp.example", NAME, True),
        (".api.corp.example", NAME, True),
        ("*.api.corp.example", NAME, True),
        ("example", NAME, True),
        ("orp.example", NAME, False),
        ("pi.corp.example", NAME, False),
        ("*.orp.example", NAME, False),
        ("x.api.corp.example", NAME, False),
        ("*.x.api.corp.example", NAME, False),
        ("api", NAME, False),
        ("api.*.example", NAME, False),
        ("API.Corp.EXAMPLE", NAME, True),
        ("api.corp.example", "https://API.corp.example", True),
        ("api.corp.example.", NAME, True),
        (".corp.example.", NAME, True),
        ("api.corp.example", "https://api.corp.example.", True),
        ("under_score", "https://under_score", True),
        # Ports
        ("api.corp.example:443", NAME, True),
        ("api.corp.example:443", "https://api.corp.example:443", True),
        ("api.corp.example:8443", "https://api.corp.example:8443", True),
        ("*.corp.example:443", NAME, True),
        ("api.corp.example.:443", NAME, True),
        ("api.corp.example:80", "http://api.corp.example", True),
        ("api.corp.example:80", NAME, False),
        ("api.corp.example:443", "https://api.corp.example:8443", False),
        ("api.corp.example:0443", NAME, True),
        ("api.corp.example:x", NAME, False),
        ("api.corp.example:", NAME, False),
        ("api.corp.example:" + 9 * "4", NAME, False),
        # Schemes
        ("https://api.corp.example", NAME, True),
        ("https://api.corp.example/", NAME, True),
        ("all://corp.example:443", NAME, True),
        ("http://api.corp.example", NAME, False),
        ("https://[fd00::1]:443/", SIX, True),
        # All
        ("*", NAME, True),
        ("localhost, *", NAME, True),
        ("*,localhost", FOUR, True),
        ("*:443", SIX, True),
        ("*:80", SIX, False),
        ("all://*", NAME, True),
        ("*.", NAME, False),
        ("**", NAME, False),
        # Lists
        ("localhost,api.corp.example", NAME, True),
        ("localhost , api.corp.example , x", NAME, True),
        ("localhost api.corp.example\tx", NAME, True),
        (",, ,api.corp.example,", NAME, True),
        (",", NAME, False),
        (" ", NAME, False),
        (".", NAME, False),
        ("..", NAME, False),
        (".:443", NAME, False),
        ("/", NAME, False),
        (":443", NAME, False),
        ("\N{SNOWMAN}, api.corp.example", NAME, True),
        # IPv4
        ("10.1.2.3", FOUR, True),
        ("10.1.2.3.", FOUR, True),
        ("10.1.2.3:443", FOUR, True),
        ("10.1.2.3:80", FOUR, False),
        ("10.0.0.0/8", FOUR, True),
        ("10.1.2.3/8", FOUR, True),
        ("10.0.0.0/8:443", FOUR, True),
        ("10.1.2.3/32", FOUR, True),
        ("10.1.2.2/31", FOUR, True),
        ("10.1.2.4/31", FOUR, False),
        ("0.0.0.0/0", FOUR, True),
        ("10.0.0.0/255.0.0.0", FOUR, True),
        ("10.0.0.0/33", FOUR, False),
        ("10.0.0.0/-1", FOUR, False),
        ("10.0.0.0/x", FOUR, False),
        ("192.168.0.0/16, 10.0.0.0/8", FOUR, True),
        ("192.168.0.0/16", FOUR, False),
        ("10.1.2", FOUR, False),
        ("2.3", FOUR, False),
        ("010.1.2.3", FOUR, False),
        ("fd00::/8", FOUR, False),
        ("::/0", FOUR, False),
        ("corp.example", FOUR, False),
        ("10.0.0.0/8", NAME, False),
        # IPv6
        ("fd00::1", SIX, True),
        ("[fd00::1]", SIX, True),
        ("FD00:0:0::0001", SIX, True),
        ("[fd00:0:0:0:0:0:0:1]", SIX, True),
        ("fd00::1", "https://[FD00:0::1]:8443", True),
        ("[fd00::1]:443", SIX, True),
        ("[fd00::1]:80", SIX, False),
        ("fd00::/8", SIX, True),
        ("[fd00::]/8", SIX, True),
        ("[fd00::/8]", SIX, True),
        ("[fd00::]/8:443", SIX, True),
        ("fd00::1/128", SIX, True),
        ("fe00::/8", SIX, False),
        ("fd00::2", SIX, False),
        ("fd00::1::", SIX, False),
        ("fd00::/129", SIX, False),
        ("[fd00::1", SIX, False),
        ("10.0.0.0/8", SIX, False),
        ("10.0.0.0/8", "https://[::ffff:10.1.2.3]", True),
        ("::ffff:10.1.2.3", "https://[::ffff:a01:203]", True),
    ],
)
def test_no_proxy_takes_hosts_out(
    entries: str, url: str, direct: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`NO_PROXY` lists names, addresses and networks, each perhaps with a port or a scheme."""
    monkeypatch.setenv("ALL_PROXY", "http://proxy.test")
    monkeypatch.setenv("NO_PROXY", entries)
    assert (proxy_for(url) is None) == direct


def test_a_long_list_takes_linear_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A list of 100,000 characters of any kind is read at once."""
    monkeypatch.setenv("ALL_PROXY", "http://proxy.test")
    started = time.process_time()
    for part in (".", "*", ":", "1:", "a:", "[", "[]", "/", "/1", ":1", "1.", "a.", "://", "a://"):
        for entries in (part * 30_000, part * 30_000 + "!"):
            monkeypatch.setenv("NO_PROXY", entries)
            for url in (NAME, FOUR, SIX):
                proxy_for(url)
    assert time.process_time() - started < 5


@pytest.mark.skipif(shutil.which("curl") is None, reason="compares with curl")
@pytest.mark.parametrize(
    "entries",
    [
        *("x, corp.example", ".corp.example", "api.corp.example.", "orp.example", "*"),
        *("10.0.0.0/8", "10.1.2.3", "10.1.2.4/31", "2.3", "10.0.0.0/33", "fd00::1", "fd00::2"),
    ],
)
@pytest.mark.parametrize("url", ["http://api.corp.example", "http://10.1.2.3", "http://[fd00::1]"])
def test_curl_reads_no_proxy_in_the_same_way(
    entries: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Curl and we go through the proxy for the same hosts. It tries port 1 then, else port 2."""
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", entries)
    command = ["curl", "-sv", "--max-time", "5", "--connect-to", "::127.0.0.1:2", url]
    told = subprocess.run(command, check=False, capture_output=True, text=True).stderr
    direct = "127.0.0.1 port 2" in told
    assert direct or "127.0.0.1 port 1" in told
    assert (proxy_for(url) is None) == direct


@pytest.mark.parametrize(
    ("proxies", "bypassed", "host"),
    [
        ({"https": "http://secure:1"}, False, "secure"),
        ({"all": "socks5://all:1"}, False, "all"),
        ({"http": "http://plain:1"}, False, None),
        ({"https": "http://secure:1"}, True, None),
        ({}, False, None),
    ],
)
def test_the_settings_of_the_system_count(
    proxies: dict[str, str], bypassed: bool, host: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On macOS and Windows, the system may name a proxy and the hosts that do not need it."""
    monkeypatch.setattr(_proxies, "_SYSTEM_HAS_PROXIES", True)
    monkeypatch.setattr(urllib.request, "getproxies", lambda: proxies)
    monkeypatch.setattr(urllib.request, "proxy_bypass", lambda _: bypassed)
    proxy = proxy_for(URL)
    assert (proxy and proxy.host) == host
    monkeypatch.setenv("https_proxy", "http://environment")
    proxy = proxy_for(URL)
    assert proxy is not None
    assert proxy.host == "environment"


def test_an_error_in_the_settings_of_the_system_names_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the system's proxy cannot be used, no variable is blamed."""
    monkeypatch.setattr(_proxies, "_SYSTEM_HAS_PROXIES", True)
    monkeypatch.setattr(urllib.request, "getproxies", lambda: {"https": "ftp://a"})
    monkeypatch.setattr(urllib.request, "proxy_bypass", lambda _: False)
    with pytest.raises(TransportError) as caught:
        proxy_for(URL)
    assert "proxy URL in the system's settings: ftp://..." in caught.value.detail


@pytest.mark.skipif(sys.platform in ("darwin", "win32"), reason="they have settings to read")
def test_modules_that_are_slow_to_import_are_not_imported() -> None:
    """Without a proxy, or with one for a host by name, neither urllib.request nor ssl is needed."""
    code = (
        "import sys; from oneloop._http._proxies import proxy_for; proxy_for('https://api.test');"
        "print({'ssl', 'urllib.request', 'httpx', 'certifi'} & {*sys.modules})"
    )
    for variables in ({}, {"https_proxy": "http://u:p@proxy.test", "no_proxy": "10.0.0.0/8, x"}):
        ran = subprocess.run(
            [sys.executable, "-c", code],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, **variables},
        )
        assert ran.stdout == "set()\n"


def test_secrets_are_wrapped(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has the password in it is a `Secret`."""
    proxy = through("http://user:password@proxy.test", monkeypatch)
    assert isinstance(proxy.authorization, Secret)
    assert isinstance(proxy.url, Secret)
