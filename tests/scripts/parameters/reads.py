"""Section 6: reads by name, by path and by version, and deletions."""

from judge import NAME, VALIDATION, check, history, names, one, refused


def run(ssm):
    by_name(ssm)
    many(ssm)
    histories(ssm)
    paths(ssm)
    deletions(ssm)


def by_name(ssm):
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
    refused(VALIDATION, NAME, ssm.get_parameter, Name="ssmx")
    refused(VALIDATION, "WithDecryption flag must be True for retrieving a Secret Manager secret.",
            ssm.get_parameter, Name="/aws/reference/secretsmanager/x")
    got = ssm.get_parameters(Names=["root:1", "nope", "root", "root", "root:7"])
    check("many", [(p["Name"], p["Version"]) for p in got["Parameters"]], [("root", 1), ("root", 2)])
    check("invalid", got["InvalidParameters"], ["nope", "root:7"])
    refused(VALIDATION, "", ssm.get_parameters, Names=[f"n{n}" for n in range(11)])
    refused("ParameterNotFound", "", ssm.get_parameter_history, Name="nope")
    check("labels", [version["Labels"] for version in history(ssm, "root")], [["old"], []])
    refused("ParameterNotFound", "", ssm.delete_parameter, Name="nope")
    got = ssm.delete_parameters(Names=["/root", "nope"])
    check("deleted", (got["DeletedParameters"], got["InvalidParameters"]), (["/root"], ["nope"]))
    check("again", ssm.put_parameter(Name="/root", Value="x", Type="String")["Version"], 1)


def many(ssm):
    for name in ["/many/b", "/many/a", "many"]:
        ssm.put_parameter(Name=name, Value="x", Type="String")
    got = ssm.get_parameters(Names=["many", "/many/b", "/many/a"])
    check("in the order of their names", names(got["Parameters"]), ["/many/a", "/many/b", "many"])
    check("none invalid", got["InvalidParameters"], [])
    got = ssm.get_parameters(Names=["nope", "/many/a:nope", "/many/a:9", "/many/a:1:2"])
    check("none at all", (got["Parameters"], got["InvalidParameters"]), ([], ["nope", "/many/a:nope", "/many/a:9", "/many/a:1:2"]))
    refused(VALIDATION, "1 validation error detected: Value '[n0, n1, n2, n3, n4, n5, n6, n7, n8, n9, n10]' at 'names' failed "
            "to satisfy constraint: Member must have length less than or equal to 10", ssm.get_parameters,
            Names=[f"n{n}" for n in range(11)])
    refused(VALIDATION, "WithDecryption flag must be True", ssm.get_parameters, Names=["/aws/reference/secretsmanager/x"])
    check("plain is plain", ssm.get_parameter(Name="/many/a", WithDecryption=True)["Parameter"]["Value"], "x")


def histories(ssm):
    for number in range(5):
        ssm.put_parameter(Name="/versions", Value=str(number), Type="String", Overwrite=True)
    first = ssm.get_parameter_history(Name="/versions", MaxResults=2)
    rest = ssm.get_parameter_history(Name="/versions", MaxResults=50, NextToken=first["NextToken"])
    versions = [version["Version"] for version in first["Parameters"] + rest["Parameters"]]
    check("oldest first, by pages of any size", (versions, "NextToken" in rest), ([1, 2, 3, 4, 5], False))
    refused(VALIDATION, "1 validation error detected: Value '51' at 'maxResults'", ssm.get_parameter_history, Name="/versions", MaxResults=51)
    refused("InvalidNextToken", "", ssm.get_parameter_history, Name="/many/a", NextToken=first["NextToken"])


def paths(ssm):
    by_path = ssm.get_parameters_by_path
    for name in ["/way", "/way/a", "/way/a/b", "/way/a/b/c", "/wayside/x"]:
        ssm.put_parameter(Name=name, Value=name, Type="String")
    check("children", names(by_path(Path="/way")["Parameters"]), ["/way/a"])
    check("a slash at its end", names(by_path(Path="/way/")["Parameters"]), ["/way/a"])
    check("all below", names(by_path(Path="/way", Recursive=True)["Parameters"]), ["/way/a", "/way/a/b", "/way/a/b/c"])
    check("not itself", names(by_path(Path="/way/a", Recursive=True)["Parameters"]), ["/way/a/b", "/way/a/b/c"])
    roots = [name for page in ssm.get_paginator("get_parameters_by_path").paginate(Path="/") for name in names(page["Parameters"])]
    check("roots alone", ("/way" in roots, "many" in roots, "/way/a" in roots), (True, True, False))
    refused(VALIDATION, "1 validation error detected: Value '11' at 'maxResults'", by_path, Path="/way", MaxResults=11)
    for bad in ["way", "/a//b"]:
        refused(VALIDATION, "The parameter doesn't meet the parameter name requirements.", by_path, Path=bad)
    ssm.label_parameter_version(Name="/way/a", Labels=["live"])
    ssm.put_parameter(Name="/way/a", Value="new", Overwrite=True)
    got = by_path(Path="/way", ParameterFilters=one("Label", ["live"]))["Parameters"]
    check("the version that has the label", [(p["Version"], p["Value"]) for p in got], [(1, "/way/a")])
    ssm.put_parameter(Name="/way/secret", Value="hidden", Type="SecureString")
    shown = by_path(Path="/way", WithDecryption=True, ParameterFilters=one("Type", ["SecureString"]))["Parameters"]
    check("in clear", [(p["Name"], p["Value"], p["Type"]) for p in shown], [("/way/secret", "hidden", "SecureString")])
    for nowhere in ["/way/none", "/aws/service/none", "/aws"]:
        check("nothing there", by_path(Path=nowhere, Recursive=True)["Parameters"], [])


def deletions(ssm):
    refused(VALIDATION, "", ssm.delete_parameters, Names=[f"n{n}" for n in range(11)])
    ssm.put_parameter(Name="/del", Value="x", Type="String", Tags=[{"Key": "k", "Value": "v"}])
    ssm.label_parameter_version(Name="/del", Labels=["live"])
    ssm.delete_parameter(Name="/del")
    refused("ParameterNotFound", "Parameter /del not found.", ssm.delete_parameter, Name="/del")
    ssm.put_parameter(Name="/del", Value="y", Type="String")
    refused("ParameterVersionNotFound", "", ssm.get_parameter, Name="/del:live")
    check("nor its tags", ssm.list_tags_for_resource(ResourceType="Parameter", ResourceId="/del")["TagList"], [])
