"""connectorx_copy.py whole|stream URL TABLE FORMAT FILE: what a user of connectorx writes to copy a table into a file. Whole, the
library's usual way, holds the table in memory; stream takes it in batches."""

import sys

import connectorx
import pyarrow as pa
from pyarrow import csv, parquet

way, url, table, form, path = sys.argv[1:]
read = connectorx.read_sql(url, f"select * from {table}", return_type="arrow" if way == "whole" else "arrow_stream", batch_size=65536)
with parquet.ParquetWriter(path, read.schema, compression="zstd") if form == "parquet" else csv.CSVWriter(path, read.schema) as writer:
    if isinstance(read, pa.Table):
        writer.write_table(read)
    else:
        for batch in read:
            writer.write_batch(batch)
