"""Compares the present state of filled changes with the server's table.

    filled.py CASE LIVE

CASE and LIVE are those of present.py. The statement is that of docs/sources/postgres.md. It ends with a code other than 0
where anything is wrong, and prints what there was.
"""

import json
import sys

import duckdb

from tables import connect

PRESENT = """
WITH changed AS (
    SELECT *, max(_seq) FILTER (WHERE _op = 't') OVER () AS emptied,
           max(_seq) FILTER (WHERE _op = 'd') OVER (PARTITION BY id) AS deleted
    FROM filled
)
SELECT id, arg_max_null(v, _seq) AS v,
       arg_max_null(big, _seq) FILTER (WHERE NOT coalesce(list_contains(_unchanged, 'big'), false)) AS big
FROM changed
WHERE _op IN ('c', 'u', 'r') AND _seq > coalesce(emptied, 0) AND _seq > coalesce(deleted, 0)
GROUP BY id ORDER BY id
"""

case = json.loads(sys.argv[1])
with open(sys.argv[2], encoding="utf-8") as lines:
    paths = [line.rstrip("\n") for line in lines]
duckdb.execute("CREATE TABLE filled AS SELECT * FROM read_parquet($1, union_by_name = true)", [paths])
ours = duckdb.execute(PRESENT).fetchall()
with connect(case) as connection, connection.cursor() as cursor:
    cursor.execute("SELECT id, v, big FROM filled ORDER BY id")
    theirs = [tuple(row) for row in cursor.fetchall()]
assert len(ours) == len(theirs), f"{len(ours)} rows are {len(theirs)}"
for one, other in zip(ours, theirs):
    assert one == other, f"{one[0]}: {one[1]}, {str(one[2])[-20:]} is {other[0]}: {other[1]}, {str(other[2])[-20:]}"
counts = "count(*), count(_filled), count(_unchanged), count(*) FILTER (WHERE list_has_any(_filled, _unchanged))"
rows, filled, unchanged, both = duckdb.execute(f"SELECT {counts} FROM filled").fetchone()
assert both == 0, f"{both} rows have a column that is both"
print(json.dumps({"rows": rows, "filled": filled, "unchanged": unchanged, "present": len(ours)}))
