"""Makes the tables of `tables.py`, and changes them.

    writers.py make CASE ROWS | write CASE CHANGES SECONDS SEED | run CASE SQL | drop CASE

CASE is JSON: url (of the server) and database. `write` makes so many changes, in about so many seconds, and ends. Each line that it reads is a number
of changes up to which it may go; the end of its input lets it go on to the end. It outlives its server's restarts.
"""

import json
import random
import sys
import threading
import time

import kinds
from tables import AUDIT, AUDIT_DEFINITION, KEYS, OWN_NAMES, TABLES, connect, create

WRITERS = 6


def make(case, rows):
    server = kinds.of(case["url"])
    drop(case)
    server.make_database(connect(case, database=False).cursor(), case["database"])
    connection = connect(case)
    cursor = connection.cursor()
    cursor.execute(f"create table {AUDIT} ({AUDIT_DEFINITION})")
    chance = random.Random(0)
    for number, table in enumerate(TABLES):
        for sql in create(server, connection, table):
            cursor.execute(sql)
        # Some begin empty, one with many.
        count = {0: 0, 1: int(rows) * 10}.get(number % 7, int(rows))
        if count:
            insert(server, cursor, table, range(count), number + 1, chance)
        cursor.execute(f"insert into {AUDIT} values (0, {number}, '{table}', {number + 1}, {count}, 0)")
    server.made(cursor)


def drop(case):
    connect(case, database=False).cursor().execute(f"drop database if exists {case['database']}")


def insert(server, cursor, table, numbers, mark, chance, what="insert"):
    kind = TABLES[table][0]
    names, _, key = KEYS[kind]
    rows = []
    for at, k in enumerate(numbers):
        values = server.key(key(k)) if key else (mark * 100_000 + at,)
        note = None if chance.random() < 0.1 else f"Zeile {chance.random()} é"[: chance.randrange(1, 50)]
        moment = f"20{chance.randrange(10, 40)}-01-02 03:04:05.{chance.randrange(10**6):06}"
        rows.append((*values, k, mark, 0, server.note(table, note), chance.randrange(-(10**6), 10**6) / 100, moment))
    places = f"({', '.join(['%s'] * len(rows[0]))})"
    count = 0
    for first in range(0, len(rows), 2000):
        part = rows[first : first + 2000]
        sql = server.insert(table, ", ".join(names + OWN_NAMES), ", ".join([places] * len(part)), names, what)
        cursor.execute(sql, [value for row in part for value in row])
        count += cursor.rowcount
    return count


class Tally:
    """How many changes are committed, and how many may be."""

    def __init__(self, wanted, seconds, taken):
        # How long each writer waits between two transactions, which have some sixteen changes each.
        self.pause = seconds * WRITERS * 16 / wanted
        self.lock, self.done, self.allowed, self.wanted = threading.Lock(), 0, 0, wanted
        self.failed = None
        # What earlier writers have taken of marks and of transactions.
        self.taken = taken

    def add(self, count):
        with self.lock:
            self.done += count

    def is_at_work(self):
        return self.done < self.wanted and not self.failed

    def may_go_on(self):
        return self.done < self.allowed


class Writer(threading.Thread):
    """A connection that changes rows, in transactions."""

    def __init__(self, case, number, tally, seed):
        super().__init__(daemon=True)
        self.case, self.number, self.tally, self.server = case, number, tally, kinds.of(case["url"])
        self.chance = random.Random(seed * 1000 + number)
        self.space = max(2000, tally.wanted // 60)
        self.huge = min(3000, tally.wanted // 20)
        self.statements, self.transactions = 0, 0
        self.is_lean = number == 1
        of = lambda *ways: [table for table, (_, way) in TABLES.items() if way in ways]
        self.tables = of("lean") if self.is_lean else of("kept", "altered", "rebuilt", "lean")
        self.cursor = None

    def open(self):
        connection = connect(self.case)
        self.cursor = connection.cursor()
        self.cursor.execute(self.server.session)
        if self.is_lean:
            self.server.lean(self.cursor)
        if self.number % 2:
            self.cursor.execute(self.server.isolation)

    def run(self):
        while self.tally.is_at_work():
            try:
                if self.cursor is None:
                    self.open()
                self.turn()
            except self.server.error as error:
                self.failed(error)
            except Exception as error:  # the test is to end with it
                self.tally.failed = repr(error)

    def failed(self, error):
        code = self.server.code(error)
        if code in self.server.gone:
            self.cursor = None
            time.sleep(0.1)
        elif code in self.server.passing:
            try:
                self.cursor.execute("rollback")
            except self.server.error:
                self.cursor = None
        else:
            self.tally.failed = repr(error)

    def turn(self):
        if self.tally.may_go_on():
            self.transaction()
        time.sleep(self.chance.uniform(0, 2 * self.tally.pause))

    def mark(self):
        self.statements += 1
        return self.tally.taken + self.number * 10**9 + self.statements

    def transaction(self):
        chance, done = self.chance, []
        self.transactions += 1
        self.cursor.execute("begin")
        is_huge = chance.random() < 0.003
        for _ in range(chance.randrange(1, 8)):
            self.statement(done, is_huge)
            if chance.random() < 0.05:
                # What follows comes to nothing, and the rest of the transaction stands.
                self.cursor.execute("savepoint here")
                self.statement([], False)
                self.cursor.execute("rollback to savepoint here")
        if chance.random() < 0.1:
            self.cursor.execute("rollback")
            return
        if done:
            txn = self.tally.taken + self.number * 10**9 + self.transactions
            rows = ", ".join(f"({txn}, {nr}, '{table}', {mark}, {came}, {went})" for nr, (table, mark, came, went) in enumerate(done))
            self.cursor.execute(f"insert into {AUDIT} values {rows}")
        self.cursor.execute("commit")
        self.tally.add(sum(came + max(went, 0) for _, _, came, went in done))

    def changed(self, sql, values=None):
        self.cursor.execute(sql, values)
        return self.cursor.rowcount

    def numbers(self):
        """Where to: mostly among numbers that are this writer's, so that not all wait for each other."""
        share = self.space // WRITERS
        if self.chance.random() < 0.85:
            return self.number % WRITERS * share + self.chance.randrange(share)
        return self.chance.randrange(self.space)

    def statement(self, done, is_huge):
        chance, mark = self.chance, self.mark()
        table = chance.choice(self.tables)
        names, _, key = KEYS[TABLES[table][0]]
        k = self.numbers()
        width = self.huge if is_huge else chance.choice([1, 1, 2, 20])
        came, went = 0, 0
        what = chance.random()
        # A lean image of a row that leaves its key has not all that the row has at the other one.
        if what < 0.12 and key and not self.is_lean and table not in self.server.fixed:
            to = self.numbers()
            came = self.changed(*self.server.move(table, names, self.server.key(key(to)), (to, mark, k))) if to != k else 0
            went = came
        elif what < 0.2 and key:
            came = min(insert(self.server, self.cursor, table, [k], mark, chance, "upsert"), 1)
        elif what < 0.25 and key:
            insert(self.server, self.cursor, table, [k], mark, chance, "replace")
            came, went = 1, -1
        elif what < 0.5:
            came = insert(self.server, self.cursor, table, range(k, k + width), mark, chance, "ignore" if key else "insert")
        elif what < 0.82:
            more = chance.choice(["", ", note = null", f", note = 'neu {mark}'", ", amount = -amount, at = '2030-01-01'"])
            came = self.changed(f"update {table} set mark = {mark}, n = n + 1{more} where k between {k} and {k + width}")
        else:
            went = self.changed(f"delete from {table} where k between {k} and {k + width}")
        if came or went:
            done.append((table, mark, came, went))


class Alterer(Writer):
    """A connection that alters tables among the changes of their rows."""

    def __init__(self, case, tally, seed):
        super().__init__(case, WRITERS, tally, seed)
        self.altered = 0

    def turn(self):
        chance = self.chance
        way = chance.choice(["kept", "lean", "altered", "altered", "rebuilt", "rebuilt", "rebuilt"])
        table = chance.choice([table for table, (_, its) in TABLES.items() if its == way])
        extra = {name: of for name, of in self.server.columns(self.cursor, table) if name.startswith("x")}
        choices = [self.index, self.index, self.words]
        if chance.random() < 0.3:
            choices.append(self.truncate)
        if way in ("altered", "rebuilt"):
            choices += [self.add, self.add, self.remove, self.widen]
        if way == "rebuilt":
            choices += [self.swap, self.anew, self.default, self.retype, self.away, self.exchange]
        chance.choice(choices)(table, extra)
        self.altered += 1
        time.sleep(chance.uniform(0.05, 0.6))

    def do(self, *statements):
        for sql in statements:
            self.cursor.execute(sql)

    def fresh(self):
        # Never a name that was there before: files have what such a column had.
        self.statements += 1
        return f"x{self.statements}_{time.time_ns() // 1000 % 10**10}"

    def index(self, table, extra):
        self.do(self.server.index(self.cursor, table))

    def words(self, table, extra):
        self.do(self.server.words(table, self.chance))

    def truncate(self, table, extra):
        self.do(f"truncate table {table}")

    def place(self):
        return self.server.place(self.chance)

    def add(self, table, extra):
        self.do(f"alter table {table} add column {self.fresh()} {self.chance.choice(['int', 'varchar(30)'])} {self.place()}")

    def remove(self, table, extra):
        if extra:
            self.do(f"alter table {table} drop column {self.chance.choice(list(extra))}")

    def widen(self, table, extra):
        text = self.server.types["text"]
        texts = [name for name in extra if extra[name].startswith(text)]
        if texts:
            name = self.chance.choice(texts)
            length = int(extra[name].removeprefix(f"{text}(").removesuffix(")")) + self.chance.randrange(1, 100)
            self.do(self.server.modify(table, name, f"varchar({length})", self.place()))

    def default(self, table, extra):
        if len(extra) < 4:
            self.do(f"alter table {table} add column {self.fresh()} int not null default 5 {self.place()}")

    def retype(self, table, extra):
        numbers = [name for name in extra if extra[name].startswith(self.server.types["int"])]
        if numbers:
            self.do(self.server.modify(table, self.chance.choice(numbers), "varchar(30)", ""))

    def swap(self, table, extra):
        """As gh-ost and pt-online-schema-change end."""
        new, old = f"{table}_gho", f"{table}_del"
        self.do(f"drop table if exists {new}, {old}", *self.server.like(new, table, TABLES[table][0]))
        self.do(f"alter table {new} add column {self.fresh()} int {self.place()}")
        names = ", ".join(name for name, _ in self.server.columns(self.cursor, table))
        self.do(f"insert into {new} ({names}) select {names} from {table}")
        self.do(*self.server.rename((table, old), (new, table)), f"drop table {old}")

    def anew(self, table, extra):
        connection = self.cursor.connection
        self.do(f"drop table {table}")
        # Whatever comes between, it has to be there in the end.
        while True:
            try:
                self.do(*create(self.server, connection, table, if_absent=True))
                return
            except self.server.error as error:
                self.failed(error)
                while self.cursor is None:
                    try:
                        self.open()
                        connection = self.cursor.connection
                    except self.server.error:
                        time.sleep(0.2)

    def away(self, table, extra):
        away = f"{table}_away"
        self.do(f"alter table {table} rename to {away}", f"alter table {away} rename to {table}")

    def exchange(self, table, extra):
        kind = TABLES[table]
        other = [name for name, its in TABLES.items() if its == kind and name != table]
        if other:
            other = self.chance.choice(other)
            self.do(*self.server.rename((table, f"{table}_x"), (other, table), (f"{table}_x", other)))


def listen(tally):
    for line in sys.stdin:
        tally.allowed = int(line)
    tally.allowed = tally.wanted


def put_back(case):
    """A table whose name a restart has left elsewhere."""
    cursor = connect(case).cursor()
    server = kinds.of(case["url"])
    there = server.tables(cursor)
    for table in TABLES:
        if table not in there:
            away = f"alter table {table}_away rename to {table}"
            for sql in [away] if f"{table}_away" in there else create(server, cursor.connection, table):
                cursor.execute(sql)


def write(case, changes, seconds, seed):
    cursor = connect(case).cursor()
    cursor.execute(f"select greatest(max(mark), max(txn)) from {AUDIT}")
    tally = Tally(int(changes), float(seconds), int(cursor.fetchone()[0]) // 10**10 * 10**10 + 10**10)
    threads = [Writer(case, number, tally, int(seed)) for number in range(WRITERS)] + [Alterer(case, tally, int(seed))]
    threading.Thread(target=listen, args=(tally,), daemon=True).start()
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    if tally.failed:
        sys.exit(f"a writer failed: {tally.failed}")
    put_back(case)
    transactions = sum(one.transactions for one in threads)
    print(json.dumps({"changes": tally.done, "transactions": transactions, "altered": threads[-1].altered}))


def run(case, sql):
    rows = kinds.of(case["url"]).run(case, connect, sql)
    print(json.dumps([[str(value) for value in row] for row in rows]))


if __name__ == "__main__":
    command, case, *arguments = sys.argv[1:]
    {"make": make, "write": write, "run": run, "drop": drop}[command](json.loads(case), *arguments)
