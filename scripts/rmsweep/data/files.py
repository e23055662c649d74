"""A user's own table, read so that no value is taken for another one."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from rmsweep.data.dataset import Array
from rmsweep.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa

Kind = Literal["number", "logical", "date", "text", "factor", "ordered"]

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(Inf|NaN)", re.ASCII)
LEADING_ZERO = re.compile(r"[+-]?0\d", re.ASCII)
# a double has 15 digits that are sure to come back: ids with more would be merged
LONG = re.compile(r"[+-]?\d{16,}", re.ASCII)
LONGEST = 10**15
LONGEST_SHOWN = 40
MICROSECONDS_PER_DAY = 86_400e6
LOGICAL = {"TRUE": 1.0, "T": 1.0, "FALSE": 0.0, "F": 0.0}
# what people take for a number, a date or a time although it is a text
NUMBER_LIKE = re.compile(r"(?=.*\d)[\d\s.,:/+'’%€$£-]+", re.ASCII)
FROM_A_DIGIT = re.compile(r"[^a-zA-Z]*\d.*", re.ASCII)
MOST_LABELS = 10
DECIMAL_COMMA = re.compile(r"[+-]?[\d.]*,\d+([eE][+-]?\d+)?", re.ASCII)
ISO_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
MAGIC = {
    b"PK\x03\x04": "an Excel workbook or a ZIP archive; save the sheet as CSV",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook; save the sheet as CSV",
    b"$FL2": "an SPSS file; save it as CSV",
    b"<sta": "a Stata file; save it as CSV",
    b"RDX2": "a file of R; write it by write.csv",
    b"RDX3": "a file of R; write it by write.csv",
    b"X\n\x00\x00": "a file of R; write it by write.csv",
}


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a text file is to be read, where that is not found by itself.

    Attributes
    ----------
    sep : str or None
        Separator; None for the commonest of comma, semicolon and tab in the header.
    decimal : {".", ","} or None
        Decimal mark; None for the point.
    encoding : str or None
        None for UTF-8, or UTF-16 with a byte-order mark.
    na : sequence of str or None
        Texts that stand for missing values, beside empty cells; None for ``NA`` in text files.
    """

    sep: str | None = None
    decimal: str | None = None
    encoding: str | None = None
    na: Sequence[str] | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """A column by its k distinct values.

    Attributes
    ----------
    kind : {"number", "logical", "date", "text", "factor", "ordered"}
        What its values are in a formula. Dates are days since 1970.
    codes : (n,) int array
        Each row's value, 0 ... k - 1; -1 where it is missing.
    texts : tuple of k str
        The values as the file spells them; those of texts in the order of their code points, which
        is the same on every machine, those of factors in the file's.
    numbers : (k,) array or None
        The values as numbers; None for texts and factors.
    """

    kind: Kind
    codes: NDArray[np.int64]
    texts: tuple[str, ...]
    numbers: Array | None = None

    @property
    def values(self) -> Array:
        """Each row's number, NaN where it is missing, (n,)."""
        assert self.numbers is not None
        return np.append(self.numbers, np.nan)[self.codes]

    def labels(self) -> Column:
        """The same as labels of groups: texts, whatever they look like."""
        if self.numbers is None:
            return self
        keys = list(zip(self.numbers.tolist(), self.texts, strict=True))
        order = sorted(range(len(keys)), key=keys.__getitem__)
        place = np.full(len(keys) + 1, -1)
        place[order] = np.arange(len(keys))
        return Column("text", place[self.codes], tuple(self.texts[code] for code in order))

    def doubtful(self) -> str:
        """Why a text is perhaps no label, and what to do; empty if there is no doubt."""
        if self.kind != "text" or not self.texts:
            return ""
        numbers = [text for text in self.texts if NUMBER.fullmatch(text)]
        # with a unit or the name of a month, too, where there are too many for labels
        like = FROM_A_DIGIT if len(self.texts) > MOST_LABELS else NUMBER_LIKE
        alike = [it for it in self.texts if like.fullmatch(it) or NUMBER.fullmatch(it)]
        if len(alike) * 2 <= len(self.texts):
            return ""
        odd = min(set(self.texts) - set(numbers) or numbers, key=self._first_row)
        shown = repr(odd if len(odd) < LONGEST_SHOWN else odd[:LONGEST_SHOWN] + "...")
        where = f"{shown} in row {self._first_row(odd) + 1}"
        if all(map(ISO_DATE.fullmatch, alike)):
            return f"{where} looks like a date; allowed: as.Date(...), or factor(...)"
        if DECIMAL_COMMA.fullmatch(odd):
            return (
                f"{where} has a comma; allowed: --decimal , if it is the decimal mark, numbers "
                "without commas, or factor(...)"
            )
        if NUMBER.fullmatch(odd):
            return f"{where} may be a number or a label; allowed: as.numeric(...), or factor(...)"
        return (
            f"{where} is no number, but most values look like one; allowed: numbers, --na with "
            "what stands for a missing value, or factor(...)"
        )

    def _first_row(self, text: str) -> int:
        """Where a value occurs first."""
        return int((self.codes == self.texts.index(text)).argmax())


class Table:
    """A table of a user's own; its columns are interpreted when they are asked for.

    Parameters
    ----------
    path : Path
        CSV, also with other separators or compressed by gzip, or Parquet.
    dialect : Dialect

    Raises
    ------
    UsageError
        If it can't be read, or not in one way only: rows of unequal length, equal names.
    """

    def __init__(self, path: Path, dialect: Dialect | None = None) -> None:
        self.path = path
        self.dialect = dialect or Dialect()
        content = path.read_bytes()
        self.is_text = content[:4] != b"PAR1"
        if self.is_text:
            self.names, self._columns = self._read_text(content)
        else:
            self.names, self._columns = self._read_parquet(content)
        named = [name for name in self.names if name]
        if twice := sorted({name for name in named if named.count(name) > 1}):
            raise UsageError(f"{path}: two columns are called {', '.join(twice)}; allowed: one")

    def __len__(self) -> int:
        return len(self._columns[0]) if self._columns else 0

    def column(self, name: str) -> Column:
        """A column, interpreted.

        Raises
        ------
        UsageError
            If its values are neither numbers, logical values, dates nor texts.
        """
        array = self._columns[self.names.index(name)]
        return self._of_text(array) if self.is_text else self._of_parquet(name, array)

    def _read_text(self, content: bytes) -> tuple[list[str], list[pa.Array]]:
        import pyarrow as pa
        from pyarrow import csv as pacsv

        text, sep, header = self._decoded(content)
        bad: list[Any] = []

        def refuse(row: Any) -> str:
            bad.append(row)
            return "error"

        keys = [f"f{place}" for place in range(len(header))]
        try:
            table = pacsv.read_csv(
                io.BytesIO(text.encode()),
                # the header is read with the rest, so that it is a row like the others
                pacsv.ReadOptions(use_threads=False, autogenerate_column_names=True),
                pacsv.ParseOptions(
                    delimiter=sep, newlines_in_values=True, invalid_row_handler=refuse
                ),
                pacsv.ConvertOptions(column_types=dict.fromkeys(keys, pa.string())),
            )
        except (pa.ArrowInvalid, ValueError) as error:
            problem = " ".join(str(error).split())
            if bad:
                row = bad[0]
                problem = (
                    f"row {row.number - 1} has {row.actual_columns} cells, "
                    f"the header {row.expected_columns}; allowed: as many"
                )
            raise UsageError(f"{self.path}: {problem}") from None
        return header, [column.slice(1).combine_chunks() for column in table.columns]

    def _decoded(self, content: bytes) -> tuple[str, str, list[str]]:
        """The text, its separator and its header."""
        if content[:2] == b"\x1f\x8b":
            try:
                content = gzip.decompress(content)
            except (OSError, EOFError) as error:
                raise UsageError(f"{self.path}: {error}") from None
        for magic, what in MAGIC.items():
            if content.startswith(magic):
                raise UsageError(f"{self.path}: {what}; allowed: CSV and Parquet files")
        by_mark = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
        encoding = self.dialect.encoding or by_mark
        try:
            text = content.decode(encoding).removeprefix("\ufeff")
        except LookupError as error:
            raise UsageError(f"--encoding: {error}; allowed: utf-8, latin-1, ...") from None
        except UnicodeError as error:
            place = getattr(error, "start", 0)
            line = content.count(b"\n", 0, place) + 1
            found = content[place : place + 1].hex()
            said = encoding.upper().removesuffix("-SIG")
            raise UsageError(
                f"{self.path}: byte 0x{found} in line {line} is not {said}; allowed: --encoding "
                "with the file's, such as latin-1 or cp1252"
            ) from None
        if "\0" in text:
            raise UsageError(f"{self.path}: not a text; allowed: CSV and Parquet files")
        if "\n" not in text:
            text = text.replace("\r", "\n")
        text = text.lstrip("\r\n")
        if text.count('"') % 2:
            raise UsageError(f"{self.path}: a quotation mark is never closed; allowed: pairs")
        first, _, rest = text.partition("\n")
        announced = re.fullmatch(r"sep=(.)\r?", first)  # Excel's own first line
        if announced:
            text = rest
        sep = self.dialect.sep or (announced[1] if announced else separator(text))
        try:
            header = next(csv.reader(io.StringIO(text), delimiter=sep), [])
        except (csv.Error, TypeError) as error:
            raise UsageError(f"{self.path}: {error}") from None
        header = [plain(name) for name in header]
        if not any(header):
            raise UsageError(f"{self.path}: no header; allowed: names of columns in line 1")
        return text, sep, header

    def _read_parquet(self, content: bytes) -> tuple[list[str], list[pa.Array]]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            table = pq.ParquetFile(io.BytesIO(content)).read()
        except (pa.ArrowException, OSError) as error:
            raise UsageError(f"{self.path}: {' '.join(str(error).split())}") from None
        columns = [column.unify_dictionaries().combine_chunks() for column in table.columns]
        said = json.loads((table.schema.metadata or {}).get(b"pandas", b"{}")).get("columns", ())
        categories = {it["name"] for it in said if it["pandas_type"] == "categorical"}
        for place, name in enumerate(table.column_names):
            # of numbers, which Arrow reads as numbers
            if name in categories and not pa.types.is_dictionary(columns[place].type):
                columns[place] = _sorted_dictionary(columns[place])
        return [plain(name) for name in table.column_names], columns

    def _of_text(self, array: pa.Array) -> Column:
        encoded = array.dictionary_encode()
        codes, texts = self._cleaned(encoded)
        decimal = self.dialect.decimal or "."
        spelled = [
            text if decimal == "." else text.replace(".", " ").replace(decimal, ".")
            for text in texts
        ]
        if all(map(NUMBER.fullmatch, spelled)) and not any(
            LEADING_ZERO.match(text) or LONG.fullmatch(text) for text in spelled
        ):
            numbers = np.array([float(text) for text in spelled])
            return self._without_missing(codes, texts, numbers)
        if set(texts) <= set(LOGICAL):
            return Column("logical", codes, texts, np.array([LOGICAL[text] for text in texts]))
        return Column("text", codes, texts)

    def _cleaned(self, encoded: pa.DictionaryArray) -> tuple[NDArray[np.int64], tuple[str, ...]]:
        """Codes and sorted texts without blanks around them; -1 for missing ones."""
        na = self.dialect.na if self.dialect.na is not None else ("NA",) if self.is_text else ()
        stripped = [plain(text) for text in encoded.dictionary.to_pylist()]
        texts = tuple(sorted(set(stripped) - {"", *na}))
        place = {text: code for code, text in enumerate(texts)}
        new = np.array([*(place.get(text, -1) for text in stripped), -1], dtype=np.int64)
        return new[_indices(encoded)], texts

    def _of_parquet(self, name: str, array: pa.Array) -> Column:
        import pyarrow as pa
        from pyarrow import types

        kind = array.type
        if types.is_dictionary(kind):
            return self._of_categories(array)
        if is_text(kind):
            return Column("text", *self._cleaned(array.cast(pa.string()).dictionary_encode()))
        if types.is_null(kind):
            array = array.cast(pa.float64())
        elif not (is_number(kind) or is_day(kind) or types.is_boolean(kind)):
            raise UsageError(
                f"{self.path}: {name} is of the type {kind}; allowed: numbers, texts, categories, "
                "logical values, dates"
            )
        encoded = array.dictionary_encode()
        values, codes = encoded.dictionary, _indices(encoded)
        texts = tuple(str(value) for value in values.cast(pa.string()).to_pylist())
        if types.is_boolean(kind):
            numbers = _as_numpy(values.cast(pa.int8())).astype(float)
            return Column("logical", codes, tuple(text.upper() for text in texts), numbers)
        if is_day(kind):
            zone = getattr(kind, "tz", None)
            since = _as_numpy(values.cast(pa.timestamp("us", zone), safe=False).cast(pa.int64()))
            return Column("date", codes, texts, since / MICROSECONDS_PER_DAY)
        numbers = _as_numpy(values.cast(pa.float64(), safe=False))
        if types.is_integer(kind) and (np.abs(numbers) >= LONGEST).any():
            return Column("text", *self._cleaned(array.cast(pa.string()).dictionary_encode()))
        return self._without_missing(codes, texts, numbers)

    def _without_missing(
        self, codes: NDArray[np.int64], texts: tuple[str, ...], numbers: Array
    ) -> Column:
        """Numbers; those that stand for a missing value are one, however they are spelled."""
        absent = [float(text) for text in self.dialect.na or () if NUMBER.fullmatch(text)]
        gone = np.isnan(numbers) | np.isin(numbers, absent)
        place = np.append(np.where(gone, -1, np.cumsum(~gone) - 1), -1)
        kept = tuple(text for text, missing in zip(texts, gone, strict=True) if not missing)
        return Column("number", place[codes], kept, numbers[~gone])

    def _of_categories(self, array: pa.DictionaryArray) -> Column:
        """Categories, in the file's order."""
        na = {"", *(self.dialect.na or ())}
        levels = [plain(str(level)) for level in array.dictionary.to_pylist()]
        texts = tuple(dict.fromkeys(text for text in levels if text not in na))
        place = {text: code for code, text in enumerate(texts)}
        new = np.array([*(place.get(text, -1) for text in levels), -1], dtype=np.int64)
        return Column("ordered" if array.type.ordered else "factor", new[_indices(array)], texts)


def plain(text: str) -> str:
    """A text without blanks around it, and with its accents in the usual one of two encodings."""
    text = text.strip()
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def is_text(kind: pa.DataType) -> bool:
    """Whether a type of Arrow's is one of its texts."""
    from pyarrow import types

    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def is_day(kind: pa.DataType) -> bool:
    """Whether a type of Arrow's is a date, perhaps with a time."""
    from pyarrow import types

    return bool(types.is_date(kind) or types.is_timestamp(kind))


def is_number(kind: pa.DataType) -> bool:
    """Whether a type of Arrow's is one of its numbers."""
    from pyarrow import types

    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind))


def _sorted_dictionary(array: pa.Array) -> pa.DictionaryArray:
    """An array as categories, in their own order."""
    import pyarrow as pa
    import pyarrow.compute as pc

    encoded = array.dictionary_encode()
    order = pc.array_sort_indices(encoded.dictionary)
    place = np.append(np.argsort(order), -1)[_indices(encoded)]
    return pa.DictionaryArray.from_arrays(
        pa.array(place, mask=place < 0), encoded.dictionary.take(order)
    )


def _as_numpy(array: pa.Array) -> NDArray[Any]:
    """An array without nulls, as numpy has it."""
    found: NDArray[Any] = array.to_numpy(zero_copy_only=False)
    return found


def _indices(encoded: pa.DictionaryArray) -> NDArray[np.int64]:
    """Codes of a dictionary array, -1 for nulls."""
    import pyarrow as pa

    return _as_numpy(encoded.indices.cast(pa.int64()).fill_null(-1))


def separator(text: str) -> str:
    """The commonest separator of a header, outside quotes."""
    header = re.sub(r'"[^"]*"', "", text[:100_000].lstrip("\r\n")).splitlines()[:1] or [""]
    return max(",;\t", key=header[0].count)
