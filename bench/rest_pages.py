"""rest_pages.py URL LIMIT [FIELD]: asks for all pages behind /cursor, one after the other, on one connection. Without a field it throws
them away: the floor, what the server takes and a client that only looks for the next cursor. With one it prints, as JSON, what must
arrive of them (rest_check.DIGEST) and their bytes: by Python's own decoder, in exact numbers."""

import http.client
import json
import sys
import zlib
from collections.abc import Iterator
from decimal import Decimal
from urllib.parse import quote, urlsplit

# the cursor stands behind the records
TAIL = 200


def pages(url: str, limit: str) -> Iterator[bytes]:
    connection = http.client.HTTPConnection(urlsplit(url).netloc)
    cursor = ""
    while True:
        connection.request("GET", f"/cursor?limit={limit}&cursor={quote(cursor, safe='')}", headers={"Accept-Encoding": "gzip"})
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise SystemExit(f"status {answer.status}")
        if answer.headers["Content-Encoding"] == "gzip":
            body = zlib.decompress(body, wbits=31)
        yield body
        _, _, tail = body[-TAIL:].rpartition(b'"next_cursor":')
        if tail.startswith(b"null"):
            return
        cursor = json.loads(tail[: tail.rindex(b'"') + 1])


def digest(url: str, limit: str, amount: str) -> dict[str, int]:
    rows, ids, total, cents, size = 0, set(), 0, Decimal(0), 0
    for page in pages(url, limit):
        size += len(page)
        for record in json.loads(page, parse_float=Decimal)["data"]:
            rows, total, cents = rows + 1, total + record["id"], cents + 100 * record[amount]
            ids.add(record["id"])
    return {"rows": rows, "ids": len(ids), "sum of ids": total, "cents": int(cents), "bytes": size}


if len(sys.argv) > 3:
    print(json.dumps(digest(*sys.argv[1:])))
else:
    print(sum(len(page) for page in pages(*sys.argv[1:])))
