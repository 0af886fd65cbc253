"""Conditions of Parameter Store that boto3 can see, by the sections of its specification: errors by their words and texts,
answers, paginators.

Usage: python parameters <gateway url>
Prints one JSON object with the number of conditions of each section that held; the first that does not ends the program.
"""

import json
import sys

import boto3

import answers
import filters
import judge
import keys
import labels
import names
import pages
import policies
import puts
import reads
import tags
import tiers
import values

SECTIONS = [keys, answers, names, puts, values, tiers, policies, reads, labels, filters, tags, pages]


def main(url):
    ssm = boto3.client("ssm", endpoint_url=url, region_name="us-east-1", aws_access_key_id="any",
                       aws_secret_access_key="any")
    held = {}
    for section in SECTIONS:
        before = judge.checked()
        section.run(ssm)
        held[section.__name__] = judge.checked() - before
    print(json.dumps(held))


main(*sys.argv[1:2])
