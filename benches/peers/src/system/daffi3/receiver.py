"""A receiver of daffi 3: a callback for each item, and the parent's orders. Arguments: port, number, the scene as JSON.

What it counts and tells is what `work/stream/intake.rs` says."""

import json
import struct
import sys
import threading
import time

from daffi import Client, callback

QUIET = 2.0

port, number, scene = int(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3])
length = scene["length"]
head = struct.Struct("<QQ").unpack_from
tail = struct.Struct("<Q").unpack_from
done = threading.Event()


class Account:
    def __init__(self, expected):
        self.expected = expected
        self.next = self.items = self.disordered = self.broken = self.last_ns = 0
        self.ages_ns = []


account = Account(0)


@callback
def item(data):
    if len(data) != length:
        account.broken += 1
        return
    this, made_ns = head(data)
    if tail(data, length - 8)[0] != this ^ 0xFFFF_FFFF_FFFF_FFFF:
        account.broken += 1
        return
    if this < account.next:
        account.disordered += 1
        return
    account.next = this + 1
    account.items += 1
    if made_ns:
        account.last_ns = time.monotonic_ns()
        account.ages_ns.append(account.last_ns - made_ns)
    if this + 1 == account.expected:
        account.last_ns = time.monotonic_ns()
        done.set()


def finish():
    items = account.items
    while not done.wait(QUIET):
        if account.items == items:
            account.last_ns = account.last_ns or time.monotonic_ns() - int(QUIET * 1e9)
            break
        items = account.items
    fields = ("items", "disordered", "broken", "last_ns", "ages_ns")
    return {field: getattr(account, field) for field in fields}


def tell(answer):
    print(json.dumps(answer), flush=True)


Client(app_name=f"receiver-{number}", host="127.0.0.1", port=port).connect()
tell(None)
for line in sys.stdin:
    order = json.loads(line)
    if order == "Finish":
        tell(finish())
    else:
        done.clear()
        account = Account(order["Expect"]["count"])
        tell(None)
