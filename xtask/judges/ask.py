"""Asks a running Muster one question, over NATS or over gRPC, as a stranger would.

    ask.py nats nats://127.0.0.1:4222 muster.v1.api.RunCommand.ListCommands '{}'
    ask.py grpc 127.0.0.1:8703 muster.runcommand.v1.RunCommand/ListCommands '{}'

The question and the answer are JSON. Over gRPC nothing is known beforehand: the server's reflection says what its
messages look like. A refusal is one line on stderr and exit code 1.
"""

import asyncio
import json
import sys

TIMEOUT_SECONDS = 15


def ask_nats(address, subject, question):
    import nats

    async def ask():
        client = await nats.connect(address, connect_timeout=5, max_reconnect_attempts=1)
        try:
            return await client.request(
                subject,
                question.encode(),
                timeout=TIMEOUT_SECONDS,
                headers={"Content-Type": "application/json"},
            )
        finally:
            await client.close()

    answer = asyncio.run(ask())
    headers = answer.headers or {}
    if "Nats-Service-Error" in headers:
        sys.exit(f"{headers.get('Nats-Service-Error-Code')}: {headers['Nats-Service-Error']}")
    return json.loads(answer.data)


def ask_grpc(address, method, question):
    import grpc
    from google.protobuf import json_format, message_factory
    from google.protobuf.descriptor_pool import DescriptorPool
    from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

    service, _, name = method.partition("/")
    with grpc.insecure_channel(address) as channel:
        pool = DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
        described = pool.FindServiceByName(service).FindMethodByName(name)
        request_type = message_factory.GetMessageClass(described.input_type)
        answer_type = message_factory.GetMessageClass(described.output_type)
        call = channel.unary_unary(
            f"/{service}/{name}",
            request_serializer=request_type.SerializeToString,
            response_deserializer=answer_type.FromString,
        )
        try:
            answer = call(json_format.Parse(question, request_type()), timeout=TIMEOUT_SECONDS)
        except grpc.RpcError as error:
            sys.exit(f"{error.code().name}: {error.details()}")
        return json_format.MessageToDict(answer, descriptor_pool=pool)


def main():
    ways = {"nats": ask_nats, "grpc": ask_grpc}
    if len(sys.argv) != 5 or sys.argv[1] not in ways:
        sys.exit(__doc__)
    print(json.dumps(ways[sys.argv[1]](*sys.argv[2:])))


if __name__ == "__main__":
    main()
