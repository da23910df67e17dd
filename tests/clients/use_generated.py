"""Uses a client that openapi-python-client has made of static/openapi.json.

Called as: use_generated.py FOLDER_OF_THE_CLIENT URL_OF_THE_SERVICE
The service has the order of data/model.json and no other. Ends with 0 if all is as it must be.
"""

import json
import pathlib
import sys

folder, url = sys.argv[1:]
sys.path.insert(0, folder)

from waybill_client import Client  # noqa: E402
from waybill_client.api.orders import get_order, look_up_orders  # noqa: E402
from waybill_client.models import Lookup, Order, Problem  # noqa: E402

model = json.loads(pathlib.Path("data/model.json").read_text())
uid = model["order_uid"]


def same(order):
    """Whether it is the model; the client writes the same moment in its own way."""
    document = order.to_dict()
    document["date_created"] = document["date_created"].replace("+00:00", "Z")
    return document == model


with Client(base_url=url) as client:
    hit = get_order.sync_detailed(uid, client=client)
    assert hit.status_code == 200 and isinstance(hit.parsed, Order), hit
    assert same(hit.parsed), "the order is not the one that was published"
    assert hit.parsed.payment.amount == model["payment"]["amount"]

    unchanged = get_order.sync_detailed(uid, client=client, if_none_match=hit.headers["etag"])
    assert unchanged.status_code == 304 and unchanged.content == b"", unchanged

    missing = get_order.sync_detailed("nobody-knows", client=client)
    assert missing.status_code == 404 and isinstance(missing.parsed, Problem), missing
    assert missing.parsed.type_ == "/problems/order-not-found", missing.parsed

    invalid = get_order.sync("a b", client=client)
    assert isinstance(invalid, Problem) and invalid.status == 400, invalid

    asked = [uid, "nobody-knows", "a b"]
    many = look_up_orders.sync(client=client, body=Lookup(uids=asked))
    assert [one.uid for one in many.orders] == asked, many
    assert [int(one.status) for one in many.orders] == [200, 404, 400], many
    assert same(many.orders[0].order)

print("5 requests answered as described")
