"""Names that a person would choose, which stay when the vendor adds something."""

import ast
import builtins
import keyword
import unicodedata
from itertools import permutations
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import oneloop_api
from codegen import _naming
from codegen._literals import identifier
from codegen._naming import class_name, distinct, field_name, member_names, method_name, module_name

GENERATED = Path(oneloop_api.__path__[0])
PATH = "/users/{user_id}/things"
TEXTS = st.text() | st.text("aAbB1 -_+.$é中", max_size=6)
SETS = st.sets(TEXTS, max_size=6)


@pytest.mark.parametrize(
    ("operation_id", "name"),
    {
        "repos/list-for-org": "repos_list_for_org",
        "products:create": "products_create",
        "users#get": "users_get",
        "Users.get_by-id v2": "users_get_by_id_v2",
        "getHTTPStatusCodes": "get_http_status_codes",
        "setAllowedIPs": "set_allowed_ips",
        "oauth2TokenForB2B": "oauth2_token_for_b2b",
        "import": "import_",
        "list": "list_",
        "type": "type",
        "match": "match",
        "aux": "aux_",
        "2faEnable": "get_2fa_enable",
        "ищиВещь": "ищи_вещь",
        "_perform": "perform",
        "__init__": "init",
        'say"hello"': "say_hello",
        "\N{PARTY POPPER}go": "go",
        "\N{PARTY POPPER}": "get_users_by_user_id_things",
        "---": "get_users_by_user_id_things",
    }.items(),
)
def test_method(operation_id: str, name: str) -> None:
    """A method's name has all words of the operation's id."""
    assert method_name(operation_id, "GET", PATH) == name


@pytest.mark.parametrize(
    ("path", "name"),
    {
        "/": "post_root",
        "/users": "post_users",
        "/users/{id}": "post_users_by_id",
        "/repos/{owner}/{repo}": "post_repos_by_owner_and_repo",
        "/messages:batchDelete": "post_messages_batch_delete",
    }.items(),
)
def test_method_without_operation_id(path: str, name: str) -> None:
    """Method and path name an operation that has no id."""
    assert method_name(None, "post", path) == method_name("", "POST", path) == name


@pytest.mark.parametrize(
    ("wire_name", "name"),
    {
        "userName": "user_name",
        "HTTPStatusCode": "http_status_code",
        "ipV4Address": "ip_v4_address",
        "apiURLs": "api_urls",
        "S3Bucket": "s3_bucket",
        "sha256": "sha256",
        "page[size]": "page_size",
        "$filter": "filter",
        "@type": "type",
        "_links": "links",
        "user's": "users",
        "1st": "field_1st",
        "+1": "plus_1",
        "-1": "minus_1",
        "": "empty",
        "*": "asterisk",
        "credits": "credits",
        "license": "license",
        "id": "id",
        "format": "format",
        "class": "class_",
        "None": "none",
        "self": "self_",
        "list": "list_",
        "property": "property_",
        "\uff43\uff4c\uff53": "cls",
        "हिन्दी": "हिन्दी",
        "\N{PARTY POPPER}": "party_popper",
        "\ud800": "ud800",
    }.items(),
)
def test_field(wire_name: str, name: str) -> None:
    """A field's name is in snake case, with an underscore only where it hides something."""
    assert field_name(wire_name) == name


@pytest.mark.parametrize(
    ("text", "name", "module"),
    [
        ("user", "User", "user"),
        ("Item-Input", "ItemInput", "item_input"),
        ("Page[User]", "PageUser", "page_user"),
        ("Page_User_", "PageUser", "page_user"),
        ("my.pkg.Thing", "MyPkgThing", "my_pkg_thing"),
        ("HTTPValidationError", "HTTPValidationError", "http_validation_error"),
        ("123", "Model123", "model123"),
        ("AdditionalData3DSecure", "AdditionalData3DSecure", "additional_data3d_secure"),
        ("None", "NoneModel", "none_model"),
        ("KeyError", "KeyErrorModel", "key_error_model"),
        ("class", "Class", "class_"),
        ("str", "Str", "str_"),
        ("getattr", "Getattr", "getattr_"),
        ("Con", "Con", "con_"),
        ("__init__", "Init", "init"),
        ("\N{PARTY POPPER}", "PartyPopper", "party_popper"),
    ],
)
def test_class_and_its_module(text: str, name: str, module: str) -> None:
    """Classes are in Pascal case; their modules can be files on every system."""
    assert class_name(text) == name
    assert module_name(name) == module


@pytest.mark.parametrize(
    ("tag", "name"),
    {
        "Users": "users",
        "users": "users",
        "class": "class_",
        "2024": "tag_2024",
        "__init__": "init",
        "My Tag / 2 (β)": "my_tag_2_β",
        "\N{PARTY POPPER}": "party_popper",
    }.items(),
)
def test_tag(tag: str, name: str) -> None:
    """Tags that differ in case only share a package."""
    assert module_name(tag) == name


@pytest.mark.parametrize(
    "members",
    [
        {"VALID": "VALID", "inProgress": "IN_PROGRESS", "dark blue": "DARK_BLUE", "": "EMPTY"},
        {"created_at": "CREATED_AT", "-created_at": "CREATED_AT_DESC"},
        {"+created_at": "CREATED_AT_ASC", "-a.b": "A_B_DESC"},
        {"+1": "PLUS_1", "-1": "MINUS_1", "1.5": "VALUE_1_5", "1st": "VALUE_1ST"},
        {"asc": "ASC_LOWER", "ASC": "ASC", "Asc": "ASC_CAPITAL", "aSC": "A_SC"},
        {"asc": "ASC", "Asc": "ASC_CAPITAL"},
        {"Etc/GMT+1": "ETC_GMT_PLUS_1", "Etc/GMT-1": "ETC_GMT_MINUS_1"},
        {"a-b": "A_DASH_B", "a_b": "A_B", "a b": "A_SPACE_B", "a.b": "A_DOT_B"},
        {"<": "LESS", "<=": "LESS_OR_EQUAL", "!=": "NOT_EQUAL", "=": "EQUAL", "*": "ASTERISK"},
        {
            "a+": "A_PLUS",
            "a": "A",
            "c++": "C_PLUS_PLUS",
            "c#": "C_HASH",
            "users.*": "USERS_ASTERISK",
        },
        {
            "<5": "LESS_5",
            ">=10": "GREATER_OR_EQUAL_10",
            "5-10": "VALUE_5_10",
            "90%": "VALUE_90_PERCENT",
        },
        {"%": "PERCENT", "/": "SLASH", "<=>": "LESS_EQUAL_GREATER", " ": "SPACE"},
        {"name": "NAME", "mro": "MRO", "_missing_": "MISSING", "None": "NONE", "class": "CLASS"},
        {"2020-01-01": "VALUE_2020_01_01", "utf-8": "UTF_8", "gpt-4.1-mini": "GPT_4_1_MINI"},
        {"\N{THUMBS UP SIGN}": "THUMBS_UP_SIGN", "\u0378": "U378"},
        {0: "VALUE_0", 1: "VALUE_1", -1: "VALUE_NEGATIVE_1", 0.5: "VALUE_0_5"},
    ],
)
def test_members(members: dict[str | float, str]) -> None:
    """Members are named by their values alone, whatever their order."""
    for order in ([*members], [*reversed(members)], sorted(members, key=str)):
        assert member_names(order) == [members[one] for one in order]


def test_members_with_given_names() -> None:
    """Given names are used, and none is lost if several are equal."""
    assert member_names([0, 1], ["Off", "turnedOn"]) == ["OFF", "TURNED_ON"]
    assert member_names([0, 1], ["ON", "on"]) == ["ON", "ON_LOWER"]
    assert member_names([1, 2, 1], ["ON", "ON", "ON"]) == ["ON_1", "ON_2", "ON_1"]
    assert member_names([1, 2], ["ONE"]) == ["ONE", "VALUE_2"]
    assert member_names([1], ["ONE", "TWO"]) == ["ONE"]


@pytest.mark.parametrize(
    "names",
    [
        {"user_name": "user_name", "userName": "user_name_camel", "UserName": "user_name_capital"},
        {"ref": "ref", "$ref": "dollar_ref", "@ref": "at_ref"},
        {"id": "id", "ID": "id_upper", "_id": "underscore_id"},
        {"a-b": "a_dash_b", "a_b": "a_b"},
        {"foo-bar": "foo_dash_bar", "fooBar": "foo_bar_camel"},
        {"+1": "plus_1", "-1": "minus_1"},
        {"a__b": "a_b", "a___b": "a_b_2"},
        {"1.5": "field_1_5", "1_5": "field_1_5_2"},
        {"list": "list_", "LIST": "list_upper"},
        {"a b 2": "a_b_space_2", "a b_2": "a_b_2"},
    ],
)
def test_fields_that_collide(names: dict[str, str]) -> None:
    """A field that is spelled like its name keeps it; others say what differs."""
    for order in permutations(names):
        assert distinct((one, field_name(one)) for one in order) == names


def test_texts_that_differ_far_behind() -> None:
    """Of a long text the beginning is read, so that no text takes long; names stay distinct."""
    first, second = distinct((one, field_name(one)) for one in ("a" * 998, "a" * 999)).values()
    assert first != second
    assert len(first) == len(second) == 100


def test_operations_of_one_id() -> None:
    """Operations of one id are told apart by method and path."""
    keys = [("list", "GET /x"), ("list", "GET /y"), ("getThing", "GET /z"), ("get_thing", "GET /q")]
    named = distinct((key, method_name(key[0], "GET", "/")) for key in keys)
    assert [named[key] for key in keys] == [
        "list_get_x",
        "list_get_y",
        "get_thing_camel",
        "get_thing",
    ]


def test_classes_whose_files_would_collide() -> None:
    """Class names differ in more than what their modules' names show."""
    keys = [
        ("Thing", "A"),
        ("Thing", "B"),
        ("URLMap", ""),
        ("UrlMap", ""),
        ("a-b", ""),
        ("a.b", ""),
    ]
    named = distinct(((key, class_name(key[0])) for key in keys), _naming.pascal)
    assert [named[key] for key in keys] == [
        "ThingA",
        "ThingB",
        "URLMap",
        "UrlMapCapital",
        "ADashB",
        "ADotB",
    ]


def test_a_class_whose_name_is_taken() -> None:
    """A class gets the suffix `Model`, unless that is a class as well."""
    wanted = [("Any", "Any"), ("AnyModel", "AnyModel")]
    assert distinct(wanted[:1], _naming.pascal, {"Any"}) == {"Any": "AnyModel"}
    named = distinct(wanted, _naming.pascal, {"Any"})
    assert named == {"Any": "AnyModel2", "AnyModel": "AnyModel"}


def test_a_name_that_is_taken() -> None:
    """A taken name gets an underscore before collisions are settled."""
    wanted = [("call", "call"), ("CALL", "call"), ("other", "other")]
    assert distinct(wanted, taken={"call"}) == {
        "call": "call_",
        "CALL": "call_upper",
        "other": "other",
    }


def test_no_name_hides_a_builtin_that_generated_code_uses() -> None:
    """`NEEDED` has every builtin that models and operations use."""
    for path in (*GENERATED.glob("models/[a-z]*.py"), *GENERATED.glob("api/*/[a-z]*.py")):
        code = [*ast.walk(ast.parse(path.read_text(encoding="utf-8")))]
        names = [node for node in code if isinstance(node, ast.Name)]
        bound = {node.id for node in names if isinstance(node.ctx, ast.Store)}
        bound |= {node.arg for node in code if isinstance(node, ast.arg)}
        used = {node.id for node in names if hasattr(builtins, node.id)} - bound
        assert {name for name in used if name.islower()} <= _naming.NEEDED


def check(name: str) -> None:
    """Fail unless this can be a name of generated code."""
    assert identifier(name) == name
    assert not name.startswith("_")
    assert unicodedata.normalize("NFKC", name) == name
    compile(f"class {name}: pass\ndef f({name}): pass\n", "x", "exec")


@given(TEXTS)
def test_any_text_gives_a_name(text: str) -> None:
    """Whatever a text is, its names are valid in Python and as files."""
    for name in (field_name(text), class_name(text), module_name(text), *member_names([text])):
        check(name)
    check(method_name(text, "GET", text))
    check(member_names([text], [text])[0])
    assert not keyword.issoftkeyword(class_name(text))


@given(SETS)
def test_names_are_distinct_and_independent_of_order(texts: set[str]) -> None:
    """No name is given twice, and the order of the document does not matter."""
    found = distinct((one, field_name(one)) for one in sorted(texts))
    assert found == distinct((one, field_name(one)) for one in sorted(texts, reverse=True))
    assert len(set(map(str.casefold, found.values()))) == len(texts)
    members = member_names(sorted(texts))
    assert members == member_names(sorted(texts, reverse=True))[::-1]
    assert len(set(members)) == len(texts)
    classes = distinct(((one, class_name(one)) for one in texts), _naming.pascal)
    assert len(set(map(module_name, classes.values()))) == len(texts)
    for name in (*found.values(), *members, *classes.values()):
        check(name)


@given(SETS, TEXTS)
def test_a_name_stays_when_another_text_is_added(texts: set[str], added: str) -> None:
    """A name that collides with nothing stays when something is added."""
    names = [*texts, added]
    assume(added not in texts)
    before = distinct((one, field_name(one)) for one in texts)
    after = distinct((one, field_name(one)) for one in names)
    for one in texts:
        if field_name(one) != field_name(added) and before[one] == field_name(one):
            assert after[one] == before[one]
