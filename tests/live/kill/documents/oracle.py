"""What the tests of killed runs of MongoDB compare with: it makes and changes collections, and reads files and collections with
other programs than ours.

    oracle.py COMMAND CASE [ARGUMENT]

CASE is JSON: url (of the server), database, format, place (a folder). Commands: make DOCUMENTS, change, drop, compare LIVE,
write CHANGES SEED, present LIVE. LIVE is a file with the paths that `tidemark files` lists, one a line. A command that finds anything
wrong ends with a code other than 0; what it has seen it prints.
"""

import collections
import datetime
import decimal
import functools
import hashlib
import itertools
import json
import multiprocessing
import random
import re
import sys
import time

import bson
import duckdb
import pymongo
import pymongo.errors

TABLE = "events"
EPOCH = datetime.datetime(2024, 1, 1)
MOMENT = re.compile(r"^(\d{4,6}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(\.\d+)?(Z|\+00(:?00)?)?$")
HEX = re.compile(r"^([0-9a-f]{24}|[0-9a-f]{32})$")
DIGITS = frozenset("0123456789-")
NUMBER = re.compile(r"^-?\d+(\.\d+)?([eE][+-]?\d+)?$")


def key(i):
    """Keys of many types in one collection."""
    noise = hashlib.md5(str(i).encode()).digest()
    kinds = [
        lambda: bson.ObjectId(noise[:12]),
        lambda: f"key {noise.hex()[:6]} {i}",
        lambda: bson.Int64(i << 20),
        lambda: i + 0.5,
        lambda: bson.Binary(noise, 4),
        lambda: {"day": i % 97, "n": i},
        lambda: EPOCH + datetime.timedelta(milliseconds=i),
    ]
    return kinds[i % len(kinds)]()


def drifting(i, total):
    """A value whose type is another one in each quarter."""
    quarter = 4 * i // max(total, 1)
    return [i % 1000, bson.Int64(i * 10**10 % 2**62), i / 8, f"text {i % 50}"][min(quarter, 3)]


def document(i, total, version=0):
    """40 fields: of every usual type, missing, null, nested, and drifting."""
    made = {"_id": key(i), "number": i, "version": version, "drift": drifting(i, total)}
    for n in range(6):
        made[f"int{n}"] = (i * (n + 3)) % 100003 - 50000
        made[f"long{n}"] = bson.Int64(i * 7919 * 10**9 % 2**62 + n)
        made[f"double{n}"] = (i - 5000 + n) / 8
        made[f"text{n}"] = None if (i + n) % 11 == 0 else ["", 'a "quoted", one\nof two', "Grüße, 東京 🚀", f"text {i % 977}"][(i + n) % 4]
        made[f"at{n}"] = EPOCH + datetime.timedelta(milliseconds=i * 61007 * (n + 1) - 10**11)
    made["flag"] = i % 3 == 0
    made["amount"] = bson.Decimal128(decimal.Decimal(i * 7919 % 1000003) / 10000)
    made["address"] = {"city": f"city {i % 31}", "geo": {"lat": i % 180 / 2, "lon": -(i % 360) / 4}, **({"zip": i % 100000} if i % 5 else {})}
    made["tags"] = [f"tag {n}" for n in range(i % 4)]
    made["items"] = [{"sku": f"s{n}", "count": n, **({"note": "x"} if n % 2 else {})} for n in range(i % 3)]
    if i % 2:
        made["sometimes"] = i
    if 10 * i > 9 * total:
        made["late"] = f"late {i}"
    return made


def text_of(value):
    """The same text for the same value, be it a number or its text. What is met most often comes first."""
    kind = type(value)
    if kind is str:
        if value[:1] not in DIGITS or (value.isascii() and value.isdigit() and value[0] != "0"):
            return value
        found = MOMENT.match(value)
        if found:
            return f"{found[1]}T{found[2]}{(found[3] or '.')[:4].ljust(4, '0')}"
        return number_text(decimal.Decimal(value)) if NUMBER.match(value) else value
    if kind is int or kind is bson.Int64:
        return str(value)
    if kind is float:
        text = repr(value)
        return text if text.lstrip("-").replace(".", "").isdigit() and text[-2:] != ".0" else number_text(decimal.Decimal(text))
    if kind is datetime.datetime:
        value = value.astimezone(datetime.timezone.utc).replace(tzinfo=None) if value.tzinfo else value
        return value.isoformat(timespec="milliseconds")
    if kind is bool:
        return "true" if value else "false"
    if kind is decimal.Decimal or kind is bson.Decimal128:
        return number_text(value.to_decimal() if kind is bson.Decimal128 else value)
    if isinstance(value, (bytes, bson.Binary)):
        return bytes(value).hex()
    if isinstance(value, (list, tuple)):
        return json.dumps([dict(leaves(item)) if isinstance(item, dict) else text_of(item) for item in value if item is not None], ensure_ascii=False)
    if isinstance(value, dict):
        return json.dumps(dict(leaves(value)), ensure_ascii=False)
    return str(value)


def number_text(number):
    return format(number.normalize() + 0, "f")


def leaves(value, path=""):
    """What is in a document, by path, without nulls and empty records."""
    for name, inner in sorted(value.items()):
        at = f"{path}.{name}" if path else name
        if inner is None:
            continue
        if isinstance(inner, dict):
            yield from leaves(inner, at)
        else:
            yield at, text_of(inner)


def parsed(value):
    """A cell: text that is JSON is what it says."""
    if isinstance(value, str) and value.startswith(("{", "[")):
        try:
            return bson.json_util.loads(value)
        except (ValueError, TypeError):
            return value
    if isinstance(value, dict):
        return {name: parsed(inner) for name, inner in value.items()}
    return value


def key_text(value):
    """Keys whose text says their type are what they say; a UUID is its digits."""
    value = json.loads(value) if isinstance(value, str) and value[:1] == '"' else parsed(value)
    if isinstance(value, str) and HEX.match(value):
        return value  # not the number that an object id may look like
    if isinstance(value, dict):
        return json.dumps(dict(leaves(value)))
    text = text_of(value)
    return text.replace("-", "") if re.match(r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", text) else text


def canonical(row):
    """A row or document as text, its key aside."""
    row = {name: value if name == "_id" else parsed(value) for name, value in row.items()}
    rest = {name: value for name, value in row.items() if name != "_id"}
    return key_text(row["_id"]), json.dumps(dict(leaves(rest)), ensure_ascii=False, sort_keys=True)


def database(case):
    return pymongo.MongoClient(case["url"], serverSelectionTimeoutMS=20000)[case["database"]]


def make(case, count):
    server, count = database(case), int(count)
    server.client.drop_database(case["database"])
    server["audit"].insert_one(document(0, count))
    for first in range(0, count, 5000):
        server[TABLE].insert_many([document(i, count) for i in range(first, min(first + 5000, count))], ordered=False)


def change(case):
    """Other documents than before, so that files of an earlier load are found out."""
    events = database(case)[TABLE]
    events.delete_many({"number": {"$mod": [10, 3]}})
    events.update_many({"number": {"$lt": 5}}, {"$set": {"version": 99}})


def drop(case):
    database(case).client.drop_database(case["database"])


def rows_of(case, path):
    """The rows of one file."""
    if case["format"] == "json":
        with open(path, encoding="utf-8") as lines:
            yield from map(json.loads, lines)
        return
    read = {
        "parquet": "read_parquet($1)",
        "csv": "read_csv($1, header = true, all_varchar = true, nullstr = '', allow_quoted_nulls = false, quote = '\"', escape = '\"', delim = ',', strict_mode = true, parallel = false)",
    }[case["format"]]
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        cursor = connection.execute(f"select * from {read}", [path])
        names = [column[0] for column in cursor.description]
        while batch := cursor.fetchmany(5000):
            yield from (nested(dict(zip(names, row))) for row in batch)


def paths_of(live):
    with open(live, encoding="utf-8") as lines:
        return [line.rstrip("\n") for line in lines]


def nested(row):
    """Columns such as `address.city` as what they were."""
    made = {}
    for name, value in row.items():
        if value is None:
            continue
        *above, last = name.split(".")
        here = made
        for part in above:
            here = here.setdefault(part, {})
        here[last] = value
    return made


def digest(rows):
    """Of all rows, whatever their order: how many, and two sums of their hashes; and the hashes of their keys as they stand."""
    count, first, second, keys = 0, 0, 0, []
    for row in rows:
        keys.append(hashlib.blake2b(str(row["_id"]).encode(), digest_size=8).digest())
        hashed = hashlib.sha256("\0".join(canonical(row)).encode()).digest()
        count, first, second = count + 1, first + int.from_bytes(hashed[:8], "big"), second + int.from_bytes(hashed[8:16], "big")
    return count, first, second, b"".join(keys)


def digest_of_file(case, path):
    return digest(rows_of(case, path))


def digest_of_batch(batch):
    return digest(bson.decode_all(batch))


def summed(digests):
    count, first, second, keys = 0, 0, 0, set()
    for digest in digests:
        count, first, second = count + digest[0], first + digest[1], second + digest[2]
        keys.update(digest[3][at : at + 8] for at in range(0, len(digest[3]), 8))
    return (count, first, second), len(keys)


def compare(case, live):
    paths = paths_of(live)
    with multiprocessing.Pool() as pool:
        ours, keys = summed(pool.imap_unordered(functools.partial(digest_of_file, case), paths))
        theirs, _ = summed(pool.imap_unordered(digest_of_batch, database(case)[TABLE].find_raw_batches(batch_size=2000)))
    if ours != theirs:
        rows = itertools.chain.from_iterable(rows_of(case, path) for path in paths)
        explain(dict(map(canonical, rows)), dict(map(canonical, database(case)[TABLE].find())))
    assert ours == theirs, f"the files hold {ours}, the collection {theirs} (rows, digests)"
    assert keys == ours[0], "two documents have the same key"
    print(json.dumps({"rows": ours[0]}))


def explain(ours, theirs):
    for one in sorted(set(ours) | set(theirs))[:200000]:
        if ours.get(one) != theirs.get(one):
            print(one, "\n  files:", ours.get(one), "\n  there:", theirs.get(one), file=sys.stderr)
            return


def write(case, changes, seed):
    """So many changes, of which each leaves its mark: alone, in transactions, in several collections."""
    server, chance, changes = database(case), random.Random(int(seed)), int(changes)
    done, total = 0, server[TABLE].estimated_document_count()
    next_key, allowed = 10_000_000, 0
    while done < changes:
        # Whoever reads says how far to go; the end of what it says, all the way.
        while done >= allowed and allowed < changes:
            line = sys.stdin.readline()
            allowed = int(line) if line else changes
        many = chance.choice([1, 1, 1, 3, 20])
        try:
            if chance.random() < 0.3:
                with server.client.start_session() as session, session.start_transaction():
                    made = step(server, chance, many, next_key, total, done, session)
            else:
                made = step(server, chance, many, next_key, total, done, None)
            done += made
            next_key += many
        except pymongo.errors.PyMongoError as error:
            # The server is being killed: what came of it is in the log or not, and in the collection likewise.
            print(error, file=sys.stderr)
            next_key += many
            time.sleep(0.2)
    print(json.dumps({"changes": done}))


def step(server, chance, many, next_key, total, mark, session):
    made = 0
    for n in range(many):
        events = server[TABLE] if chance.random() < 0.8 else server["audit"]
        one = {"number": chance.randrange(total + 1)}
        act = chance.random()
        if act < 0.4:
            events.insert_one({**document(next_key + n, total, mark + n), "number": next_key + n}, session=session)
        elif act < 0.75:
            events.update_one(one, {"$set": {"version": mark + n, "address.city": f"moved {mark}"}, "$unset": {"sometimes": ""}}, session=session)
        elif act < 0.85:
            found = events.find_one(one, {"_id": 1}, session=session)
            if found:
                events.replace_one(found, {"number": one["number"], "version": mark + n, "drift": f"replaced {mark}"}, session=session)
        else:
            events.delete_one(one, session=session)
        made += 1
    return made


def present(case, live):
    """The present state of all live rows is the collections; each number is there once."""
    numbers = collections.Counter()
    by_table = collections.defaultdict(list)
    for path in paths_of(live):
        by_table[path.removeprefix(case["place"]).strip("/").split("/")[0]].append(path)
    total = 0
    for table, files in by_table.items():
        rows = [row for path in files for row in rows_of(case, path)]
        rows.sort(key=lambda row: int(row["_seq"]))
        state = {}
        for row in rows:
            numbers[int(row["_seq"])] += 1
            op = row["_op"]
            if op == "t":
                state.clear()
                continue
            own = {name: value for name, value in row.items() if name not in ("_op", "_seq", "_committed_at", "_position", "_unchanged")}
            name, text = canonical(own)
            if op == "d":
                state.pop(name, None)
            else:
                state[name] = text
        theirs = dict(map(canonical, database(case)[table].find()))
        if state != theirs:
            explain(state, theirs)
        assert state == theirs, f"{table}: {len(state)} rows of the files, {len(theirs)} documents"
        total += len(rows)
    twice = [number for number, count in numbers.items() if count > 1]
    assert not twice, f"numbers that are there twice: {twice[:5]}"
    assert {"events"} <= set(by_table), by_table.keys()
    print(json.dumps({"rows": total, "tables": {table: len(files) for table, files in by_table.items()}}))


if __name__ == "__main__":
    import bson.json_util

    command, case, *arguments = sys.argv[1:]
    {"make": make, "change": change, "drop": drop, "compare": compare, "write": write, "present": present}[command](json.loads(case), *arguments)
