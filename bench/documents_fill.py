"""documents_fill.py URL DATABASE SHAPE COUNT: fills a collection, unless it is there with so many documents. `flat` has 10 fields,
`wide` 40, `nested` 12 with records and lists; `unordered` has those of `flat` in a collection with a collation, which tidemark reads in
the server's own order, as the others read all of them, and not in that of keys."""

import datetime
import sys

import bson
import pymongo

url, database, shape, count = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
collection = pymongo.MongoClient(url)[database][shape]
EPOCH = datetime.datetime(2024, 1, 1)


def flat(i):
    return {
        "_id": bson.ObjectId(f"{i * 2654435761 % 2**32:08x}{i:016x}"),
        "number": i,
        "big": bson.Int64(i * 7919 * 10**6),
        "price": i * 0.37,
        "name": f"customer {i * 7919 % 100003}",
        "city": ("Berlin", "Grüße", "東京", "Lisboa", "Kraków")[i % 5],
        "at": EPOCH + datetime.timedelta(milliseconds=i * 61007),
        "ok": i % 3 == 0,
        "note": f"note {i * 31 % 1009}",
        "code": f"{i * 13 % 9973:04}",
    }


def wide(i):
    made = flat(i)
    for n in range(6):
        made[f"int{n}"] = i * (n + 3) % 100003
        made[f"long{n}"] = bson.Int64(i * 7919 * 10**6 + n)
        made[f"double{n}"] = (i * (n + 1) % 999983) / 8
        made[f"text{n}"] = f"text {i * (n + 7) % 50021}"
        made[f"at{n}"] = EPOCH + datetime.timedelta(milliseconds=i * 61007 + n)
    return made


def nested(i):
    made = flat(i)
    made["address"] = {"city": f"city {i % 331}", "zip": i % 100000, "geo": {"lat": i % 180 / 2, "lon": i % 360 / 4}}
    made["items"] = [{"sku": f"s{n}", "count": n + i % 3, "price": n * 1.5} for n in range(i % 4)]
    return made


make = {"flat": flat, "wide": wide, "nested": nested, "unordered": flat}[shape]
if collection.estimated_document_count() != count:
    collection.drop()
    if shape == "unordered":
        collection.database.create_collection(shape, collation={"locale": "en"})
    for first in range(0, count, 10_000):
        collection.insert_many([make(i) for i in range(first, min(first + 10_000, count))], ordered=False)
