"""What may be said of a table's columns; Tracker and Reader have it."""
from __future__ import annotations

from typing import Any

from ._xetrackd import Error

class Schema:
    """Renames and rules for the columns of one table. Columns are named as the table has them, or by the keys that are logged."""

    table_name: str

    @property
    def _client(self) -> Any:
        raise NotImplementedError

    def _keys_of(self, column: str) -> list[str]:
        """The keys under which a column was logged, before it was renamed too."""
        try:
            return [column, *(key for key, in self._client.query("SELECT key FROM xt_aliases WHERE name = ? AND table_name = ?",
                                                                 (column, self.table_name)))]
        except Error as e:
            if e.code != "sql_error":
                raise
            return [column]  # a file that is only read, and was written before there were aliases

    def rename_column(self, old: str, new: str) -> str:
        """Renames a column of the table, in the rows of all runs, while others go on logging; returns its name. Where there is a column
        of the new name the two become one; xetrackd.Error with the code "value_conflict", and nothing changed, where a row
        has values in both. Rows that still come with the old key fill the column under its new name."""
        return self._client.schema_rename(self.table_name, old, new)[0]

    def accept_column(self, column: str, other: str | None = None) -> int:
        """Says that a new column, which a warning took for another's new name, is none. Returns of how many such pairs is told no longer."""
        return self._client.schema_accept(self.table_name, column, other)

    def freeze(self) -> bool:
        """From now on rows with keys that have no column yet are rejected (RejectedRow), whoever logs them. False: so it was."""
        return self._client.schema_freeze(self.table_name)

    def thaw(self) -> bool:
        """New columns are let in again. False: so it was."""
        return self._client.schema_freeze(self.table_name, False)

    def require(self, *columns: str, drop: bool = False) -> int:
        """From now on rows without a value for one of these columns are rejected; drop: no longer. Neither they nor the table need be there.
        Returns for how many that is new."""
        return self._client.schema_require(self.table_name, columns, not drop)
