"""debezium_wal_count.py HOST PORT USER DATABASE TABLE SLOT PUBLICATION CHANGES: reads a PostgreSQL server's log by a slot, from where that
begins, with Debezium, and counts so many changes (debezium_engine.py)."""

import os
import sys
from pathlib import Path

import debezium_engine

host, port, user, database, table, slot, publication, wanted = sys.argv[1:]
properties = {
    "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
    "database.hostname": host,
    "database.port": port,
    "database.user": user,
    "database.password": os.environ["BENCH_PASSWORD"],
    "database.dbname": database,
    "database.sslmode": "disable",
    "table.include.list": f"public.{table}",
    "plugin.name": "pgoutput",
    "slot.name": slot,
    "publication.name": publication,
    "publication.autocreate.mode": "disabled",
    # the log from the slot's beginning on
    "snapshot.mode": "no_data",
    # rivet leaves some in the log
    "message.prefix.exclude.list": ".*",
    "offset.storage.file.filename": str(Path.cwd() / "offsets.dat"),
}
debezium_engine.count(properties, int(wanted))
