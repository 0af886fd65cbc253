"""Section 1: which answer has which members."""

from judge import ARN, check, described, history


def run(ssm):
    put = ssm.put_parameter
    put(Name="/answer/bare", Value="x", Type="String")
    put(Name="/answer/full", Value="x", Type="SecureString", Description="d", AllowedPattern="x+", Tier="Intelligent-Tiering")
    shown = ["ARN", "DataType", "LastModifiedDate", "Name", "Type", "Value", "Version"]
    for name in ["/answer/bare", "/answer/full"]:
        check("GetParameter", sorted(ssm.get_parameter(Name=name)["Parameter"]), shown)
        check("with a selector", sorted(ssm.get_parameter(Name=name + ":1")["Parameter"]), sorted([*shown, "Selector"]))
        check("GetParameters", sorted(ssm.get_parameters(Names=[name])["Parameters"][0]), shown)
    for parameter in ssm.get_parameters_by_path(Path="/answer")["Parameters"]:
        check("GetParametersByPath", sorted(parameter), shown)
    bare = ["DataType", "LastModifiedDate", "LastModifiedUser", "Name", "Policies", "Tier", "Type", "Version"]
    own = ["AllowedPattern", "Description", "KeyId"]
    check("described", sorted(described(ssm, "/answer/bare")), sorted([*bare, "ARN"]))
    check("described in full", sorted(described(ssm, "/answer/full")), sorted([*bare, *own, "ARN"]))
    check("history", sorted(history(ssm, "/answer/bare")[0]), sorted([*bare, "Labels", "Value"]))
    check("history in full", sorted(history(ssm, "/answer/full")[0]), sorted([*bare, *own, "Labels", "Value"]))
    version = history(ssm, "/answer/bare")[0]
    check("none", (version["Policies"], version["Labels"], version["DataType"]), ([], [], "text"))
    full = described(ssm, "/answer/full")
    check("resolved", (full["Tier"], full["ARN"]), ("Standard", ARN + "/answer/full"))
    put(Name="answer", Value="x", Type="String")
    check("ARN of a root name", described(ssm, "answer")["ARN"], ARN + "/answer")
