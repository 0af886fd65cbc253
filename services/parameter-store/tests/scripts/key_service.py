"""A key service with AWS KMS's own interface, played by moto.

Usage: key_service.py. Prints its port.
"""

import threading

from moto.server import ThreadedMotoServer

server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
threading.Event().wait()
