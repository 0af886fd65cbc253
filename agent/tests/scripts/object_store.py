"""An object store with S3's own interface, played by moto.

Usage: object_store.py [port]. Prints its port.
"""

import sys
import threading

from moto.server import ThreadedMotoServer

port = int(sys.argv[1]) if len(sys.argv) > 1 else 0
server = ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
threading.Event().wait()
