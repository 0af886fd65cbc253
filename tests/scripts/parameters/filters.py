"""Section 8: filters of lists."""

from judge import VALIDATION, check, names, one, refused


def run(ssm):
    refusals(ssm)
    finds(ssm)


def refusals(ssm):
    describe = ssm.describe_parameters
    by_path = ssm.get_parameters_by_path

    refused(VALIDATION, "You can use either Filters or ParameterFilters in a single request.", describe,
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
    refused(VALIDATION, 'Filters for common parameters can\'t be prefixed with "aws" or "ssm" '
            "(case-insensitive).", describe, ParameterFilters=one("Path", ["/aws/x"]))
    for bad in ["x", "/a//b"]:
        refused(VALIDATION, "The parameter doesn't meet the parameter name requirements. The parameter name "
                'must begin with a forward slash "/".', describe, ParameterFilters=one("Path", [bad]))
    refused(VALIDATION, "The parameter doesn't meet the parameter name requirements.", by_path, Path="x")
    refused("InvalidNextToken", "", describe, NextToken="nope")
    check("shared", describe(Shared=True)["Parameters"], [])
    check("nothing there", by_path(Path="/nowhere")["Parameters"], [])
    refused("InvalidFilterOption", "", by_path, Path="/x", ParameterFilters=one("Label", Option="BeginsWith"))
    for key in ["Name", "Path", "DataType", "tag:x"]:
        refused("InvalidFilterKey", f"The following filter key is not valid: {key}. Valid filter keys include: [Type, KeyId].",
                by_path, Path="/x", ParameterFilters=one(key))
    for key in ["Type", "KeyId", "Tier", "DataType", "Path"]:
        refused("InvalidFilterValue", f"The following filter values are missing : null for filter key {key}", describe,
                ParameterFilters=[{"Key": key}])
    refused("InvalidFilterOption", "The following filter option is not valid: Contains.", describe,
            ParameterFilters=one("Type", ["String"], Option="Contains"))
    refused("InvalidFilterValue", "The following filter value is not valid: Gold.", describe, ParameterFilters=one("Tier", ["Gold"]))
    refused("InvalidFilterKey", "The following filter is duplicated in the request: tag:a.", describe,
            ParameterFilters=one("tag:a") + one("tag:a", ["y"]))
    refused(VALIDATION, "1 validation error detected: Value", describe, ParameterFilters=one("Nope"))
    refused(VALIDATION, "", describe, ParameterFilters=one("Name", [f"n{n}" for n in range(51)]))
    refused(VALIDATION, "1 validation error detected: Value '51' at 'maxResults'", describe, MaxResults=51)
    refused(VALIDATION, 'Filters for common parameters can\'t be prefixed with "aws" or "ssm"', describe,
            ParameterFilters=one("Path", ["/SSM/x"]))


def finds(ssm):
    put = ssm.put_parameter
    put(Name="sift", Value="x", Type="String", Tags=[{"Key": "env", "Value": "prod"}])
    put(Name="/sift/a", Value="x", Type="StringList", Tags=[{"Key": "env", "Value": "preview"}])
    put(Name="/sift/a/b", Value="x", Type="SecureString", Tags=[{"Key": "team", "Value": "web"}])
    put(Name="/sifted/x", Value="7", Type="String", Tier="Advanced", DataType="integer")

    def found(*filters, **more):
        listed = ssm.describe_parameters(ParameterFilters=[each for one_of in filters for each in one_of], **more)["Parameters"]
        return [name for name in names(listed) if "sift" in name]

    for spelled in ["sift", "/sift"]:
        check("by name", found(one("Name", [spelled])), ["sift"])
        check("by its beginning", found(one("Name", [spelled], Option="BeginsWith")), ["sift", "/sift/a", "/sift/a/b", "/sifted/x"])
    check("by a part", found(one("Name", ["ted/"], Option="Contains")), ["/sifted/x"])
    check("by a part with the slash of a root", found(one("Name", ["/sift"], Option="Contains")), ["sift", "/sift/a", "/sift/a/b", "/sifted/x"])
    check("by one of two", found(one("Name", ["sift", "/sift/a"])), ["sift", "/sift/a"])
    check("by both of two", found(one("Name", ["sift"], Option="BeginsWith"), one("Type", ["String"])), ["sift", "/sifted/x"])
    check("by path", found(one("Path", ["/sift"])), ["/sift/a"])
    check("by what is below it", found(one("Path", ["/sift"], Option="Recursive")), ["/sift/a", "/sift/a/b"])
    check("by two paths", found(one("Path", ["/sift", "/sifted"], Option="OneLevel")), ["/sift/a", "/sifted/x"])
    check("by the type's beginning", found(one("Type", ["String"], Option="BeginsWith"), one("Path", ["/sift"])), ["/sift/a"])
    below = one("Name", ["sift"], Option="BeginsWith")
    check("by the default key", found(below, one("KeyId", ["alias/aws/ssm"])), ["/sift/a/b"])
    check("by the key's beginning", found(below, one("KeyId", ["alias/"], Option="BeginsWith")), ["/sift/a/b"])
    check("by tier", found(below, one("Tier", ["Advanced"])), ["/sifted/x"])
    check("by data type", found(below, one("DataType", ["integer"])), ["/sifted/x"])
    check("by data type's beginning", found(below, one("DataType", ["int"], Option="BeginsWith")), ["/sifted/x"])
    check("by a tag", found(one("tag:env", ["prod"])), ["sift"])
    check("by a tag's beginning", found(one("tag:env", ["pr"], Option="BeginsWith")), ["sift", "/sift/a"])
    check("by a tag's key", found([{"Key": "tag:team"}]), ["/sift/a/b"])
    check("by two tags", found(one("tag:env", ["prod"]) + one("tag:team", ["web"])), [])

    def older(key, *values):
        return [name for name in names(ssm.describe_parameters(Filters=[{"Key": key, "Values": list(values)}])["Parameters"]) if "sift" in name]

    check("older: names begin", older("Name", "/sift/"), ["/sift/a", "/sift/a/b"])
    check("older: types", older("Type", "StringList"), ["/sift/a"])
    check("older: keys", older("KeyId", "alias/aws/ssm"), ["/sift/a/b"])
    by_path = ssm.get_parameters_by_path(Path="/sift", Recursive=True, ParameterFilters=one("Type", ["SecureString"], Option="BeginsWith"))
    check("by path and type", names(by_path["Parameters"]), ["/sift/a/b"])
    by_path = ssm.get_parameters_by_path(Path="/sift", Recursive=True, ParameterFilters=one("KeyId", ["alias/aws/ssm"]))
    check("by path and key", names(by_path["Parameters"]), ["/sift/a/b"])
