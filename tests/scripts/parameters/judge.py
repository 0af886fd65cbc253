"""What the judges of Parameter Store hold answers against."""

from botocore.exceptions import ClientError

CHECKED = 0
VALIDATION = "ValidationException"
NAME = (
    'Parameter name: can\'t be prefixed with "ssm" (case-insensitive). If formed as a path, it can consist of '
    "sub-paths divided by slash symbol; each sub-path can be formed as a mix of letters, numbers and the following "
    "3 symbols .-_"
)
ARN = "arn:aws:ssm:us-east-1:000000000000:parameter"
EXPIRATION = '{"Type":"Expiration","Version":"1.0","Attributes":{"Timestamp":"2099-12-02T21:34:33.000Z"}}'
NO_CHANGE = '{"Type":"NoChangeNotification","Version":"1.0","Attributes":{"After":"1","Unit":"Days"}}'


def check(what, got, expected):
    global CHECKED
    CHECKED += 1
    if got != expected:
        raise SystemExit(f"{what}: expected {expected!r}, got {got!r}")


def refused(word, text, call, **arguments):
    """The call fails with this word, and a text that begins like this."""
    global CHECKED
    CHECKED += 1
    try:
        answer = call(**arguments)
    except ClientError as error:
        got = error.response["Error"]
        if got["Code"] != word or not got["Message"].startswith(text):
            raise SystemExit(f"{arguments}: expected {word}: {text}, got {got}") from error
        return
    raise SystemExit(f"{arguments}: expected {word}, got {answer}")


def names(parameters):
    return [parameter["Name"] for parameter in parameters]


def one(key, values=("x",), **more):
    """A filter of one key."""
    return [{"Key": key, "Values": list(values), **more}]


def described(ssm, name):
    """What is known of a parameter."""
    return ssm.describe_parameters(ParameterFilters=one("Name", [name]))["Parameters"][0]


def history(ssm, name):
    pages = ssm.get_paginator("get_parameter_history").paginate(Name=name, PaginationConfig={"PageSize": 30})
    return [version for page in pages for version in page["Parameters"]]


def checked():
    return CHECKED
