"""connectorx_copy.py whole|stream URL TABLE KEY FORMAT FILE: what a user of connectorx writes to copy a table into a file. Whole, the
library's usual way, reads ranges of the key side by side into memory; stream takes the table in batches."""

import sys

import connectorx
import pyarrow as pa
from pyarrow import csv, parquet

way, url, table, key, form, path = sys.argv[1:]
query = f"select * from {table}"
if way == "whole":
    read = connectorx.read_sql(url, query, return_type="arrow", partition_on=key, partition_num=2)
else:
    read = connectorx.read_sql(url, query, return_type="arrow_stream", batch_size=65536)
with parquet.ParquetWriter(path, read.schema, compression="zstd") if form == "parquet" else csv.CSVWriter(path, read.schema) as writer:
    if isinstance(read, pa.Table):
        writer.write_table(read)
    else:
        for batch in read:
            writer.write_batch(batch)
