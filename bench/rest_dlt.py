"""rest_dlt.py URL LIMIT SHAPE FOLDER: a dlt pipeline from its REST source to Parquet files."""

import sys
from pathlib import Path

import dlt
from dlt.sources.rest_api import rest_api_source

url, limit, shape, path = sys.argv[1:]
folder = Path(path)
resource = {
    "name": "copy",
    "write_disposition": "replace",
    "endpoint": {"path": "cursor", "params": {"limit": int(limit)}, "data_selector": "data"},
}
if shape == "rich":
    # Integers that 64 bits do not hold: it takes them as text only, and has no other way to be told.
    resource["processing_steps"] = [{"map": lambda record: {**record, "views": str(record["views"]), "huge": str(record["huge"])}}]
source = rest_api_source(
    {
        "client": {
            "base_url": url,
            "paginator": {"type": "cursor", "cursor_path": "meta.next_cursor", "cursor_param": "cursor"},
        },
        "resources": [resource],
    },
    # Records and lists within records stay JSON, which is cheaper than tables of their own.
    max_table_nesting=0,
)
pipeline = dlt.pipeline(
    "bench",
    pipelines_dir=str(folder / "state"),
    destination=dlt.destinations.filesystem(bucket_url=f"file://{folder / 'out'}"),
    dataset_name="bench",
)
print(pipeline.run(source, loader_file_format="parquet"))
