"""mongo.py PORT: makes the test users of the MongoDB server there, which does not ask for a login yet.

repl may do everything; cdc may read and follow all databases; reader may only read the database test; old is cdc with
the older login method only; cert may do everything, with a client certificate only.
"""

import sys

import pymongo

client = pymongo.MongoClient("127.0.0.1", int(sys.argv[1]), directConnection=True)


def user(database, name, role, role_database, methods, **password):
    roles = [{"role": role, "db": role_database}]
    client[database].command("createUser", name, roles=roles, mechanisms=methods, **password)


both = ["SCRAM-SHA-1", "SCRAM-SHA-256"]
user("admin", "repl", "root", "admin", both, pwd="replpw")
user("admin", "cdc", "readAnyDatabase", "admin", both, pwd="cdcpw")
user("admin", "reader", "read", "test", both, pwd="readerpw")
user("admin", "old", "readAnyDatabase", "admin", both[:1], pwd="oldpw")
user("$external", "CN=cert", "root", "admin", ["MONGODB-X509"])
