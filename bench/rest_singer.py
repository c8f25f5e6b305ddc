"""rest_singer.py WRITER --config FILE: a tap of the Singer SDK's RESTStream, as its documentation has one written; the file says `url`,
`limit` and `shape`. WRITER is `default`, or `msgspec`, the SDK's faster one."""

import sys

from singer_sdk import RESTStream, Tap
from singer_sdk import typing as th
from singer_sdk.contrib.msgspec import MsgSpecWriter

SMALL = (
    th.Property("id", th.IntegerType, required=True),
    th.Property("name", th.StringType),
    th.Property("amount", th.NumberType),
    th.Property("active", th.BooleanType),
    th.Property("updated_at", th.DateTimeType),
)
PLACE = th.ObjectType(th.Property("lat", th.NumberType), th.Property("lon", th.NumberType))
ORDER = th.ObjectType(th.Property("sku", th.StringType), th.Property("price", th.NumberType), th.Property("quantity", th.IntegerType))
RICH = (
    th.Property("id", th.IntegerType, required=True),
    th.Property("name", th.StringType),
    th.Property("active", th.BooleanType),
    th.Property("balance", th.NumberType),
    th.Property("views", th.IntegerType),
    th.Property("huge", th.IntegerType),
    th.Property("ratio", th.NumberType),
    th.Property("nickname", th.StringType),
    th.Property("note", th.StringType),
    th.Property("address", th.ObjectType(th.Property("street", th.StringType), th.Property("city", th.StringType), th.Property("geo", PLACE))),
    # a list, or null; null is among its texts too
    th.Property("tags", th.CustomType({"type": ["array", "null"], "items": {"type": ["string", "null"]}})),
    th.Property("orders", th.ArrayType(ORDER)),
    th.Property("updated_at", th.DateTimeType),
)


class Records(RESTStream):
    name = "copy"
    path = "/cursor"
    primary_keys = ("id",)
    records_jsonpath = "$.data[*]"
    next_page_token_jsonpath = "$.meta.next_cursor"

    @property
    def url_base(self):
        return self.config["url"]

    def get_url_params(self, context, next_page_token):
        return {"limit": self.config["limit"], **({"cursor": next_page_token} if next_page_token else {})}


class Bench(Tap):
    name = "tap-bench"
    config_jsonschema = th.PropertiesList(
        th.Property("url", th.StringType, required=True),
        th.Property("limit", th.IntegerType, required=True),
        th.Property("shape", th.StringType, required=True),
    ).to_dict()

    def discover_streams(self):
        properties = RICH if self.config["shape"] == "rich" else SMALL
        return [Records(self, schema=th.PropertiesList(*properties).to_dict())]


if sys.argv.pop(1) == "msgspec":
    Bench.message_writer_class = MsgSpecWriter
Bench.cli()
