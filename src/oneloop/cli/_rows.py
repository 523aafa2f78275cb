"""Refills in a CSV file: reading and checking them, without any I/O.

`parse` makes rows and mistakes of the bytes of a file, one after the other. `check` reads all of
them and says what is in the file and what is wrong with it. Both take time that is linear in the
size of the file. `parse` keeps one record at a time, and `check` keeps 8 bytes per row, to find ids
that occur twice, and the sums of at most 10,000 workspaces.
"""

import bisect
import csv
import re
import shlex
from array import array
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple
from unicodedata import category

from attrs import frozen

COLUMNS = ("id", "workspace_id", "external_meter_id", "refill")
EXPORTED = (
    *("state", "attempts", "needs_decision", "error", "conclusion"),
    *("planned_at", "sent_at", "ended_at"),
    *("before_total_credits", "before_used_credits"),
    *("answer_total_credits", "answer_used_credits"),
)
"""Further columns of `oneloop ledger export`. They are not read, so that what it wrote can be run
again."""

SPELLINGS = {
    **{name: name for name in COLUMNS},
    "workspaceId": "workspace_id",
    "externalMeterId": "external_meter_id",
}
"""Names that a column may have in the file: those of the client, and those of the API."""

SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab"}
"""What may separate fields. The header shows which one does."""

MAX_MISTAKES = 20
"""Mistakes that `check` describes. It only counts the others."""

MAX_WORKSPACES = 10_000
"""Workspaces that `check` adds up one by one. It adds up the others in one sum."""

MAX_REFILL = 9_007_199_254_740_991
"""The largest amount that the API's document allows."""

MAX_ID = 255
"""The largest number of characters of an id."""

MAX_RECORD = 131_072
"""The largest number of bytes of a row. The csv module limits a field to as many characters."""

_CANDIDATES = 1_000
_BUCKETS = 256
_SHOWN = 40

_ORDINARY_ID = re.compile(rf"[!-&(-~](?:[ -~]{{0,{MAX_ID - 2}}}[!-~])?")
_DISARMED = re.compile(r"'[=+\-@]")  # what `oneloop ledger export` makes of `=`
_INVISIBLE_NAMES = {
    "\0": "a NUL character",
    "\n": "a line break",
    "\r": "a line break",
    "\t": "a tab",
}
_INVISIBLE = ("Cc", "Cf", "Zl", "Zp")
"""Unicode's categories of characters that are not shown: two ids that differ would look alike."""
_BLANK = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""Further ones of other categories: fillers, selectors of variants, the empty Braille pattern."""
_JOINERS = re.compile(
    "(?<=[^\0-\x7f\u200c\u200d])[\u200c\u200d](?=[^\0-\x7f\u200c\u200d])"
    "|(?<=[^\0-\x7f\u200c\u200d\u180b-\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef])"
    "[\u180b-\u180d\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef]"
)
"""Words of Persian and of languages of India, and emoji, are spelled with joiners between letters;
emoji, and names in Japan and Mongolia, with a selector behind a character. They change how these
look, so that names of customers may have them there, and nowhere else."""
_NOT_UTF_8 = re.compile("[\udc80-\udcff]")  # what "surrogateescape" makes of such a byte
_LINE_BREAK = re.compile(r"\r\n?|\n")
_AMOUNT = re.compile(r"[1-9][0-9]{0,15}")
_DIGITS = re.compile(r"[0-9]+")

_OTHER_FILES = {
    b"\xff\xfe": "UTF-16, not UTF-8",
    b"\xfe\xff": "UTF-16, not UTF-8",
    b"PK\x03\x04": "an Excel workbook or a ZIP archive, not a CSV file",
    b"\x1f\x8b": "compressed with gzip",
}


class Row(NamedTuple):
    """A refill in the file, and the line on which it begins."""

    line: int
    id: str
    workspace_id: str
    external_meter_id: str
    refill: int


@frozen(order=True)
class Mistake:
    """What is wrong at some place of the file, and what to do about it."""

    line: int
    text: str
    column: str | None = None

    def __str__(self) -> str:
        """Return it as one line for people."""
        column = "" if self.column is None else f", column {self.column}"
        return f"line {self.line}{column}: {self.text}"


@frozen
class WorkspaceTotal:
    """The refills of one workspace in a file."""

    workspace_id: str
    rows: int
    credits: int


@frozen
class Report:
    """What `check` found: the contents of a file, and its mistakes."""

    rows: int
    credits: int
    workspaces: Sequence[WorkspaceTotal]
    """By credits, the largest first."""
    other_workspaces: WorkspaceTotal | None
    """The sum of the rest, if there are too many workspaces; its `workspace_id` is empty."""
    mistakes: Sequence[Mistake]
    """The first ones, by line."""
    more_mistakes: int


def parse(blocks: Iterable[bytes], *, ignored: Collection[str] = ()) -> Iterator[Row | Mistake]:
    """Yield the rows of a CSV file, and its mistakes, in the order of the file.

    A mistake that leaves the rest of the file without a meaning, such as a header without a column
    that is needed, is the last thing that is yielded.

    Args:
        blocks: the bytes of the file.
        ignored: names of columns that the file may have in addition, and that are not read. It may
            have those of `EXPORTED` as well.
    """
    lines = _Lines(blocks)
    try:
        yield from _parsed(lines, {*ignored, *EXPORTED})
    except _UnreadableError as error:
        yield Mistake(lines.record, str(error))


def check(
    read: Callable[[], Iterable[Row | Mistake]],
    *,
    progress: Callable[[int], object] | None = None,
) -> Report:
    """Read a whole file and return what is in it.

    Args:
        read: returns the rows and mistakes of the file from its start. It is called a second time
            if an id seems to occur twice.
        progress: called with the number of rows so far, once for every thousand.
    """
    mistakes = _Mistakes()
    ids = _Ids()
    sums: dict[str, list[int]] = {}
    rest = [0, 0]
    rows = amount = 0
    for item in read():
        if isinstance(item, Mistake):
            mistakes.add(item)
            continue
        rows += 1
        amount += item.refill
        ids.add(item.id)
        both = sums.get(item.workspace_id)
        if both is None:
            both = [0, 0] if len(sums) < MAX_WORKSPACES else rest
            if both is not rest:
                sums[item.workspace_id] = both
        both[0] += 1
        both[1] += item.refill
        if progress is not None and rows % 1000 == 0:
            progress(rows)
    ids.report(read, mistakes)
    workspaces = [WorkspaceTotal(name, *both) for name, both in sums.items()]
    return Report(
        rows=rows,
        credits=amount,
        workspaces=sorted(workspaces, key=lambda one: (-one.credits, one.workspace_id)),
        other_workspaces=WorkspaceTotal("", *rest) if rest[0] else None,
        mistakes=mistakes.first(),
        more_mistakes=mistakes.number - len(mistakes.first()),
    )


class _UnreadableError(Exception):
    """The rest of the file cannot be read. Its text says why, and what to do."""


class _Lines:
    """The lines of a file as text, and the line on which the current record begins."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self.record = 1
        self._size = 0
        self._blocks = iter(blocks)

    def begin_record(self, line: int) -> None:
        """Note that what is read from now on belongs to a record that begins on this line."""
        self.record = line
        self._size = 0

    def __iter__(self) -> Iterator[str]:
        first = next(self._blocks, b"")
        if b"\0" in first[:2]:  # without the mark that says so
            raise _UnreadableError("this file is UTF-16, not UTF-8; save it as CSV in UTF-8")
        for signature, name in _OTHER_FILES.items():
            if first.startswith(signature):
                raise _UnreadableError(f"this file is {name}; save it as CSV in UTF-8")
        first = first.removeprefix(b"\xef\xbb\xbf")
        for raw in _split(chain((first,), self._blocks)):
            self._size += len(raw)
            if self._size > MAX_RECORD:
                raise _UnreadableError(
                    f"the row that begins here has more than {MAX_RECORD:,} bytes; is a closing "
                    "quotation mark missing? The rest of the file was not checked"
                )
            yield raw.decode("utf-8", "surrogateescape")


def _split(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield lines with their ends. One that is longer than a record may be is the last one."""
    rest = b""
    for block in blocks:
        *lines, rest = (rest + block).splitlines(keepends=True) or (b"",)
        if rest.endswith(b"\n"):
            lines.append(rest)
            rest = b""
        yield from lines
        if len(rest) > MAX_RECORD:
            break
    if rest:
        yield rest


def _parsed(lines: _Lines, ignored: Collection[str]) -> Iterator[Row | Mistake]:
    texts = iter(lines)
    blank = 0
    for first in texts:
        if first.strip():
            break
        blank += 1
        lines.begin_record(blank + 1)
    else:
        lines.begin_record(1)
        raise _UnreadableError(
            f"the file is empty; its first line must name the columns {_listed(COLUMNS)}"
        )
    separator = max(SEPARATORS, key=first.count)
    records = _records(chain((first,), texts), separator, blank, lines)
    header = next(records)
    if isinstance(header, Mistake):
        raise _UnreadableError(header.text)
    line, given = header
    names = [SPELLINGS.get(name, name) for name in given]
    unreadable = list(_needed_columns(line, given, names))
    yield from unreadable
    yield from _extra_columns(line, names, ignored)
    if unreadable:
        return
    indices = [names.index(name) for name in COLUMNS]
    for record in records:
        if isinstance(record, Mistake):
            yield record
        else:
            yield from _row(*record, names, indices, separator)


def _records(
    texts: Iterable[str], separator: str, blank: int, lines: _Lines
) -> Iterator[tuple[int, list[str]] | Mistake]:
    """Yield the fields of each record with the line on which it begins. Skip blank lines."""
    reader = csv.reader(texts, delimiter=separator, strict=True)
    while True:
        line = blank + reader.line_num + 1
        lines.begin_record(line)
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if "unexpected end of data" in str(error):
                raise _UnreadableError(
                    "the row that begins here has an opening quotation mark without a closing one"
                ) from None
            yield Mistake(
                line,
                f"a closing quotation mark must be followed by a {SEPARATORS[separator]} or by the "
                'end of the line; write a quotation mark inside of a quoted field twice: ""',
            )
        else:
            if fields:
                yield line, fields


def _needed_columns(line: int, given: Sequence[str], names: Sequence[str]) -> Iterator[Mistake]:
    """Yield why rows cannot be read: a column that is needed is missing, or there twice."""
    meant = {_plain(name): name for name in given}
    missing = [name for name in COLUMNS if name not in names]
    if missing == list(COLUMNS) and meant.keys().isdisjoint(map(_plain, COLUMNS)):
        raise _UnreadableError(
            f"the first line must be a header with the columns {_listed(COLUMNS)}, in any order"
        )
    for name in COLUMNS:
        like = meant.get(_plain(name))
        if name not in missing:
            spelled = [one for one in given if SPELLINGS.get(one) == name]
            if len(spelled) > 1:
                yield Mistake(line, f"the header has it twice, as {_listed(spelled)}", name)
        elif like is None:
            yield Mistake(line, "the header does not have this column; add it", name)
        else:
            yield Mistake(line, f"the header spells it {_quoted(like)}; write {name}", name)


def _extra_columns(line: int, names: Sequence[str], ignored: Collection[str]) -> Iterator[Mistake]:
    """Yield the columns that are neither needed nor ignored."""
    needed = {*map(_plain, COLUMNS)}
    for place, name in enumerate(names, 1):
        if name in ignored or _plain(name) in needed:
            continue
        fault = _fault(name)
        if not name:
            yield Mistake(line, f"column {place} has no name; remove it")
        elif fault is None:
            yield Mistake(
                line,
                "the header has a column that is not used; remove it, or pass --ignore-column "
                f"{shlex.quote(name)}",
                name,
            )
        else:
            yield Mistake(line, f"the name of column {place} {fault}")


def _plain(name: str) -> str:
    """Return the letters of a column's name, so that similar spellings are equal."""
    return re.sub(r"[\W_]", "", name).lower()


def _row(
    line: int,
    fields: Sequence[str],
    names: Sequence[str],
    indices: Sequence[int],
    separator: str,
) -> Iterator[Row | Mistake]:
    """Yield the row that these fields are, or what is wrong with each of them."""
    if not any(fields):
        yield Mistake(line, "the row is empty; remove the line")
        return
    if len(fields) != len(names):
        yield _miscounted(line, fields, names, separator)
        return
    name, workspace, meter, amount = (fields[index] for index in indices)
    if (
        _AMOUNT.fullmatch(amount)
        and int(amount) <= MAX_REFILL
        and all(map(_ORDINARY_ID.fullmatch, (name, workspace, meter)))
    ):
        yield Row(line, name, workspace, meter, int(amount))
        return
    is_valid = True
    for index, column in sorted(zip(indices, COLUMNS, strict=True)):
        fault = (amount_fault if column == "refill" else value_fault)(fields[index])
        if fault is not None:
            yield Mistake(line + _line_breaks(fields[:index]), fault, column)
            is_valid = False
    if is_valid:
        yield Row(line, name, workspace, meter, int(amount))


def _miscounted(line: int, fields: Sequence[str], names: Sequence[str], separator: str) -> Mistake:
    """Return the mistake of a row that has other columns than the header."""
    hint = "; a field that contains one must be in quotation marks"
    return Mistake(
        line,
        f"the row has {len(fields)} {'field' if len(fields) == 1 else 'fields'}, and the header "
        f"{len(names)}, separated by {SEPARATORS[separator]}s"
        f"{hint if len(fields) > len(names) else ''}",
    )


def _line_breaks(fields: Sequence[str]) -> int:
    """Return how many line breaks there are inside of the fields."""
    return sum(len(_LINE_BREAK.findall(field)) for field in fields)


def _fault(text: str) -> str | None:
    """Return what is wrong with an id, None if nothing is."""
    if not text:
        return "is empty"
    wrong_byte = _NOT_UTF_8.search(text)
    if wrong_byte is not None:
        return (
            f"contains the byte 0x{ord(wrong_byte[0]) - 0xDC00:02X}, which is not UTF-8; save the "
            "file as CSV in UTF-8"
        )
    invisible = next(filter(_is_invisible, _JOINERS.sub("", text)), None)
    if invisible is not None:
        name = _INVISIBLE_NAMES.get(invisible, f"the character U+{ord(invisible):04X}")
        return f"contains {name}; remove it"
    if text != text.strip():
        return f"has a space at its beginning or its end: {_quoted(text)}; remove it"
    if _DISARMED.match(text):
        return (
            f"begins with an apostrophe, which `oneloop ledger export` adds for spreadsheets: "
            f"{_quoted(text)}; remove it, or export with --raw"
        )
    if len(text) > MAX_ID:
        return f"has {len(text):,} characters, and at most {MAX_ID} are allowed: {_quoted(text)}"
    return None


def _is_invisible(one: str) -> bool:
    return category(one) in _INVISIBLE or _BLANK.match(one) is not None


def value_fault(text: str) -> str | None:
    """Return what is wrong with the value of an id, None if nothing is."""
    fault = _fault(text)
    return None if fault is None else f"the value {fault}"


def amount_fault(text: str) -> str | None:
    """Return what is wrong with an amount, None if nothing is."""
    if not _DIGITS.fullmatch(text):
        return value_fault(text) or (
            f"{_quoted(text)} is not a whole number; write it with the digits 0 to 9 alone, such "
            "as 1000"
        )
    if not text.strip("0"):
        return "the value must be greater than 0"
    if text.startswith("0"):
        return f"{_quoted(text)} begins with 0; write it without, such as 1000"
    if len(text) > len(str(MAX_REFILL)) or int(text) > MAX_REFILL:
        return f"{_quoted(text)} is more than the API takes, {MAX_REFILL}"
    return None


def _quoted(text: str) -> str:
    """Return a text of the file in quotation marks, shortened, and without control characters."""
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]])


class _Mistakes:
    """The first mistakes of a file, and the number of all."""

    def __init__(self) -> None:
        self.number = 0
        self._first: list[Mistake] = []

    def add(self, mistake: Mistake) -> None:
        """Add one. They come in the order of the file, or are few."""
        self.number += 1
        bisect.insort(self._first, mistake, key=lambda one: one.line)
        del self._first[MAX_MISTAKES:]

    def count(self, number: int) -> None:
        """Count mistakes that nobody describes."""
        self.number += number

    def first(self) -> Sequence[Mistake]:
        """Return the first ones, by line."""
        return self._first


class _Ids:
    """Finds ids that occur more than once.

    It keeps a hash of 8 bytes of each id. Ids whose hashes are equal are compared in a second
    reading of the file, so that two different ids are never taken for one. That reading compares
    at most a thousand hashes; repetitions of others are counted.
    """

    def __init__(self) -> None:
        self._buckets = [array("q") for _ in range(_BUCKETS)]

    def add(self, name: str) -> None:
        """Note an id."""
        digest = hash(name)
        self._buckets[digest % _BUCKETS].append(digest)

    def report(self, read: Callable[[], Iterable[Row | Mistake]], mistakes: _Mistakes) -> None:
        """Add a mistake for each row whose id an earlier row has."""
        repeated = [
            (digest, times)
            for bucket in self._buckets
            if len(set(bucket)) < len(bucket)
            for digest, times in Counter(bucket).items()
            if times > 1
        ]
        for _, times in repeated[_CANDIDATES:]:
            mistakes.count(times - 1)
        if repeated:
            self._compare({digest for digest, _ in repeated[:_CANDIDATES]}, read(), mistakes)

    @staticmethod
    def _compare(
        digests: Collection[int], items: Iterable[Row | Mistake], mistakes: _Mistakes
    ) -> None:
        first: dict[str, Row] = {}
        for item in items:
            if isinstance(item, Mistake) or hash(item.id) not in digests:
                continue
            earlier = first.setdefault(item.id, item)
            if earlier is not item:
                mistakes.add(Mistake(item.line, _repetition(earlier, item), "id"))


def _repetition(earlier: Row, row: Row) -> str:
    """Return what is wrong with a row whose id an earlier row has."""
    where = f"{_quoted(row.id)} is also the id of line {earlier.line}"
    different = [
        f"{name} {_quoted(str(getattr(earlier, name)))} there and "
        f"{_quoted(str(getattr(row, name)))} here"
        for name in COLUMNS
        if getattr(earlier, name) != getattr(row, name)
    ]
    if different:
        return f"{where}, with {' and '.join(different)}; give each refill an id of its own"
    return f"{where}, and the rows are the same; remove one of them"
