"""The router of daffi 3: on a free port, which it tells."""

import json
import socket

from daffi import Router

with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]

router = Router(host="127.0.0.1", port=port)
router.start()
print(json.dumps(f"127.0.0.1:{port}"), flush=True)
router.join()
