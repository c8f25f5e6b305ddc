"""debezium_count.py HOST PORT USER DATABASE TABLE FILE POSITION GTIDS CHANGES: reads a MySQL server's log from a place on by Debezium,
and counts so many changes (debezium_engine.py)."""

import json
import os
import sys
from pathlib import Path

import debezium_engine
import jpype

host, port, user, database, table, file, position, gtids, wanted = sys.argv[1:]


def offsets(path: Path) -> None:
    """The place, as Debezium notes it: a Java map of bytes to bytes."""
    key = json.dumps(["bench", {"server": "bench"}], separators=(",", ":"))
    value = json.dumps({"file": file, "pos": int(position), **({"gtids": gtids} if gtids else {})})
    noted = jpype.JClass("java.util.HashMap")()
    noted.put(*(jpype.JArray(jpype.JByte)(text.encode()) for text in (key, value)))
    out = jpype.JClass("java.io.ObjectOutputStream")(jpype.JClass("java.io.FileOutputStream")(str(path)))
    out.writeObject(noted)
    out.close()


folder = Path.cwd()
offsets(folder / "offsets.dat")
properties = {
    "connector.class": "io.debezium.connector.mysql.MySqlConnector",
    "database.hostname": host,
    "database.port": port,
    "database.user": user,
    "database.password": os.environ["BENCH_PASSWORD"],
    "database.server.id": "77301",
    "database.ssl.mode": "disabled",
    "driver.allowPublicKeyRetrieval": "true",
    "database.include.list": database,
    "table.include.list": f"{database}.{table}",
    # the table is what it was: its definition is read from the server, and the log from the place on
    "snapshot.mode": "recovery",
    "schema.history.internal": "io.debezium.storage.file.history.FileSchemaHistory",
    "schema.history.internal.file.filename": str(folder / "history.dat"),
    "offset.storage.file.filename": str(folder / "offsets.dat"),
    "include.schema.changes": "false",
}
debezium_engine.count(properties, int(wanted))
