"""Compares the live files with one transaction of many rows.

    huge.py PLACE LIVE ROWS

LIVE is a file with the paths that `tidemark files` lists, one a line. The rows are those of huge.rs. It ends with a code
other than 0 where anything is wrong, and prints what there was.
"""

import json
import sys

import duckdb

place, live, rows = sys.argv[1], sys.argv[2], int(sys.argv[3])
with open(live, encoding="utf-8") as lines:
    paths = [line.rstrip("\n") for line in lines]
huge = [path for path in paths if path.startswith(f"{place}/huge/")]
small = [path for path in paths if path.startswith(f"{place}/small/")]
ENTRY = r"-(\d{20})-\d{6}\.parquet$"


def read(paths, columns):
    own = f"regexp_extract(filename, '{ENTRY}', 1)::bigint as entry"
    sql = f"select {columns} from (select *, {own} from read_parquet($1, filename = true, union_by_name = true))"
    return duckdb.execute(sql, [paths]).fetchall()


wrong = "count(*) filter (where _op <> 'c' or v <> id % 1000 or h <> left(sha256(id::varchar), 32) or amount <> id / 100::decimal(12,2))"
[found] = read(huge, f"count(*), count(distinct id), min(id), max(id), count(distinct _seq), count(distinct entry), count(distinct _position), min(entry), {wrong}")
count, keys, least, greatest, numbers, entries, positions, entry, others = found
assert (count, keys, least, greatest, numbers) == (rows, rows, 1, rows, rows), f"{rows} rows are {found}"
assert others == 0, f"{others} rows have other values"
assert (entries, positions) == (1, 1), f"{entries} commits of {positions} transactions"
rows_of_small = sorted(read(small, "id, _op, entry"))
assert [row[:2] for row in rows_of_small] == [(0, "r"), (1, "c"), (2, "c"), (3, "c"), (4, "c")], rows_of_small
# Two are of the same transaction.
assert [row[2] for row in rows_of_small if row[0] in (2, 3)] == [entry, entry], (entry, rows_of_small)
print(json.dumps({"rows": count, "parts": len(huge), "entry": entry}))
