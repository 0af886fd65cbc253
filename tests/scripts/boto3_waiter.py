"""Sends a command with boto3 and lets its own waiter find the end.

Usage: boto3_waiter.py <gateway url> <node id> <shell line>
Prints one JSON object with the status and the output; a waiter that fails ends the program with its words.
"""

import json
import sys

import boto3


def main(url, node, line):
    client = boto3.client(
        "ssm",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",
    )
    sent = client.send_command(
        InstanceIds=[node], DocumentName="AWS-RunShellScript", Parameters={"commands": [line]}
    )
    command = sent["Command"]["CommandId"]
    # At once, and without the pause that an eventually consistent service needs.
    fresh = client.get_command_invocation(CommandId=command, InstanceId=node)
    waiter = client.get_waiter("command_executed")
    waiter.wait(CommandId=command, InstanceId=node, WaiterConfig={"Delay": 1, "MaxAttempts": 20})
    got = client.get_command_invocation(CommandId=command, InstanceId=node)
    config = sent["Command"]["NotificationConfig"]
    print(
        json.dumps(
            {
                "Fresh": fresh["Status"],
                "Status": got["Status"],
                "Output": got["StandardOutputContent"],
                "NotificationConfig": config,
            }
        )
    )


main(*sys.argv[1:4])
