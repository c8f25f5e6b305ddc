"""A piece of the binary log of MariaDB or MySQL: a table that is made, and changes of it."""

from dataclasses import dataclass

from changes_piece import COLUMNS, DATABASE, TABLE, Piece, digest, kinds
from servers import Server

# Of ten transactions seven insert rows, two change rows, and one deletes some: each as many as `size` says.
MAKE = f"""
create procedure make(in tens int, in size int)
begin
  declare ten int default 0;
  declare one int;
  while ten < tens do
    set one = 0;
    while one < 7 do
      insert into {TABLE}
        select id, id * 7919 % 99991, id % 100, id * 1000003, id * 7919 % 10000000 / 100, id / 8,
          timestamp'2024-01-01 00:00:00' + interval id * 1234567 microsecond, elt(id % 4 + 1, 'new', 'paid', 'sent', 'returned'),
          concat('customer ', left(sha2(id, 256), 32)), if(id % 7 = 0, null, concat('left at the door of number ', id, ', as was asked for'))
        from (select cast((ten * 7 + one) * size + n as signed) as id from numbers where n < size) as made;
      set one = one + 1;
    end while;
    set one = 0;
    while one < 2 do
      update {TABLE} set quantity = quantity + 1, price = price + 0.01, weight = weight + 0.5,
        placed_at = placed_at + interval 1 microsecond, status = 'changed'
        where id >= (ten * 7 + one) * size and id < (ten * 7 + one + 1) * size;
      set one = one + 1;
    end while;
    delete from {TABLE} where id >= (ten * 7 + 2) * size and id < (ten * 7 + 3) * size;
    set ten = ten + 1;
  end while;
end"""

PRESENT = digest(
    TABLE,
    eighths="cast(weight * 8 as signed)",
    time="date_format(placed_at, '%Y-%m-%d %H:%i:%s.%f')",
    number="cast(conv(left(sha2({row}, 256), 8), 16, 10) as unsigned)",
)


@dataclass(frozen=True)
class LogPiece(Piece):
    """From `position` of `file` to where the log ends; `gtids` were executed before it (MySQL)."""

    file: str
    position: int
    gtids: str


def begin(server: Server) -> None:
    """Makes the table anew, empty, and what changes it."""
    # what is no change of the table stays out of the log
    server.sql(
        f"""drop database if exists {DATABASE};
        create database {DATABASE} character set utf8mb4;
        use {DATABASE};
        create table {TABLE} ({COLUMNS}) engine=InnoDB;
        set sql_log_bin = 0;
        create table numbers (n int primary key) engine=InnoDB;
        insert into numbers select a.n + 10 * b.n + 100 * c.n from ({digits()}) as a, ({digits()}) as b, ({digits()}) as c;
        delimiter //
        {MAKE} //
        delimiter ;
        set sql_log_bin = 1;
        flush binary logs;"""
    )


def make(server: Server, changes: int, size: int) -> LogPiece:
    """Makes so many changes of the table, `size` of them in each transaction."""
    tens = changes // (10 * size)
    file, position = end(server)
    gtids = server.sql("select @@gtid_executed")[0][0].replace("\\n", "") if server.name == "mysql" else ""
    # MariaDB would repeat each statement beside its rows, and MySQL does not: both shall log the same
    plain = "set session binlog_annotate_row_events = 0;" if server.name == "mariadb" else ""
    server.sql(f"{plain} call make({tens}, {size})", DATABASE)
    last, behind = end(server)
    if last != file:
        raise SystemExit(f"{server.name}: the changes are more than one file of the log holds (max_binlog_size)")
    there = server.sql(PRESENT, DATABASE)[0]
    return LogPiece(server, kinds(tens, size), 10 * tens, there, behind - position, file, position, gtids)


def digits() -> str:
    return " union all ".join(f"select {n} as n" for n in range(10))


def end(server: Server) -> tuple[str, int]:
    """Where the log ends now."""
    asked = "show binary log status" if server.name == "mysql" else "show master status"
    file, position = server.sql(asked)[0][:2]
    return file, int(position)


def remove(server: Server) -> None:
    """Gives the room back that the piece took; the log of a server that is not the bench's own stays."""
    server.sql(f"set sql_log_bin = 0; drop database if exists {DATABASE}")
    if server.ours:
        server.sql("flush binary logs")
        server.sql(f"purge binary logs to '{end(server)[0]}'")
