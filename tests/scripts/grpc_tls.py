"""Lists commands by gRPC over TLS, as a client that is not ours.

usage: grpc_tls.py ADDRESS CA [BEARER [CERTIFICATE KEY]]; prints the code and the message of the answer as JSON.
"""

import json
import sys

import grpc

address, ca, *more = sys.argv[1:]
read = lambda path: open(path, "rb").read()
bearer = more[0] if more else ""
certificate, key = (read(more[1]), read(more[2])) if len(more) > 2 else (None, None)
credentials = grpc.ssl_channel_credentials(read(ca), key, certificate)
metadata = [("authorization", f"Bearer {bearer}")] if bearer else []
with grpc.secure_channel(address, credentials) as channel:
    call = channel.unary_unary("/muster.runcommand.v1.RunCommand/ListCommands")
    try:
        call(b"", metadata=metadata, timeout=10)
        print(json.dumps({"code": "OK"}))
    except grpc.RpcError as error:
        print(json.dumps({"code": error.code().name, "message": error.details()}))
