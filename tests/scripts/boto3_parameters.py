"""Every condition of Parameter Store that boto3 can see: errors by their words and texts, answers, paginators.

Usage: boto3_parameters.py <gateway url>
Prints one JSON object with the number of conditions that held; the first that does not ends the program.
"""

import json
import sys

import boto3
from botocore.exceptions import ClientError

CHECKED = 0
NAME = (
    'Parameter name: can\'t be prefixed with "ssm" (case-insensitive). If formed as a path, it can consist of '
    "sub-paths divided by slash symbol; each sub-path can be formed as a mix of letters, numbers and the following "
    "3 symbols .-_"
)
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


def puts(ssm):
    put = ssm.put_parameter
    answer = put(Name="/put/x", Value="one", Type="String")
    check("first", (answer["Version"], answer["Tier"]), (1, "Standard"))
    answer = put(Name="/put/x", Value="two", Overwrite=True)
    check("second", answer["Version"], 2)
    check("made by overwrite", put(Name="/put/new", Value="x", Type="String", Overwrite=True)["Version"], 1)
    validation = "ValidationException"
    exists = "The parameter already exists. To overwrite this value, set the overwrite option in the request to true."
    refused("ParameterAlreadyExists", exists, put, Name="/put/x", Value="y", Type="String")
    refused(validation, NAME, put, Name="ssmx", Value="y", Type="String")
    refused(validation, NAME, put, Name="/a//b", Value="y", Type="String")
    refused(validation, NAME, put, Name="a b", Value="y", Type="String")
    refused(validation, NAME, put, Name="x:1", Value="y", Type="String")
    refused(validation, NAME, put, Name="/a/", Value="y", Type="String")
    refused(validation, "Parameter name must be a fully qualified name.", put, Name="a/b", Value="y", Type="String")
    refused("AccessDeniedException", "No access to reserved parameter name: aws-x.", put, Name="aws-x", Value="y", Type="String")
    deep = "/" + "/".join(str(n) for n in range(17))
    refused("HierarchyLevelLimitExceededException", "", put, Name=deep, Value="y", Type="String")
    refused(validation, "", put, Name="n" * 1012, Value="y", Type="String")
    refused(validation, "1 validation error detected: Value at 'value' failed to satisfy constraint: Member must have "
            "length greater than or equal to 1", put, Name="n", Value="", Type="String")
    refused(validation, "Standard tier parameters support a maximum parameter value of 4096 characters.", put,
            Name="n", Value="x" * 4097, Type="String")
    refused(validation, "Advanced tier parameters support a maximum parameter value of 8192 characters.", put,
            Name="n", Value="x" * 8193, Type="String", Tier="Advanced")
    refused(validation, "Invalid request: tags and overwrite can't be used together.", put, Name="n", Value="x",
            Type="String", Overwrite=True, Tags=[{"Key": "k", "Value": "v"}])
    refused(validation, "A parameter type is required when you create a parameter.", put, Name="n", Value="x")
    refused(validation, "The following data type is not supported: TEXT (Data type names are all lowercase.)", put,
            Name="n", Value="x", Type="String", DataType="TEXT")
    refused(validation, "", put, Name="n", Value="x", Type="String", DataType="aws:ec2:image")
    refused(validation, "", put, Name="n", Value="{{ssm:x}}", Type="String")
    refused("InvalidAllowedPatternException", "", put, Name="n", Value="x", Type="String", AllowedPattern="[")
    refused("ParameterPatternMismatchException", "", put, Name="n", Value="12345", Type="String", AllowedPattern=r"\d{1,4}")
    refused("InvalidPolicyAttributeException", "", put, Name="n", Value="x", Type="String", Tier="Advanced", Policies="x")
    refused("InvalidPolicyTypeException", "", put, Name="n", Value="x", Type="String", Tier="Advanced",
            Policies="[" + NO_CHANGE.replace("NoChange", "Any") + "]")
    refused("IncompatiblePolicyException", "", put, Name="n", Value="x", Type="String", Tier="Advanced",
            Policies=f"[{EXPIRATION},{EXPIRATION}]")
    refused("PoliciesLimitExceededException", "", put, Name="n", Value="x", Type="String", Tier="Advanced",
            Policies="[" + ",".join([NO_CHANGE] * 11) + "]")
    refused(validation, "", put, Name="n", Value="x", Type="String", Tier="Standard", Policies=f"[{NO_CHANGE}]")
    refused("InvalidKeyId", "Alias arn:aws:kms:us-east-1:000000000000:alias/nope is not found.", put, Name="n",
            Value="x", Type="SecureString", KeyId="alias/nope")
    refused("ParameterNotFound", "Parameter n not found.", ssm.get_parameter, Name="n")
    answer = put(Name="/put/big", Value="x" * 5000, Type="String", Tier="Intelligent-Tiering")
    check("resolved tier", answer["Tier"], "Advanced")
    refused(validation, "This parameter uses the advanced-parameter tier. You can't downgrade", put, Name="/put/big",
            Value="x", Overwrite=True, Tier="Standard")
    put(Name="/put/policies", Value="x", Type="String", Tier="Advanced", Policies=f"[{EXPIRATION},{NO_CHANGE}]")
    described = ssm.describe_parameters(ParameterFilters=[{"Key": "Name", "Values": ["/put/policies"]}])["Parameters"][0]
    check("policies", [(p["PolicyText"], p["PolicyType"], p["PolicyStatus"]) for p in described["Policies"]],
          [(EXPIRATION, "Expiration", "Pending"), (NO_CHANGE, "NoChangeNotification", "Pending")])
    put(Name="/put/policies", Value="x", Overwrite=True, Policies="[{}]")
    described = ssm.describe_parameters(ParameterFilters=[{"Key": "Name", "Values": ["/put/policies"]}])["Parameters"][0]
    check("no policies", described["Policies"], [])


def rolls(ssm):
    for number in range(1, 102):
        ssm.put_parameter(Name="/roll", Value=str(number), Type="String", Overwrite=True)
    versions = [page["Version"] for page in history(ssm, "/roll")]
    check("history", versions, list(range(2, 102)))
    ssm.label_parameter_version(Name="/roll", ParameterVersion=2, Labels=["keep"])
    refused("ParameterMaxVersionLimitExceeded",
            "You attempted to create a new version of /roll by calling the PutParameter API with the overwrite flag. "
            "Version 2, the oldest version, can't be deleted because it has a label associated with it. Move the label "
            "to another version of the parameter, and try again.",
            ssm.put_parameter, Name="/roll", Value="x", Overwrite=True)


def history(ssm, name):
    pages = ssm.get_paginator("get_parameter_history").paginate(Name=name, PaginationConfig={"PageSize": 30})
    return [version for page in pages for version in page["Parameters"]]


def reads(ssm):
    ssm.put_parameter(Name="root", Value="r1", Type="String")
    got = ssm.get_parameter(Name="/root")["Parameter"]
    check("echoed", (got["Name"], got["ARN"]), ("/root", "arn:aws:ssm:us-east-1:000000000000:parameter/root"))
    check("members", sorted(got), ["ARN", "DataType", "LastModifiedDate", "Name", "Type", "Value", "Version"])
    ssm.put_parameter(Name="root", Value="r2", Overwrite=True)
    ssm.label_parameter_version(Name="root", ParameterVersion=1, Labels=["old"])
    check("by version", ssm.get_parameter(Name="root:1")["Parameter"]["Value"], "r1")
    got = ssm.get_parameter(Name="root:old")["Parameter"]
    check("by label", (got["Name"], got["Value"], got["Selector"]), ("root", "r1", ":old"))
    got = ssm.get_parameter(Name=got["ARN"])["Parameter"]
    check("by ARN", (got["Name"], got["Value"]), ("root", "r2"))
    missing = "Systems Manager could not find version 9 of root. Verify the version and try again."
    refused("ParameterVersionNotFound", missing, ssm.get_parameter, Name="root:9")
    refused("ParameterVersionNotFound", "", ssm.get_parameter, Name="root:nope")
    refused("ParameterNotFound", "", ssm.get_parameter, Name="root:1:2")
    refused("ParameterNotFound", "", ssm.get_parameter, Name="/aws/service/nope")
    refused("AccessDeniedException", "", ssm.get_parameter, Name="arn:aws:ssm:us-east-1:111111111111:parameter/root")
    refused("ValidationException", NAME, ssm.get_parameter, Name="ssmx")
    refused("ValidationException", "WithDecryption flag must be True for retrieving a Secret Manager secret.",
            ssm.get_parameter, Name="/aws/reference/secretsmanager/x")
    got = ssm.get_parameters(Names=["root:1", "nope", "root", "root", "root:7"])
    check("many", [(p["Name"], p["Version"]) for p in got["Parameters"]], [("root", 1), ("root", 2)])
    check("invalid", got["InvalidParameters"], ["nope", "root:7"])
    refused("ValidationException", "", ssm.get_parameters, Names=[f"n{n}" for n in range(11)])
    refused("ParameterNotFound", "", ssm.get_parameter_history, Name="nope")
    check("labels", [version["Labels"] for version in history(ssm, "root")], [["old"], []])
    refused("ParameterNotFound", "", ssm.delete_parameter, Name="nope")
    got = ssm.delete_parameters(Names=["/root", "nope"])
    check("deleted", (got["DeletedParameters"], got["InvalidParameters"]), (["/root"], ["nope"]))
    check("again", ssm.put_parameter(Name="/root", Value="x", Type="String")["Version"], 1)


def secrets(ssm):
    ssm.put_parameter(Name="/secret/x", Value="hidden", Type="SecureString", Description="d")
    closed = ssm.get_parameter(Name="/secret/x")["Parameter"]
    check("closed", (closed["Type"], "hidden" in closed["Value"]), ("SecureString", False))
    check("stable", ssm.get_parameter(Name="/secret/x")["Parameter"]["Value"], closed["Value"])
    check("open", ssm.get_parameter(Name="/secret/x", WithDecryption=True)["Parameter"]["Value"], "hidden")
    described = ssm.describe_parameters(ParameterFilters=[{"Key": "Type", "Values": ["SecureString"]}])["Parameters"]
    check("key", [(p["Name"], p["KeyId"]) for p in described], [("/secret/x", "alias/aws/ssm")])


def labels(ssm):
    ssm.put_parameter(Name="/label/x", Value="1", Type="String")
    got = ssm.label_parameter_version(Name="/label/x", Labels=["good", "1bad", "aws-bad"])
    check("invalid labels", (got["InvalidLabels"], got["ParameterVersion"]), (["1bad", "aws-bad"], 1))
    got = ssm.label_parameter_version(Name="/label/x", Labels=["good"])
    check("no invalid labels", got["InvalidLabels"], [])
    refused("ParameterVersionLabelLimitExceeded", "", ssm.label_parameter_version, Name="/label/x",
            Labels=[f"l{n}" for n in range(10)])
    refused("ParameterNotFound", "", ssm.label_parameter_version, Name="/label/nope", Labels=["x"])
    refused("ParameterVersionNotFound", "", ssm.label_parameter_version, Name="/label/x", ParameterVersion=7, Labels=["x"])
    got = ssm.unlabel_parameter_version(Name="/label/x", ParameterVersion=1, Labels=["good", "nope"])
    check("unlabelled", (got["RemovedLabels"], got["InvalidLabels"]), (["good"], ["nope"]))


def filters(ssm):
    describe = ssm.describe_parameters
    by_path = ssm.get_parameters_by_path

    def one(key, values=("x",), **more):
        return [{"Key": key, "Values": list(values), **more}]

    refused("ValidationException", "You can use either Filters or ParameterFilters in a single request.", describe,
            Filters=[{"Key": "Name", "Values": ["x"]}], ParameterFilters=one("Name"))
    refused("InvalidFilterKey", "The following filter key is not valid: Label. Valid filter keys include: "
            "[Path, Name, Type, KeyId, Tier].", describe, ParameterFilters=one("Label"))
    refused("InvalidFilterKey", "The following filter key is not valid: Tier. Valid filter keys include: [Type, KeyId].",
            by_path, Path="/", ParameterFilters=one("Tier"))
    refused("InvalidFilterKey", "The following filter is duplicated in the request: Name. A request can contain only "
            "one occurrence of a specific filter.", describe, ParameterFilters=one("Name") + one("Name"))
    refused("InvalidFilterValue", "The following filter values are missing : null for filter key Name", describe,
            ParameterFilters=[{"Key": "Name"}])
    refused("InvalidFilterOption", "The following filter option is not valid: Nope. Valid options include: "
            "[BeginsWith, Equals].", describe, ParameterFilters=one("Name", Option="Nope"))
    refused("InvalidFilterOption", "The following filter option is not valid: Equals. Valid options include: "
            "[Recursive, OneLevel].", describe, ParameterFilters=one("Path", ["/x"], Option="Equals"))
    refused("InvalidFilterValue", "The following filter value is not valid: test. Valid values include: "
            "[String, StringList, SecureString]", describe, ParameterFilters=one("Type", ["test"]))
    refused("ValidationException", 'Filters for common parameters can\'t be prefixed with "aws" or "ssm" '
            "(case-insensitive).", describe, ParameterFilters=one("Path", ["/aws/x"]))
    for bad in ["x", "/a//b"]:
        refused("ValidationException", "The parameter doesn't meet the parameter name requirements. The parameter name "
                'must begin with a forward slash "/".', describe, ParameterFilters=one("Path", [bad]))
    refused("ValidationException", "The parameter doesn't meet the parameter name requirements.", by_path, Path="x")
    refused("InvalidNextToken", "", describe, NextToken="nope")
    check("shared", describe(Shared=True)["Parameters"], [])
    check("nothing there", by_path(Path="/nowhere")["Parameters"], [])


def pages(ssm):
    for number in range(25):
        ssm.put_parameter(Name=f"/page/{number:02}", Value="x", Type="String")
    seen = []
    for page in ssm.get_paginator("get_parameters_by_path").paginate(Path="/page", Recursive=True):
        seen += names(page["Parameters"])
        number = len(seen)
        ssm.put_parameter(Name=f"/page/{number % 25:02}.new", Value="x", Type="String", Overwrite=True)
        ssm.delete_parameters(Names=[f"/page/{number % 25:02}.old"])
    stayed = [name for name in seen if "." not in name]
    check("pages", stayed, [f"/page/{number:02}" for number in range(25)])
    check("once", len(set(seen)), len(seen))
    below = [{"Key": "Path", "Values": ["/page"]}]
    found = []
    for page in ssm.get_paginator("describe_parameters").paginate(ParameterFilters=below, PaginationConfig={"PageSize": 7}):
        found += [name for name in names(page["Parameters"]) if "." not in name]
    check("described", found, stayed)


def tags(ssm):
    ssm.put_parameter(Name="tagged", Value="x", Type="String", Tags=[{"Key": "a", "Value": "1"}])
    ssm.add_tags_to_resource(ResourceType="Parameter", ResourceId="/tagged", Tags=[{"Key": "b", "Value": "2"}])
    ssm.remove_tags_from_resource(ResourceType="Parameter", ResourceId="tagged", TagKeys=["a"])
    got = ssm.list_tags_for_resource(ResourceType="Parameter", ResourceId="tagged")["TagList"]
    check("tags", got, [{"Key": "b", "Value": "2"}])
    found = ssm.describe_parameters(ParameterFilters=[{"Key": "tag:b", "Values": ["2"]}])["Parameters"]
    check("by tag", names(found), ["tagged"])
    ssm.delete_parameter(Name="tagged")
    refused("InvalidResourceId", "", ssm.list_tags_for_resource, ResourceType="Parameter", ResourceId="tagged")


def main(url):
    ssm = boto3.client("ssm", endpoint_url=url, region_name="us-east-1", aws_access_key_id="any",
                       aws_secret_access_key="any")
    for part in [secrets, puts, rolls, reads, labels, filters, pages, tags]:
        part(ssm)
    print(json.dumps({"Checked": CHECKED}))


main(*sys.argv[1:2])
