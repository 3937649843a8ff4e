"""A sender of daffi 3: the parent's orders, and items that nobody acknowledges, which is its fastest way. Arguments: port, the scene
as JSON.

What the items are is what `work/stream/item.rs` says, when they are made `work/stream/source.rs`."""

import json
import struct
import sys
import time

from daffi import Client, SerdeFormat

port, scene = int(sys.argv[1]), json.loads(sys.argv[2])
length, fps = scene["length"], scene["fps"]
receivers = [f"receiver-{number}" for number in range(scene["receivers"])]
template = bytearray(index % 256 for index in range(length))


def items(count):
    head, tail = struct.Struct("<QQ").pack_into, struct.Struct("<Q").pack_into
    begun = time.monotonic_ns()
    for number in range(count):
        made_ns = 0
        if fps:
            made_ns = begun + number * 1_000_000_000 // fps
            early = made_ns - time.monotonic_ns()
            if early > 0:
                time.sleep(early / 1e9)
                made_ns = time.monotonic_ns()
        head(template, 0, number, made_ns)
        tail(template, length - 8, number ^ 0xFFFF_FFFF_FFFF_FFFF)
        yield bytes(template)


def tell(answer):
    print(json.dumps(answer), flush=True)


connection = Client(app_name="sender", host="127.0.0.1", port=port).connect()
connection.wait_for_members(*receivers, timeout=30, interval=0.1)
# Its streams go to one receiver; what is to go to all is a cast.
stream = connection.stream_nowait(receiver=receivers[0], serde=SerdeFormat.OPAQUE)
cast = connection.cast_nowait(receiver=receivers, serde=SerdeFormat.OPAQUE)
tell(None)
for line in sys.stdin:
    count = json.loads(line)["count"]
    begun_ns = time.monotonic_ns()
    if len(receivers) == 1:
        stream.item(items(count))
    else:
        for data in items(count):
            cast.item(data)
    tell({"begun_ns": begun_ns})
