"""Refills in a CSV file are read and checked by line and column."""

import csv
import io
import tracemalloc
from collections.abc import Iterable, Iterator

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from oneloop.cli._rows import (
    _BLANK,
    COLUMNS,
    MAX_MISTAKES,
    MAX_REFILL,
    Mistake,
    Report,
    Row,
    check,
    parse,
)

HEADER = "id,workspace_id,external_meter_id,refill\n"
NEEDED = "id, workspace_id, external_meter_id and refill"


def read(text: str | bytes, *ignored: str) -> list[Row | Mistake]:
    """Return what is in a file."""
    data = text if isinstance(text, bytes) else text.encode()
    return list(parse([data], ignored=ignored))


def checked(text: str | bytes, *ignored: str) -> Report:
    """Return the report about a file."""
    return check(lambda: read(text, *ignored))


def mistakes(text: str | bytes, *ignored: str) -> list[str]:
    """Return what is wrong with a file."""
    return [*map(str, checked(text, *ignored).mistakes)]


ROW = Row(2, "pay_1", "ws_1", "acme", 500)


@pytest.mark.parametrize(
    "text",
    [
        HEADER + "pay_1,ws_1,acme,500\n",
        HEADER + "pay_1,ws_1,acme,500",
        HEADER.replace("\n", "\r\n") + "pay_1,ws_1,acme,500\r\n",
        HEADER.replace("\n", "\r") + "pay_1,ws_1,acme,500\r",
        "\ufeff" + HEADER + "pay_1,ws_1,acme,500\n\n\r\n",
        HEADER + '"pay_1","ws_1","acme","500"\n',
        "id,workspaceId,externalMeterId,refill\npay_1,ws_1,acme,500",
        "refill;externalMeterId;workspace_id;id\n500;acme;ws_1;pay_1\n",
        "id\tworkspaceId\texternal_meter_id\trefill\npay_1\tws_1\tacme\t500\n",
        "note,id,workspace_id,external_meter_id,refill\n,pay_1,ws_1,acme,500\n",
    ],
)
def test_a_row_is_read_whatever_its_spelling(text: str) -> None:
    """Line ends, a byte order mark, quotes, order, names of the API, and separators may differ."""
    assert read(text, "note") == [ROW]
    assert checked(text, "note").mistakes == []


def test_unusual_ids_are_read() -> None:
    """An id may have any characters but those that nobody sees, and 255 of them."""
    names = ("Größe 7", "客户-1", 'say "hi"', "a,b", "=1+1", "x" * 255, "-", "'s")
    text = HEADER + "".join(
        '"' + name.replace('"', '""') + f'",{number},ws 1,9007199254740991\n'
        for number, name in enumerate(names)
    )
    rows = [one for one in read(text) if isinstance(one, Row)]
    assert tuple(one.id for one in rows) == names
    assert {one.refill for one in rows} == {2**53 - 1}


def test_lines_are_those_of_an_editor() -> None:
    """Lines inside of quoted fields count, also before the field at fault, and blank ones do."""
    text = (
        "\n\nid,workspace_id,external_meter_id,refill,note\n"
        'pay_1,ws_1,acme,500,"one\r\ntwo\rthree\n"\n'
        "\n"
        "pay_2,ws_1,acme,1,\n"
    )
    assert [(one.line) for one in read(text, "note")] == [4, 9]
    text = 'note,id,workspace_id,refill,external_meter_id\n"1\n2","3\n4",,x,\n,,ws_1,5,acme\n'
    assert mistakes(text, "note") == [
        "line 3, column id: the value contains a line break; remove it",
        "line 4, column workspace_id: the value is empty",
        "line 4, column refill: 'x' is not a whole number; write it with the digits 0 to 9 alone, "
        "such as 1000",
        "line 4, column external_meter_id: the value is empty",
        "line 5, column id: the value is empty",
    ]


@pytest.mark.parametrize(
    ("amount", "fault"),
    [
        ("", "the value is empty"),
        ("0", "the value must be greater than 0"),
        ("000", "the value must be greater than 0"),
        ("007", "'007' begins with 0; write it without, such as 1000"),
        (" 5", "the value has a space at its beginning or its end: ' 5'; remove it"),
        *(
            (
                given,
                f"'{given}' is not a whole number; write it with the digits 0 to 9 alone, such as "
                "1000",
            )
            for given in (
                "1,000",
                "5.0",
                "5e3",
                "+5",
                "-5",
                "\u0665",
                "5 credits",
                "0x10",
                "1_0",
                "²",
            )
        ),
        (
            "9007199254740992",
            "'9007199254740992' is more than the API takes, 9007199254740991",
        ),
        (
            "1" * 100_000,
            f"'{'1' * 40}...' is more than the API takes, 9007199254740991",
        ),
    ],
)
def test_amounts_are_whole_numbers(amount: str, fault: str) -> None:
    """Any other spelling of an amount is a mistake that says how to write it."""
    text = HEADER + f'pay_1,ws_1,acme,"{amount}"\n'
    assert mistakes(text) == [f"line 2, column refill: {fault}"]


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        (b"", "is empty"),
        (b" a", "has a space at its beginning or its end: ' a'; remove it"),
        ("a\u00a0".encode(), r"has a space at its beginning or its end: 'a\xa0'; remove it"),
        (b"a\0b", "contains a NUL character; remove it"),
        (b"a\tb", "contains a tab; remove it"),
        (b"\x1b[2J", "contains the character U+001B; remove it"),
        ("a\u200b".encode(), "contains the character U+200B; remove it"),
        ("\ufeffa".encode(), "contains the character U+FEFF; remove it"),
        ("a\u00adb".encode(), "contains the character U+00AD; remove it"),
        ("a\u202eb".encode(), "contains the character U+202E; remove it"),
        ("a\u2066b".encode(), "contains the character U+2066; remove it"),
        ("a\U000e0041b".encode(), "contains the character U+E0041; remove it"),
        ("a\u200db".encode(), "contains the character U+200D; remove it"),
        ("\u0645\u200c".encode(), "contains the character U+200C; remove it"),
        ("\u0645\u200c\u200c\u062e".encode(), "contains the character U+200C; remove it"),
        ("a\u2029b".encode(), "contains the character U+2029; remove it"),
        ("a\u3164".encode(), "contains the character U+3164; remove it"),
        ("\u2800".encode(), "contains the character U+2800; remove it"),
        ("a\ufe0f".encode(), "contains the character U+FE0F; remove it"),
        ("\u2764\ufe0f\ufe0f".encode(), "contains the character U+FE0F; remove it"),
        ("x\U000e0100".encode(), "contains the character U+E0100; remove it"),
        (b"\xe9t\xe9", "contains the byte 0xE9, which is not UTF-8; save the file as CSV in UTF-8"),
        (
            b"'=1",
            "begins with an apostrophe, which `oneloop ledger export` adds for spreadsheets: "
            '"\'=1"; remove it, or export with --raw',
        ),
        (b"x" * 256, f"has 256 characters, and at most 255 are allowed: '{'x' * 40}...'"),
        ("é".encode() * 256, f"has 256 characters, and at most 255 are allowed: '{'é' * 40}...'"),
    ],
)
@pytest.mark.parametrize("column", ["id", "workspace_id", "external_meter_id"])
def test_ids_have_no_invisible_characters(name: bytes, fault: str, column: str) -> None:
    """An empty id, one that is too long, and what nobody sees in one, are mistakes."""
    values = {"id": b"pay_1", "workspace_id": b"ws_1", "external_meter_id": b"acme"} | {
        column: b'"' + name + b'"'
    }
    text = HEADER.encode() + b",".join([*values.values(), b"500\n"])
    assert mistakes(text) == [f"line 2, column {column}: the value {fault}"]


@pytest.mark.parametrize(
    "name",
    [
        "\u0645\u06cc\u200c\u062e\u0648",
        "\u0d28\u0d4d\u200d\u0d31",
        "\u2764\ufe0f",
        "\u2764\ufe0f\u200d\U0001f525",
        "\u845b\U000e0100",
    ],
)
def test_names_are_spelled_with_joiners(name: str) -> None:
    """Words of Persian and Malayalam need them between letters, and emoji and kanji selectors."""
    assert mistakes(f"{HEADER}pay_1,ws_1,{name},5\n".encode()) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"", f"line 1: the file is empty; its first line must name the columns {NEEDED}"),
        (
            b"\xef\xbb\xbf",
            f"line 1: the file is empty; its first line must name the columns {NEEDED}",
        ),
        (b"\n \n", f"line 1: the file is empty; its first line must name the columns {NEEDED}"),
        (
            b"\npay_1,ws_1,acme,500\n",
            f"line 2: the first line must be a header with the columns {NEEDED}, in any order",
        ),
        (
            (HEADER + "pay_1,ws_1,acme,500\n").encode("utf-16"),
            "line 1: this file is UTF-16, not UTF-8; save it as CSV in UTF-8",
        ),
        (
            HEADER.encode("utf-16-le"),
            "line 1: this file is UTF-16, not UTF-8; save it as CSV in UTF-8",
        ),
        (
            HEADER.encode("utf-16-be"),
            "line 1: this file is UTF-16, not UTF-8; save it as CSV in UTF-8",
        ),
        (
            b"PK\x03\x04...",
            "line 1: this file is an Excel workbook or a ZIP archive, not a CSV file; "
            "save it as CSV in UTF-8",
        ),
        (
            b"\x1f\x8b\x08...",
            "line 1: this file is compressed with gzip; save it as CSV in UTF-8",
        ),
        (
            b'"id"x,workspace_id\n',
            "line 1: a closing quotation mark must be followed by a comma or by the end of the "
            'line; write a quotation mark inside of a quoted field twice: ""',
        ),
        (
            b'id,"workspace_id\n\n',
            "line 1: the row that begins here has an opening quotation mark without a closing one",
        ),
    ],
)
def test_a_file_that_is_no_table(text: bytes, expected: str) -> None:
    """What cannot be read at all is one mistake."""
    assert mistakes(text) == [expected]


def test_columns_must_be_those_that_are_needed() -> None:
    """A column that is missing, there twice, misspelled or not needed is named, with what to do."""
    assert mistakes(
        "id,workspaceId,workspace_id,Meter,,\ud83d\n".encode("utf-8", "surrogatepass")
    ) == [
        "line 1, column workspace_id: the header has it twice, as workspaceId and workspace_id",
        "line 1, column external_meter_id: the header does not have this column; add it",
        "line 1, column refill: the header does not have this column; add it",
        "line 1, column Meter: the header has a column that is not used; remove it, or pass "
        "--ignore-column Meter",
        "line 1: column 5 has no name; remove it",
        "line 1: the name of column 6 contains the byte 0xED, which is not UTF-8; save the file as "
        "CSV in UTF-8",
    ]
    assert mistakes("ID;Workspace ID;external-meter-id;refill;\n1;2;3;4;\n") == [
        "line 1, column id: the header spells it 'ID'; write id",
        "line 1, column workspace_id: the header spells it 'Workspace ID'; write workspace_id",
        "line 1, column external_meter_id: the header spells it 'external-meter-id'; write "
        "external_meter_id",
        "line 1: column 5 has no name; remove it",
    ]


def test_rows_are_checked_also_if_there_is_a_column_too_many() -> None:
    """A column that is not used does not hide what is wrong with the rows."""
    text = "id,workspace_id,external_meter_id,refill,my note\npay_1,ws_1,acme,0,hello\n"
    assert mistakes(text) == [
        "line 1, column my note: the header has a column that is not used; remove it, or pass "
        "--ignore-column 'my note'",
        "line 2, column refill: the value must be greater than 0",
    ]
    assert mistakes(text, "my note") == mistakes(text)[1:]


def test_rows_have_as_many_fields_as_the_header() -> None:
    """A row with other fields is named, and so is one that has none."""
    text = "id;workspace_id;external_meter_id;refill\n;;;\n1\n1;2\n1;2;3;4;5\n"
    assert mistakes(text) == [
        "line 2: the row is empty; remove the line",
        "line 3: the row has 1 field, and the header 4, separated by semicolons",
        "line 4: the row has 2 fields, and the header 4, separated by semicolons",
        "line 5: the row has 5 fields, and the header 4, separated by semicolons; a field that "
        "contains one must be in quotation marks",
    ]


def test_quotation_marks_in_the_wrong_places() -> None:
    """A quote that is not doubled costs one row, one that is not closed the rest of the file."""
    text = HEADER + 'pay_1,"ws"1,acme,5\npay_2,ws_1,acme,500\npay_3,"ws_1,acme,5\npay_4,\n'
    report = checked(text)
    assert report.rows == 1
    assert [*map(str, report.mistakes)] == [
        "line 2: a closing quotation mark must be followed by a comma or by the end of the line; "
        'write a quotation mark inside of a quoted field twice: ""',
        "line 4: the row that begins here has an opening quotation mark without a closing one",
    ]


@pytest.mark.parametrize("end", [b"pay_2,ws_1,acme,500\n" * 10_000, b"x" * 1_000_000])
def test_a_quotation_mark_that_is_not_closed_does_not_cost_memory(end: bytes) -> None:
    """What belongs to one row has a limit, also on one line."""
    text = HEADER.encode() + b'\n"' + end
    expected = (
        "line 3: the row that begins here has more than 131,072 bytes; is a closing quotation "
        "mark missing? The rest of the file was not checked"
    )
    assert mistakes(text) == [expected]


def test_blocks_may_end_anywhere() -> None:
    """A file is the same, however it is cut into blocks."""
    text = (HEADER + 'pay_1,ws_1,"é""\r\n",500\r\npay_2,ws_1,acme,5\r\n\n').replace("\n", "\r\n", 1)
    data = text.encode()
    whole = [*parse([data])]
    assert [one.line for one in whole] == [2, 4]
    for size in (1, 2, 3, 5, 7):
        blocks = [data[start : start + size] for start in range(0, len(data), size)]
        assert [*parse(blocks)] == whole


def test_an_id_may_occur_once() -> None:
    """The second one is a mistake, which says whether the rest of the row is the same."""
    text = HEADER + (
        "pay_1,ws_1,acme,500\npay_2,ws_1,acme,500\npay_1,ws_1,acme,500\n"
        "pay_2,ws_2,acme,600\n,,,\npay_1,ws_1,acme,500\n"
    )
    report = checked(text)
    assert (report.rows, report.credits) == (5, 2600)
    assert [*map(str, report.mistakes)] == [
        "line 4, column id: 'pay_1' is also the id of line 2, and the rows are the same; remove "
        "one of them",
        "line 5, column id: 'pay_2' is also the id of line 3, with workspace_id 'ws_1' there and "
        "'ws_2' here and refill '500' there and '600' here; give each refill an id of its own",
        "line 6: the row is empty; remove the line",
        "line 7, column id: 'pay_1' is also the id of line 2, and the rows are the same; remove "
        "one of them",
    ]


def test_ids_with_one_hash_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Different ids are never taken for one, whatever their hashes are."""
    monkeypatch.setattr("oneloop.cli._rows.hash", lambda _: 7, raising=False)
    text = HEADER + "pay_1,ws_1,acme,500\npay_2,ws_1,acme,500\n"
    assert mistakes(text) == []
    assert len(mistakes(text + "pay_2,ws_1,acme,500\n")) == 1


def test_the_first_mistakes_are_described_and_all_are_counted() -> None:
    """A file of many mistakes has 20 that are described, the first ones by line."""
    text = HEADER + "pay_1,ws_1,acme,500\n" * 5 + "x,ws_1,acme,\n" * 1000
    report = checked(text)
    assert [one.line for one in report.mistakes] == [*range(3, 3 + MAX_MISTAKES)]
    assert report.more_mistakes == 4 + 1000 - MAX_MISTAKES


def test_repeated_ids_are_counted_beyond_those_that_are_compared() -> None:
    """Every repetition counts, also where the ids that occur twice are too many to compare all."""
    rows = "".join(f"pay_{number},ws_1,acme,5\n" for number in range(1500))
    report = checked(HEADER + rows * 3)
    assert len(report.mistakes) == MAX_MISTAKES
    assert report.more_mistakes == 3000 - MAX_MISTAKES


def test_a_report_adds_up() -> None:
    """Rows and credits are summed up, in total and by workspace, and progress is reported."""
    text = HEADER + "".join(
        f"pay_{number},ws_{number % 3},acme,{number + 1}\n" for number in range(2001)
    )
    seen: list[int] = []
    report = check(lambda: read(text), progress=seen.append)
    assert seen == [1000, 2000]
    assert (report.rows, report.credits) == (2001, 2001 * 2002 // 2)
    assert [(one.workspace_id, one.rows) for one in report.workspaces] == [
        ("ws_2", 667),
        ("ws_1", 667),
        ("ws_0", 667),
    ]
    assert sum(one.credits for one in report.workspaces) == report.credits
    assert report.other_workspaces is None


VISIBLE = st.characters(codec="utf-8", exclude_categories=["C", "Z"]).filter(
    lambda one: not _BLANK.match(one)
)
IDS = st.text(VISIBLE, min_size=1, max_size=40)


@given(
    st.lists(st.tuples(IDS, IDS, st.integers(1, MAX_REFILL)), unique_by=lambda row: row[0]),
    st.permutations(COLUMNS),
    st.sampled_from(",;\t"),
    st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_what_a_program_has_written_is_read(
    rows: list[tuple[str, str, int]], order: list[str], separator: str, end: str
) -> None:
    """Whatever csv.writer writes comes back, if the ids are printable."""
    text = io.StringIO()
    writer = csv.DictWriter(text, order, delimiter=separator, lineterminator=end)
    writer.writeheader()
    for name, meter, amount in rows:
        writer.writerow(dict(zip(COLUMNS, (name, "ws_1", meter, amount), strict=True)))
    assume(not any("'" in (name[0], meter[0]) for name, meter, _ in rows))
    found = read(text.getvalue())
    assert [one[1:] for one in found if isinstance(one, Row)] == [
        (name, "ws_1", meter, amount) for name, meter, amount in rows
    ]


@given(st.binary(max_size=300), st.sampled_from([b"", HEADER.encode()]), st.integers(1, 9))
def test_any_bytes_are_rows_or_mistakes(data: bytes, header: bytes, size: int) -> None:
    """Nothing is an exception, and every byte that is not a row is a mistake with its line."""
    whole = header + data
    blocks = [whole[start : start + size] for start in range(0, len(whole), size)]
    lines = [one.line for one in parse(blocks)]
    assert all(1 <= line <= 1 + len(whole.splitlines()) for line in lines)
    if not header:
        assert lines


def many(rows: int, workspaces: int) -> Iterator[bytes]:
    """Yield a file of many rows, in blocks of a thousand."""
    yield HEADER.encode()
    for start in range(0, rows, 1000):
        yield b"".join(
            b"pay_%d,ws_%d,customer-%d,5\n" % (number, number % workspaces, number)
            for number in range(start, start + 1000)
        )


def peak(blocks: Iterable[bytes]) -> tuple[int, Report]:
    """Return how much memory a check takes at most, and its report."""
    tracemalloc.start()
    try:
        report = check(lambda: parse(blocks))
        return tracemalloc.get_traced_memory()[1], report
    finally:
        tracemalloc.stop()


def test_a_check_takes_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each further row takes 8 bytes, and further workspaces are summed up together."""
    monkeypatch.setattr("oneloop.cli._rows.MAX_WORKSPACES", 100)
    less, _ = peak(many(5_000, 110))
    more, report = peak(many(25_000, 110))
    assert more - less < 20_000 * 16
    assert report.mistakes == []
    assert len(report.workspaces) == 100
    assert report.other_workspaces is not None
    assert report.rows == 25_000
    assert report.other_workspaces.credits == 5 * report.other_workspaces.rows
    assert sum(one.rows for one in report.workspaces) + report.other_workspaces.rows == 25_000
