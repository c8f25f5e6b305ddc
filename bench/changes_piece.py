"""The table whose changes are read, and what is known of a piece of a server's log that holds them."""

from dataclasses import dataclass

from servers import Server

DATABASE = "bench_changes"
TABLE = "orders"

# as MariaDB and MySQL call the types; the others derive theirs from it
COLUMNS = """
  id int not null primary key,
  customer int not null,
  quantity smallint not null,
  total bigint not null,
  price decimal(12,2) not null,
  weight double not null,
  placed_at datetime(6) not null,
  status varchar(20) not null,
  name varchar(60) not null,
  note text"""

DIGEST = """select count(*), sum(id), sum(customer), sum(quantity), sum(total), sum(price), min({time}), max({time}), count(note),
  sum({number}) from {table}"""
ROW = "concat_ws('|', id, customer, quantity, total, price, {eighths}, {time}, status, name, coalesce(note, '-'))"


def digest(table: str, eighths: str, time: str, number: str) -> str:
    """The query of one row that changes when rows of the table are lost, doubled or altered. In the server's own SQL: eighths of `weight`
    as a whole number, `placed_at` as text with all its digits, and how the first 32 bits of a `{row}`'s SHA-256 become a number."""
    return DIGEST.format(table=table, time=time, number=number.format(row=ROW.format(eighths=eighths, time=time)))


@dataclass(frozen=True)
class Piece:
    """A piece of a log that is `size` bytes long: how many changes of each kind and how many transactions it holds, and the digest
    of the table behind it. Where it lies, each kind of log says in its own way."""

    server: Server
    kinds: dict[str, int]
    transactions: int
    digest: list[str]
    size: int

    @property
    def changes(self) -> int:
        return sum(self.kinds.values())

    def leave(self) -> None:
        """Clears away what a run has left at the server, where that keeps anything for who reads its log."""


def kinds(tens: int, size: int) -> dict[str, int]:
    """How many changes of each kind `make` makes: of ten transactions seven insert rows, two change rows, and one deletes some."""
    return {"c": 7 * tens * size, "u": 2 * tens * size, "d": tens * size}
