"""Section 2: names, their spellings, and ARNs."""

from judge import ARN, NAME, VALIDATION, check, described, names, refused


def run(ssm):
    spellings(ssm)
    bad_ones(ssm)
    arns(ssm)


def spellings(ssm):
    put = ssm.put_parameter
    put(Name="  /name/spaced ", Value="x", Type="String")
    check("spaces at the ends", ssm.get_parameter(Name="/name/spaced")["Parameter"]["Name"], "/name/spaced")
    put(Name="/name/Case", Value="upper", Type="String")
    put(Name="/name/case", Value="lower", Type="String")
    check("case", ssm.get_parameter(Name="/name/Case")["Parameter"]["Value"], "upper")
    put(Name="/name/a.b_c-9", Value="x", Type="String")
    put(Name="twofold", Value="1", Type="String")
    exists = "The parameter already exists."
    refused("ParameterAlreadyExists", exists, put, Name="/twofold", Value="2", Type="String")
    check("the same one", put(Name="/twofold", Value="2", Overwrite=True)["Version"], 2)
    for spelled in ["twofold", "/twofold"]:
        check("echoed", ssm.get_parameter(Name=spelled)["Parameter"]["Name"], spelled)
        check("echoed by many", names(ssm.get_parameters(Names=[spelled])["Parameters"]), [spelled])
        check("as it was made", described(ssm, spelled)["Name"], "twofold")
        check("labelled", ssm.label_parameter_version(Name=spelled, Labels=["l"])["ParameterVersion"], 2)
        ssm.add_tags_to_resource(ResourceType="Parameter", ResourceId=spelled, Tags=[{"Key": "k", "Value": spelled}])
    check("one answer", names(ssm.get_parameters(Names=["twofold", "/twofold"])["Parameters"]), ["twofold"])
    check("below the root", [n for n in names(ssm.get_parameters_by_path(Path="/")["Parameters"]) if "twofold" in n], ["twofold"])
    ssm.delete_parameter(Name="/twofold")
    refused("ParameterNotFound", "", ssm.get_parameter, Name="twofold")
    check("free again", put(Name="/twofold", Value="x", Type="String")["Version"], 1)
    check("spelled anew", described(ssm, "twofold")["Name"], "/twofold")


def bad_ones(ssm):
    put = ssm.put_parameter
    for name in ["ssmx", "/ssm/x", "SSM-x", "/Ssm", "/a//b", "//", "/", "a b", "/a b", "/a/", "x:1", "/a/b:label", "ä", "a,b", "a*"]:
        refused(VALIDATION, NAME, put, Name=name, Value="y", Type="String")
    refused(VALIDATION, "Parameter name must be a fully qualified name.", put, Name="a/b", Value="y", Type="String")
    for name in ["aws", "aws-x", "/aws/x", "AWSx", "/Aws/service/x"]:
        refused("AccessDeniedException", f"No access to reserved parameter name: {name}.", put, Name=name, Value="y", Type="String")
    put(Name="/" + "/".join(str(n) for n in range(1, 15)) + "/name", Value="x", Type="String")
    for levels in [16, 17]:
        deep = "/" + "/".join(str(n) for n in range(levels))
        refused("HierarchyLevelLimitExceededException", "", put, Name=deep, Value="y", Type="String")
    longest = 1011 - len(ARN + "/")
    check("longest", put(Name="n" * longest, Value="x", Type="String")["Version"], 1)
    refused(VALIDATION, "The parameter name is too long", put, Name="n" * (longest + 1), Value="x", Type="String")
    refused(VALIDATION, "The parameter name is too long", put, Name="/" + "n" * (longest + 1), Value="x", Type="String")
    refused(VALIDATION, "1 validation error detected: Value", put, Name="n" * 2049, Value="x", Type="String")
    # Whoever reads hears the same of them.
    refused(VALIDATION, NAME, ssm.get_parameter, Name="ssmx")
    refused(VALIDATION, NAME, ssm.get_parameters, Names=["/name/case", "a b"])
    refused(VALIDATION, NAME, ssm.get_parameter_history, Name="/a//b")
    for call in [ssm.delete_parameter, ssm.get_parameter_history]:
        refused(VALIDATION, NAME, call, Name="/name/case:1")
    refused(VALIDATION, NAME, ssm.label_parameter_version, Name="/name/case:1", Labels=["x"])


def arns(ssm):
    arn = ARN + "/name/case"
    check("by ARN", ssm.get_parameter(Name=arn)["Parameter"]["Value"], "lower")
    check("many by ARN", names(ssm.get_parameters(Names=[arn, "/name/Case"])["Parameters"]), ["/name/Case", "/name/case"])
    check("history by ARN", ssm.get_parameter_history(Name=arn)["Parameters"][0]["Name"], "/name/case")
    got = ssm.get_parameter(Name=arn + ":1")["Parameter"]
    check("a version by ARN", (got["Value"], got["Selector"]), ("lower", ":1"))
    refused(VALIDATION, "", ssm.put_parameter, Name=arn, Value="x", Type="String")
    refused(VALIDATION, "", ssm.delete_parameter, Name=arn)
    refused(VALIDATION, "", ssm.delete_parameters, Names=[arn])
    refused(VALIDATION, "", ssm.label_parameter_version, Name=arn, Labels=["x"])
    refused(VALIDATION, "", ssm.unlabel_parameter_version, Name=arn, ParameterVersion=1, Labels=["x"])
    for foreign in ["arn:aws:ssm:us-east-1:111111111111:parameter/x", "arn:aws:ssm:eu-west-1:000000000000:parameter/x",
                    "arn:aws-cn:ssm:us-east-1:000000000000:parameter/x"]:
        refused("AccessDeniedException", "", ssm.get_parameter, Name=foreign)
