"""documents_dlt.py URL DATABASE COLLECTION FOLDER WAY: a dlt pipeline from one collection to Parquet files: `object` as its source for
MongoDB has it by default, documents as Python objects; `arrow` by pymongoarrow."""

import sys
from pathlib import Path

import bson
import dlt
import pymongo

url, database, name, path, way = sys.argv[1:]
folder = Path(path)
collection = pymongo.MongoClient(url)[database][name]


def plain(value):
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    return str(value) if isinstance(value, bson.ObjectId) else value


@dlt.resource(name=name, write_disposition="replace")
def documents():
    if way == "arrow":
        import pymongoarrow.api

        last = None
        while True:
            condition = {"_id": {"$gt": last}} if last else {}
            table = pymongoarrow.api.find_arrow_all(collection, condition, sort=[("_id", 1)], limit=100_000)
            if table.num_rows == 0:
                return
            last = bson.ObjectId(table["_id"][-1].as_py())
            texts = pymongoarrow_texts(table)
            yield texts
    else:
        batch = []
        for document in collection.find(batch_size=10_000):
            batch.append(plain(document))
            if len(batch) == 10_000:
                yield batch
                batch = []
        yield batch


def pymongoarrow_texts(table):
    import pyarrow

    keys = pyarrow.array([key.as_py().hex() if isinstance(key.as_py(), bytes) else str(key.as_py()) for key in table["_id"]])
    return table.set_column(table.schema.get_field_index("_id"), "_id", keys)


pipeline = dlt.pipeline(
    "bench",
    pipelines_dir=str(folder / "state"),
    destination=dlt.destinations.filesystem(bucket_url=f"file://{folder / 'out'}"),
    dataset_name="bench",
)
print(pipeline.run(documents(), loader_file_format="parquet"))
