"""The tables of the tests of changes, and the way to their server, for `writers.py` and `present.py`."""

import hashlib
import uuid

import kinds

# Their kinds of key: the columns of it and the values of one, made of a number.
KEYS = {
    "int": (["id"], "id bigint", lambda k: (k,)),
    "composite": (["a", "b"], "a {nat}, b varchar(20)", lambda k: (k % 97, f"b{k:06}")),
    "text": (["id"], "id varchar(60) {exact}", lambda k: (f"Schlüssel {k:06} 東",)),
    "uuid": (["id"], "id {uuid}", lambda k: (uuid.UUID(bytes=hashlib.md5(str(k).encode()).digest(), version=4).bytes,)),
    "moment": (["at_key", "n_key"], "at_key {moment}(6), n_key smallint", lambda k: (f"2024-02-29 10:{k // 100 % 60:02}:00.{k:06}", k % 100)),
    # Not declared: rows are appended, changed and deleted by a number that each of them has.
    "none": (["uid"], "uid bigint not null", None),
}
OWN_NAMES = ["k", "mark", "n", "note", "amount", "at"]

# What happens to them besides changes of rows. "kept": nothing that makes a reader take them for others, so that each change has to
# come; "altered": columns come and go too; "rebuilt": anything. A "lean" one is kept, and changed in sessions that log as little as may be.
TABLES = {
    "t01": ("int", "kept"),
    "t02": ("composite", "kept"),
    "t03": ("text", "kept"),
    "t04": ("uuid", "kept"),
    "t05": ("moment", "kept"),
    "t06": ("none", "kept"),
    "t07": ("int", "lean"),
    "t08": ("text", "lean"),
    "t09": ("int", "altered"),
    "t10": ("composite", "altered"),
    "t11": ("uuid", "altered"),
    "t12": ("text", "altered"),
    "t13": ("int", "rebuilt"),
    "t14": ("composite", "rebuilt"),
    "t15": ("text", "rebuilt"),
    "t16": ("uuid", "rebuilt"),
    "t17": ("moment", "rebuilt"),
    "t18": ("int", "rebuilt"),
    "t19": ("none", "rebuilt"),
}
# What each transaction has done, of which it is a part: how many rows came and changed by a statement, and how many went; -1 is not known.
AUDIT = "audit"
AUDIT_DEFINITION = "txn bigint, nr int, tab varchar(10) not null, mark bigint not null, came int not null, went int not null, primary key (txn, nr)"


def key_names(table):
    return ["txn", "nr"] if table == AUDIT else KEYS[TABLES[table][0]][0]


def connect(case, database=True, **more):
    return kinds.of(case["url"]).connect(kinds.parsed(case["url"]), case["database"] if database else None, **more)


def create(server, connection, table, **more):
    """The statements that make a table."""
    kind = TABLES[table][0]
    names, key, _ = KEYS[kind]
    columns = f"{server.key_definition(connection, table, kind, key)}, {server.definition}"
    return server.create(connection, table, kind, columns, names, **more)
