"""replication_count.py HOST PORT USER DATABASE TABLE FILE POSITION: reads a server's log from a place to its end by the Python library
mysql-replication, and counts the rows. Prints as JSON how many, and how many seconds lay between the first event and the end."""

import json
import os
import sys
import time

from pymysqlreplication import BinLogStreamReader
from pymysqlreplication.row_event import DeleteRowsEvent, UpdateRowsEvent, WriteRowsEvent

host, port, user, database, table, file, position = sys.argv[1:]
stream = BinLogStreamReader(
    connection_settings={"host": host, "port": int(port), "user": user, "passwd": os.environ["BENCH_PASSWORD"]},
    server_id=77302,
    log_file=file,
    log_pos=int(position),
    resume_stream=True,
    blocking=False,
    only_events=[DeleteRowsEvent, UpdateRowsEvent, WriteRowsEvent],
    only_schemas=[database],
    only_tables=[table],
    enable_logging=False,
)
count, begin = 0, 0.0
for event in stream:
    begin = begin or time.monotonic()
    count += len(event.rows)
print(json.dumps({"rows": count, "seconds": time.monotonic() - begin}))
