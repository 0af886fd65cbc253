"""Runs a command over gRPC with nothing known but the address: the types come from server reflection.

Usage: reflection_client.py <host:port> <target key> <target value> <shell line>
Prints one JSON object with the status, the output of the first node, what came live, and the service's health.
"""

import json
import sys
import time

import grpc
from google.protobuf import json_format, message_factory
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase


def main(address, key, value, line):
    channel = grpc.insecure_channel(address)
    database = ProtoReflectionDescriptorDatabase(channel)
    pool = DescriptorPool(database)
    names = database.get_services()
    name = next(each for each in names if each.endswith(".RunCommand"))

    def call(service, method, body):
        descriptor = pool.FindServiceByName(service).FindMethodByName(method)
        request = message_factory.GetMessageClass(descriptor.input_type)()
        json_format.ParseDict(body, request, descriptor_pool=pool)
        answer = message_factory.GetMessageClass(descriptor.output_type)
        invoke = channel.unary_unary(
            f"/{service}/{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=answer.FromString,
        )
        return json_format.MessageToDict(invoke(request, timeout=10), descriptor_pool=pool)

    sent = call(
        name,
        "SendCommand",
        {
            "DocumentName": "AWS-RunShellScript",
            "Targets": [{"Key": key, "Values": [value]}],
            "Parameters": {"commands": {"items": [line]}},
        },
    )
    command = sent["Command"]["CommandId"]

    def follow(service, method, body):
        descriptor = pool.FindServiceByName(service).FindMethodByName(method)
        request = message_factory.GetMessageClass(descriptor.input_type)()
        json_format.ParseDict(body, request, descriptor_pool=pool)
        news = message_factory.GetMessageClass(descriptor.output_type)
        invoke = channel.unary_stream(
            f"/{service}/{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=news.FromString,
        )
        return invoke(request, timeout=30)

    stream = follow(name + "Output", "FollowOutput", {"CommandId": command})
    live = b"".join(news.chunk.data for news in stream if news.HasField("chunk")).decode()
    for _ in range(600):
        listed = call(name, "ListCommands", {"CommandId": command})
        status = listed["Commands"][0]["Status"]
        if status not in ("COMMAND_STATUS_PENDING", "COMMAND_STATUS_IN_PROGRESS"):
            break
        time.sleep(0.05)
    invocations = call(name, "ListCommandInvocations", {"CommandId": command, "Details": True})
    plugin = invocations["CommandInvocations"][0]["CommandPlugins"][0]
    health = call("grpc.health.v1.Health", "Check", {"service": name})
    words = {"COMMAND_STATUS_SUCCESS": "Success"}
    print(json.dumps({"Status": words.get(status, status), "Output": plugin["Output"], "Live": live, "Health": health["status"]}))


main(*sys.argv[1:5])
