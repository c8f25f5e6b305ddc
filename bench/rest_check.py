"""rest_check.py FORM AMOUNT FILE...: reads the files with DuckDB and prints, as JSON, the digest of their records: how many there are, how
many ids, and the sums of the ids and of the decimal field AMOUNT in hundredths. FORM is parquet, json, or singer: JSON Lines of messages,
of which those of the type RECORD count. Beside it, how many Parquet files have no columns, and so no rows: DuckDB reads none of a folder
in which there is one, so they are left out here and named in the report. Runs in the bench's own Python."""

import json
import sys

import duckdb
import pyarrow.parquet

DIGEST = "count(*) as rows, count(distinct id) as ids, sum(id) as total, sum(round(amount * 100)::bigint) as cents"


def main(form: str, amount: str, files: list[str]) -> None:
    lines = "format = 'newline_delimited', maximum_object_size = 67108864"
    read = {
        "parquet": f"select id::bigint as id, {amount}::double as amount from read_parquet($files)",
        "json": f"select id, {amount} as amount from read_json($files, {lines}, columns = {{id: 'bigint', {amount}: 'double'}})",
        "singer": f"select (record->>'id')::bigint as id, (record->>'{amount}')::double as amount "
        f"from read_json($files, {lines}, columns = {{type: 'varchar', record: 'json'}}) where type = 'RECORD'",
    }[form]
    whole = files
    if form == "parquet":
        whole = [file for file in files if (data := pyarrow.parquet.read_metadata(file)).num_columns or data.num_rows]
    with duckdb.connect() as connection:
        rows, ids, total, cents = connection.execute(f"select {DIGEST} from ({read})", {"files": whole}).fetchall()[0]
    digest = {"rows": rows, "ids": ids, "sum of ids": int(total or 0), "cents": int(cents or 0)}
    print(json.dumps({"digest": digest, "without columns": len(files) - len(whole)}))


main(sys.argv[1], sys.argv[2], sys.argv[3:])
