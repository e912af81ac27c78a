"""The whole table as one JSON document: readable anywhere, without loss, and as large as that is."""

from collections.abc import Iterable
from pathlib import Path

from ...networks.errors import FormatVersionError, TableFileError
from ..measurement import Measurement
from ..table import Table
from .files import placed, read_text
from .registry import Head, Imported, TableFormat, register


@register
class TableJson(TableFormat):
    """The document of `Table.to_json`."""

    name = "json"
    suffixes = (".json",)
    summary = "everything, raw samples included, as one document"
    lossless = True

    def write(self, path: Path, head: Head, rows: Iterable[Measurement]) -> int:
        """Write the document."""
        table = Table(head.fingerprint, rows, name=head.name, documents=head.documents)
        path.write_text(table.to_json() + "\n", encoding="utf-8")
        return len(table)

    def read(self, path: Path) -> Imported:
        """Read the document."""
        text = read_text(path)
        try:
            with placed(path):
                table = Table.from_json(text)
        except TableFileError as error:
            if isinstance(error.__cause__, FormatVersionError):
                raise error.__cause__ from None
            raise
        return Imported(fingerprint=table.fingerprint, name=table.name, documents=table.documents, rows=iter(table))
