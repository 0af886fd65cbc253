"""Section 7: labels."""

from judge import VALIDATION, check, history, refused


def run(ssm):
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
    put, label = ssm.put_parameter, ssm.label_parameter_version
    refused(VALIDATION, "", label, Name="/label/x", Labels=[f"l{n}" for n in range(11)])
    refused(VALIDATION, "", label, Name="/label/x", Labels=["l" * 101])
    bad = ["1x", "aws", "AWSx", "ssm-x", "Ssm", "a b", "a/b", "\u00e4"]
    got = label(Name="/label/x", Labels=[*bad, "l" * 100])
    check("bad ones fail nothing", (got["InvalidLabels"], got["ParameterVersion"]), (bad, 1))
    put(Name="/label/x", Value="2", Overwrite=True)
    check("on the latest", label(Name="/label/x", Labels=["live"])["ParameterVersion"], 2)
    label(Name="/label/x", ParameterVersion=1, Labels=["live"])
    check("it moves", [version["Labels"] for version in history(ssm, "/label/x")], [["live", "l" * 100], []])
    check("or stays", label(Name="/label/x", ParameterVersion=1, Labels=["live"])["InvalidLabels"], [])
    put(Name="/label/full", Value="1", Type="String")
    label(Name="/label/full", Labels=[f"l{n}" for n in range(9)])
    refused("ParameterVersionLabelLimitExceeded", "A version can have at most 10 labels.", label, Name="/label/full", Labels=["x", "y"])
    check("nothing of it was done", sorted(history(ssm, "/label/full")[0]["Labels"]), [f"l{n}" for n in range(9)])
    check("ten are none too many", label(Name="/label/full", Labels=["x", "l0"])["InvalidLabels"], [])
    unlabel = ssm.unlabel_parameter_version
    refused("ParameterNotFound", "", unlabel, Name="/label/nope", ParameterVersion=1, Labels=["x"])
    refused("ParameterVersionNotFound", "", unlabel, Name="/label/x", ParameterVersion=9, Labels=["x"])
    got = unlabel(Name="/label/x", ParameterVersion=2, Labels=["live"])
    check("of another version", (got["RemovedLabels"], got["InvalidLabels"]), ([], ["live"]))
