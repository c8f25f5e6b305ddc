"""changes_check.py whole|count FORMAT FILE...: reads the files with DuckDB and prints, as JSON, how many rows they hold; and, where
they are whole, how many of each kind, and the digest of the table as it is after all changes (changes_piece.digest)."""

import json
import sys

import duckdb
from changes_piece import COLUMNS, digest

KINDS = {"datetime(6)": "timestamp", "text": "varchar", "int": "int", "double": "double", "bigint": "bigint", "smallint": "smallint"}


def columns() -> dict[str, str]:
    """The table's columns with DuckDB's types of them."""
    own = [line.rstrip(",").split()[:2] for line in COLUMNS.strip().splitlines()]
    return {name: KINDS.get(kind, kind) for name, kind in own}


def main(how: str, form: str, files: list[str]) -> None:
    types = {**columns(), "_op": "varchar", "_seq": "bigint"}
    read = {
        "parquet": "read_parquet($files)",
        "json": f"read_json($files, format = 'newline_delimited', columns = {types})",
    }[form]
    with duckdb.connect() as connection:

        def ask(statement: str) -> list[tuple]:
            return connection.execute(statement, {"files": files}).fetchall()

        found: dict = {"rows": ask(f"select count(*) from {read}")[0][0]}
        if how == "whole":
            found["kinds"] = dict(ask(f"select _op, count(*) from {read} group by _op"))
            newest = f"select * from {read} qualify row_number() over (partition by id order by _seq desc) = 1"
            present = f"with present as (select * exclude (price), price::decimal(12,2) as price from ({newest}) where _op <> 'd')"
            asked = digest(
                "present",
                eighths="(weight * 8)::bigint",
                time="strftime(placed_at, '%Y-%m-%d %H:%M:%S.%f')",
                number="('0x' || left(sha256({row}), 8))::bigint",
            )
            found["digest"] = [str(value) for value in ask(f"{present} {asked}")[0]]
    print(json.dumps(found))


main(sys.argv[1], sys.argv[2], sys.argv[3:])
