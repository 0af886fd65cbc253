"""Section 3: what a put is refused for, in which order, and what it leaves as it was."""

from judge import EXPIRATION, NAME, NO_CHANGE, VALIDATION, check, described, history, refused


def run(ssm):
    refusals(ssm)
    order(ssm)
    overwrites(ssm)
    types(ssm)
    rolls(ssm)


def refusals(ssm):
    put = ssm.put_parameter
    answer = put(Name="/put/x", Value="one", Type="String")
    check("first", (answer["Version"], answer["Tier"]), (1, "Standard"))
    answer = put(Name="/put/x", Value="two", Overwrite=True)
    check("second", answer["Version"], 2)
    check("made by overwrite", put(Name="/put/new", Value="x", Type="String", Overwrite=True)["Version"], 1)
    exists = "The parameter already exists. To overwrite this value, set the overwrite option in the request to true."
    refused("ParameterAlreadyExists", exists, put, Name="/put/x", Value="y", Type="String")
    refused(VALIDATION, "1 validation error detected: Value at 'value' failed to satisfy constraint: Member must have "
            "length greater than or equal to 1", put, Name="n", Value="", Type="String")
    refused(VALIDATION, "Standard tier parameters support a maximum parameter value of 4096 characters.", put,
            Name="n", Value="x" * 4097, Type="String")
    refused(VALIDATION, "Advanced tier parameters support a maximum parameter value of 8192 characters.", put,
            Name="n", Value="x" * 8193, Type="String", Tier="Advanced")
    refused(VALIDATION, "Invalid request: tags and overwrite can't be used together.", put, Name="n", Value="x",
            Type="String", Overwrite=True, Tags=[{"Key": "k", "Value": "v"}])
    refused(VALIDATION, "A parameter type is required when you create a parameter.", put, Name="n", Value="x")
    refused(VALIDATION, "The following data type is not supported: TEXT (Data type names are all lowercase.)", put,
            Name="n", Value="x", Type="String", DataType="TEXT")
    refused(VALIDATION, "", put, Name="n", Value="x", Type="String", DataType="aws:ec2:image")
    refused(VALIDATION, "", put, Name="n", Value="{{ssm:x}}", Type="String")
    refused("InvalidAllowedPatternException", "", put, Name="n", Value="x", Type="String", AllowedPattern="[")
    refused("ParameterPatternMismatchException", "", put, Name="n", Value="12345", Type="String", AllowedPattern=r"\d{1,4}")
    refused("InvalidPolicyAttributeException", "", put, Name="n", Value="x", Type="String", Tier="Advanced", Policies="x")
    refused("InvalidPolicyTypeException", "", put, Name="n", Value="x", Type="String", Tier="Advanced",
            Policies="[" + NO_CHANGE.replace("NoChange", "Any") + "]")
    refused("IncompatiblePolicyException", "", put, Name="n", Value="x", Type="String", Tier="Advanced",
            Policies=f"[{EXPIRATION},{EXPIRATION}]")
    refused("PoliciesLimitExceededException", "", put, Name="n", Value="x", Type="String", Tier="Advanced",
            Policies="[" + ",".join([NO_CHANGE] * 11) + "]")
    refused(VALIDATION, "", put, Name="n", Value="x", Type="String", Tier="Standard", Policies=f"[{NO_CHANGE}]")
    refused("InvalidKeyId", "Alias arn:aws:kms:us-east-1:000000000000:alias/nope is not found.", put, Name="n",
            Value="x", Type="SecureString", KeyId="alias/nope")
    refused("ParameterNotFound", "Parameter n not found.", ssm.get_parameter, Name="n")
    refused(VALIDATION, "1 validation error detected: Value", put, Name="n", Value="x", Type="String",
            Description="d" * 1025)
    refused(VALIDATION, "1 validation error detected: Value", put, Name="n", Value="x", Type="SecureString", KeyId="a key")
    refused(VALIDATION, "1 validation error detected: Value", put, Name="n", Value="x", Type="Text")
    refused(VALIDATION, "", put, Name="n", Value="x", Type="String", AllowedPattern="p" * 1025)
    refused(VALIDATION, "", put, Name="n", Value="x", Type="String", DataType="d" * 129)
    refused(VALIDATION, "1 validation error detected: Value at 'value' failed to satisfy constraint: Member must have "
            "length less than or equal to 32768", put, Name="n", Value="x" * 32769, Type="String")
    for value in ["{{ssm:x}}", "{{  ssm:x }}", "a {{ssm-secure:x}} b"]:
        refused(VALIDATION, "Parameter value can't refer to other parameters", put, Name="n", Value=value, Type="String")
    refused("ParameterPatternMismatchException", "Parameter value, cannot be validated against allowedPattern: a+", put,
            Name="n", Value="aab", Type="String", AllowedPattern="a+")
    refused("ParameterNotFound", "Parameter n not found.", ssm.get_parameter, Name="n")


def order(ssm):
    """What comes first is told, whatever else is wrong."""
    put = ssm.put_parameter
    put(Name="/order", Value="x", Type="String")
    tags = [{"Key": "aws:x", "Value": "v"}]
    bad = {"Value": "x", "DataType": "nope", "AllowedPattern": "[", "Policies": "x", "Tags": tags}
    refused(VALIDATION, NAME, put, Name="ssm", Overwrite=True, **bad)
    refused(VALIDATION, "Invalid request: tags and overwrite can't be used together.", put, Name="/order", Overwrite=True, **bad)
    refused("ParameterAlreadyExists", "", put, Name="/order", **bad)
    refused(VALIDATION, "A parameter type is required", put, Name="/order/new", **bad)
    refused(VALIDATION, "The following data type is not supported: nope", put, Name="/order/new", Type="String", **bad)
    bad["DataType"] = "integer"
    refused(VALIDATION, "Parameter value doesn't fit the data type integer.", put, Name="/order/new", Type="String", **bad)
    bad["DataType"] = "text"
    refused("InvalidPolicyAttributeException", "", put, Name="/order/new", Type="String", Tier="Advanced", **bad)
    del bad["Policies"]
    refused(VALIDATION, "the tag key aws:x is reserved", put, Name="/order/new", Type="String", **bad)
    del bad["Tags"]
    refused("InvalidAllowedPatternException", "", put, Name="/order/new", Type="SecureString", KeyId="alias/nope", **bad)
    bad["AllowedPattern"] = "y"
    refused("ParameterPatternMismatchException", "", put, Name="/order/new", Type="SecureString", KeyId="alias/nope", **bad)
    bad["AllowedPattern"] = "x"
    refused("InvalidKeyId", "", put, Name="/order/new", Type="SecureString", KeyId="alias/nope", **bad)


def overwrites(ssm):
    put = ssm.put_parameter
    put(Name="/over", Value="7", Type="String", Description="d", AllowedPattern=r"\d+", DataType="integer", Tier="Advanced",
        Policies=f"[{NO_CHANGE}]", Tags=[{"Key": "k", "Value": "v"}])
    ssm.label_parameter_version(Name="/over", Labels=["live"])
    put(Name="/over", Value="8", Overwrite=True)
    kept = described(ssm, "/over")
    check("kept", (kept["Type"], kept["Description"], kept["AllowedPattern"], kept["DataType"], kept["Tier"],
                   [policy["PolicyText"] for policy in kept["Policies"]]),
          ("String", "d", r"\d+", "integer", "Advanced", [NO_CHANGE]))
    tags = ssm.list_tags_for_resource(ResourceType="Parameter", ResourceId="/over")["TagList"]
    check("tags stay", tags, [{"Key": "k", "Value": "v"}])
    check("labels stay", [version["Labels"] for version in history(ssm, "/over")], [["live"], []])
    refused(VALIDATION, "Parameter value doesn't fit the data type integer.", put, Name="/over", Value="x", Overwrite=True)
    put(Name="/over", Value="text", Overwrite=True, DataType="text", AllowedPattern="")
    check("no pattern any more", "AllowedPattern" in described(ssm, "/over"), False)
    put(Name="/over", Value="text", Overwrite=True, AllowedPattern="text|more", Description="")
    check("no description any more", "Description" in described(ssm, "/over"), False)
    refused("ParameterPatternMismatchException", "", put, Name="/over", Value="less", Overwrite=True)
    put(Name="/over", Value="x", Overwrite=True, AllowedPattern="", Policies="[]")
    check("no policies any more", described(ssm, "/over")["Policies"], [])
    check("before that", [len(version["Policies"]) for version in history(ssm, "/over")], [1, 1, 1, 1, 0])
    ssm.delete_parameter(Name="/over")
    check("from the start", put(Name="/over", Value="x", Type="String")["Version"], 1)
    check("without what it had", (described(ssm, "/over")["DataType"], history(ssm, "/over")[0]["Labels"]), ("text", []))


def types(ssm):
    put = ssm.put_parameter
    put(Name="/type", Value="plain", Type="String")
    check("another type", put(Name="/type", Value="hidden", Type="SecureString", Overwrite=True)["Version"], 2)
    versions = history(ssm, "/type")
    check("what was plain stays so", [version["Type"] for version in versions], ["String", "SecureString"])
    check("and is read", versions[0]["Value"], "plain")
    check("back again", put(Name="/type", Value="plain", Type="StringList", Overwrite=True)["Version"], 3)
    check("no key any more", "KeyId" in described(ssm, "/type"), False)
    put(Name="/type/list", Value="a,,b c, d", Type="StringList")
    check("a list as it is", ssm.get_parameter(Name="/type/list")["Parameter"]["Value"], "a,,b c, d")
    put(Name="/type/key", Value="x", Type="String", KeyId="alias/nope")
    check("a key for nothing", "KeyId" in described(ssm, "/type/key"), False)
    check("as long as a request may be", put(Name="/type/" + "a" * 900, Value="x", Type="String", Description="d" * 1024)["Version"], 1)


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
