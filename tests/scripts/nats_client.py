"""Runs a command by publishing JSON to NATS subjects, as any NATS client can.

Usage: nats_client.py <nats url> <creds file> <target key> <target value> <shell line>
An empty name instead of the file: the bus is open to everybody.
Prints one JSON object with the status, the output of the first node, and what came live.
"""

import asyncio
import base64
import json
import sys

import nats

HEADERS = {"Content-Type": "application/x-amz-json-1.1"}


def name(creds):
    """Each user hears answers and output on subjects of its own, called after the name in its claims."""
    with open(creds) as file:
        claims = file.read().splitlines()[1].split(".")[1]
    return json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["name"]


async def main(url, creds, key, value, line):
    person = name(creds) if creds else "~"
    secured = {"user_credentials": creds, "inbox_prefix": f"_INBOX.ops.{person}"} if creds else {}
    client = await nats.connect(url, **secured)

    async def call(operation, body):
        subject = f"muster.v1.api.RunCommand.{operation}"
        answer = await client.request(subject, json.dumps(body).encode(), timeout=10, headers=HEADERS)
        if answer.headers and "Nats-Service-Error" in answer.headers:
            raise SystemExit(f"{answer.headers['Muster-Reason']}: {answer.headers['Nats-Service-Error']}")
        return json.loads(answer.data)

    sent = await call(
        "SendCommand",
        {
            "DocumentName": "AWS-RunShellScript",
            "Targets": [{"Key": key, "Values": [value]}],
            "Parameters": {"commands": [line]},
        },
    )
    command = sent["Command"]["CommandId"]
    output = await client.subscribe(f"muster.v1.output.{person}.pythonclient")
    offer = {"Follow": {"CommandId": command}, "Listener": "pythonclient"}
    await client.request(
        "muster.v1.api.RunCommandOutput.OfferOutput",
        json.dumps(offer).encode(),
        timeout=10,
        headers={"Content-Type": "application/json"},
    )
    live = b""
    while True:
        message = await output.next_msg(timeout=30)
        live += message.data
        if message.headers["Muster-News"] == "command":
            break
    for _ in range(600):
        listed = await call("ListCommands", {"CommandId": command})
        status = listed["Commands"][0]["Status"]
        if status not in ("Pending", "InProgress"):
            break
        await asyncio.sleep(0.05)
    invocations = await call("ListCommandInvocations", {"CommandId": command, "Details": True})
    plugin = invocations["CommandInvocations"][0]["CommandPlugins"][0]
    print(json.dumps({"Status": status, "Output": plugin["Output"], "Live": live.decode()}))
    await client.close()


asyncio.run(main(*sys.argv[1:6]))
