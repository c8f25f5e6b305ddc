"""dlt_copy.py URL TABLE FORMAT FOLDER: a dlt pipeline from one table to files, by its fastest backend, in batches."""

import sys
from pathlib import Path

import dlt
from dlt.sources.sql_database import sql_table

url, table, form, path = sys.argv[1:]
folder = Path(path)
pipeline = dlt.pipeline(
    "bench",
    pipelines_dir=str(folder / "state"),
    destination=dlt.destinations.filesystem(bucket_url=f"file://{folder / 'out'}"),
    dataset_name="bench",
)
rows = sql_table(
    url,
    table=table,
    backend="connectorx",
    backend_kwargs={"return_type": "arrow_stream"},
    reflection_level="full_with_precision",
)
print(pipeline.run(rows, loader_file_format=form, write_disposition="replace"))
