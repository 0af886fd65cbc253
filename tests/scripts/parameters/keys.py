"""Section 10: what callers see of encryption."""

from judge import check, described, history, refused

KEY = "arn:aws:kms:us-east-1:000000000000"


def run(ssm):
    ssm.put_parameter(Name="/secret/x", Value="hidden", Type="SecureString", Description="d")
    closed = ssm.get_parameter(Name="/secret/x")["Parameter"]
    check("closed", (closed["Type"], "hidden" in closed["Value"]), ("SecureString", False))
    check("stable", ssm.get_parameter(Name="/secret/x")["Parameter"]["Value"], closed["Value"])
    check("open", ssm.get_parameter(Name="/secret/x", WithDecryption=True)["Parameter"]["Value"], "hidden")
    listed = ssm.describe_parameters(ParameterFilters=[{"Key": "Type", "Values": ["SecureString"]}])["Parameters"]
    check("key", [(p["Name"], p["KeyId"]) for p in listed], [("/secret/x", "alias/aws/ssm")])
    forms = ["alias/aws/ssm", f"{KEY}:alias/aws/ssm"]
    for number, form in enumerate(forms):
        name = f"/secret/form{number}"
        ssm.put_parameter(Name=name, Value=form, Type="SecureString", KeyId=form)
        check("as it was named", described(ssm, name)["KeyId"], form)
        check("in the history", history(ssm, name)[0]["KeyId"], form)
        check("opened", ssm.get_parameter(Name=name, WithDecryption=True)["Parameter"]["Value"], form)
        check("kept", ssm.put_parameter(Name=name, Value="x", Overwrite=True)["Version"], 2)
        check("still", described(ssm, name)["KeyId"], form)
    for form, text in [("alias/nope", f"Alias {KEY}:alias/nope is not found."), (f"{KEY}:alias/nope", f"Alias {KEY}:alias/nope is not found."),
                       ("nope", f"Key '{KEY}:key/nope' does not exist"), (f"{KEY}:key/nope", f"Key '{KEY}:key/nope' does not exist")]:
        refused("InvalidKeyId", text, ssm.put_parameter, Name="/secret/no", Value="x", Type="SecureString", KeyId=form)
    ssm.put_parameter(Name="/secret/x", Value="hidden", Overwrite=True)
    closed = [version["Value"] for version in history(ssm, "/secret/x")]
    check("each version by itself", (len(set(closed)), "hidden" in "".join(closed)), (2, False))
    both = ssm.get_parameter_history(Name="/secret/x", WithDecryption=True)["Parameters"]
    check("both in clear", [version["Value"] for version in both], ["hidden", "hidden"])
    many = ssm.get_parameters(Names=["/secret/x", "/secret/x:1"], WithDecryption=True)["Parameters"]
    check("many in clear", [parameter["Value"] for parameter in many], ["hidden", "hidden"])
