"""A piece of PostgreSQL's log: a table that is made and published, changes of it, and a slot for each who reads them."""

import time
from dataclasses import dataclass

from changes_piece import COLUMNS, DATABASE, TABLE, Piece, digest, kinds
from servers import Server

PUBLICATION = "bench"
# keeps the log for all runs, and is read by none: a slot does not go back
BASE = "bench_base"
SLOT = "bench_run"

# Of ten transactions seven insert rows, two change rows, and one deletes some: each as many as `size` says.
MAKE = f"""
create procedure make(tens bigint, size bigint) language plpgsql as $$
begin
  for ten in 0 .. tens - 1 loop
    for one in 0 .. 6 loop
      insert into {TABLE}
        select id, id * 7919 % 99991, id % 100, id * 1000003, (id * 7919 % 10000000)::numeric / 100, id::float8 / 8,
          timestamp '2024-01-01 00:00:00' + id * 1234567 * interval '1 microsecond', (array['new', 'paid', 'sent', 'returned'])[id % 4 + 1],
          'customer ' || left(encode(sha256(convert_to(id::text, 'UTF8')), 'hex'), 32),
          case when id % 7 <> 0 then 'left at the door of number ' || id || ', as was asked for' end
        from generate_series((ten * 7 + one) * size, (ten * 7 + one + 1) * size - 1) as made(id);
      commit;
    end loop;
    for one in 0 .. 1 loop
      update {TABLE} set quantity = quantity + 1, price = price + 0.01, weight = weight + 0.5,
        placed_at = placed_at + interval '1 microsecond', status = 'changed'
        where id >= (ten * 7 + one) * size and id < (ten * 7 + one + 1) * size;
      commit;
    end loop;
    delete from {TABLE} where id >= (ten * 7 + 2) * size and id < (ten * 7 + 3) * size;
    commit;
  end loop;
end
$$"""

PRESENT = digest(
    TABLE,
    eighths="(weight * 8)::bigint",
    time="to_char(placed_at, 'YYYY-MM-DD HH24:MI:SS.US')",
    number="('x' || left(encode(sha256(convert_to({row}, 'UTF8')), 'hex'), 8))::bit(32)::bigint",
)


@dataclass(frozen=True)
class WalPiece(Piece):
    """From the place `begin` to the place `end`, behind the last commit."""

    begin: str
    end: str

    def slot(self, plugin: str = "pgoutput") -> str:
        """A slot that begins where the piece does, for one run."""
        return copy(self.server, plugin)

    def leave(self) -> None:
        drop(self.server, SLOT)


def begin(server: Server) -> None:
    """Makes the table anew, empty, with its publication; what changes it; and the slot that keeps the log from here on."""
    remove(server)
    columns = COLUMNS.replace(" double ", " double precision ").replace(" datetime(6) ", " timestamp(6) ")
    server.sql(f"create database {DATABASE} encoding 'UTF8' template template0")
    # nobody cleans up behind the changes while they are read
    server.sql(
        f"""create table {TABLE} ({columns}) with (autovacuum_enabled = off);
        create publication {PUBLICATION} for table {TABLE} with (publish_via_partition_root = true);
        {MAKE};
        select pg_create_logical_replication_slot('{BASE}', 'pgoutput');""",
        DATABASE,
    )


def make(server: Server, changes: int, size: int) -> WalPiece:
    """Makes so many changes of the table, `size` of them in each transaction."""
    tens = changes // (10 * size)
    first = place(server)
    # nothing is known of a table that was never analysed: what it plans while that is small, it keeps
    server.sql(f"set enable_seqscan = off; call make({tens}, {size})", DATABASE)
    last = place(server)
    length = int(server.sql(f"select '{last}'::pg_lsn - '{first}'::pg_lsn")[0][0])
    there = server.sql(PRESENT, DATABASE)[0]
    # nothing is left to write back meanwhile
    server.sql("checkpoint")
    return WalPiece(server, kinds(tens, size), 10 * tens, there, length, first, last)


def place(server: Server) -> str:
    """Where the log ends now."""
    return server.sql("select pg_current_wal_insert_lsn()")[0][0]


def copy(server: Server, plugin: str) -> str:
    """Makes the slot of a run anew, out of the one that keeps the log."""
    drop(server, SLOT)
    server.sql(f"select pg_copy_logical_replication_slot('{BASE}', '{SLOT}', false, '{plugin}')", DATABASE)
    return SLOT


def drop(server: Server, slot: str) -> None:
    """Drops a slot, if it is there, as soon as its reader is gone: whoever reads it still is cut off."""
    slots = f"from pg_replication_slots where slot_name = '{slot}'"
    for _ in range(200):
        server.sql(f"select pg_terminate_backend(active_pid) {slots} and active")
        server.sql(f"select pg_drop_replication_slot(slot_name) {slots} and not active")
        if server.sql(f"select count(*) {slots}")[0][0] == "0":
            return
        time.sleep(0.05)
    raise SystemExit(f"{server.name}: replication slot {slot} is still read")


def remove(server: Server) -> None:
    """Gives the room back that the piece took: without the slots the server keeps no log for it."""
    for slot in (SLOT, BASE):
        drop(server, slot)
    server.sql(f"drop database if exists {DATABASE} with (force)")
    server.sql("checkpoint")
