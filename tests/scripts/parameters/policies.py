"""Section 5: policies, what is wrong with them, and what has expired."""

from judge import EXPIRATION, NO_CHANGE, check, described, names, refused


def policy(kind, version="1.0", **attributes):
    inner = ",".join(f'"{key}":"{value}"' for key, value in attributes.items())
    return f'{{"Type":"{kind}","Version":"{version}","Attributes":{{{inner}}}}}'


def run(ssm):
    def put(of, name="/policy/x", **more):
        return ssm.put_parameter(Name=name, Value="x", Type="String", Tier="Advanced", Policies=of, Overwrite=True, **more)

    notice = policy("ExpirationNotification", Before="30", Unit="Days")
    attribute, kind, pair = "InvalidPolicyAttributeException", "InvalidPolicyTypeException", "IncompatiblePolicyException"
    for bad in ["x", "{}", '"x"', "[1]", "[" + policy("Expiration") + "]", "[" + policy("Expiration", Timestamp="soon") + "]",
                "[" + policy("Expiration", version="2.0", Timestamp="2099-12-02T21:34:33.000Z") + "]",
                "[" + policy("NoChangeNotification", After="x", Unit="Days") + "]",
                "[" + policy("NoChangeNotification", After="1", Unit="Weeks") + "]",
                "[" + policy("NoChangeNotification", Unit="Days") + "]",
                f"[{EXPIRATION}," + policy("ExpirationNotification", Before="-1", Unit="Days") + "]"]:
        refused(attribute, "", put, of=bad)
    refused(kind, "There is no policy of type Nothing", put, of="[" + policy("Nothing") + "]")
    refused(pair, "", put, of=f"[{EXPIRATION},{EXPIRATION}]")
    refused(pair, "", put, of=f"[{notice}]")
    refused("PoliciesLimitExceededException", "A parameter can have at most 10 policies.", put, of="[" + ",".join([NO_CHANGE] * 11) + "]")
    refused("ParameterNotFound", "", ssm.get_parameter, Name="/policy/x")
    check("ten", put(of="[" + ",".join([NO_CHANGE] * 10) + "]", name="/policy/ten")["Tier"], "Advanced")

    put(of=f"[{EXPIRATION},{notice},{NO_CHANGE}]")
    shown = described(ssm, "/policy/x")["Policies"]
    check("as they were given", [(p["PolicyText"], p["PolicyType"], p["PolicyStatus"]) for p in shown],
          [(EXPIRATION, "Expiration", "Pending"), (notice, "ExpirationNotification", "Pending"),
           (NO_CHANGE, "NoChangeNotification", "Pending")])
    ssm.put_parameter(Name="/policy/x", Value="y", Overwrite=True)
    check("they stay", len(described(ssm, "/policy/x")["Policies"]), 3)
    put(of=f"[{NO_CHANGE}]")
    check("new for old", [p["PolicyType"] for p in described(ssm, "/policy/x")["Policies"]], ["NoChangeNotification"])
    for nothing in ["[{}]", "[]"]:
        put(of=f"[{NO_CHANGE}]")
        put(of=nothing)
        check("none", described(ssm, "/policy/x")["Policies"], [])
    for form in ["2099-12-02T21:34:33Z", "2099-12-02T21:34:33.000+10:30", "2099-12-02T21:34:33.000+10:30:00"]:
        put(of="[" + policy("Expiration", Timestamp=form) + "]", name="/policy/form")

    past = "[" + policy("Expiration", Timestamp="2018-12-02T21:34:33.000Z") + "]"
    put(of=past, name="/policy/gone/x")
    refused("ParameterNotFound", "Parameter /policy/gone/x not found.", ssm.get_parameter, Name="/policy/gone/x")
    got = ssm.get_parameters(Names=["/policy/gone/x", "/policy/x"])
    check("expired", (names(got["Parameters"]), got["InvalidParameters"]), (["/policy/x"], ["/policy/gone/x"]))
    check("not below its path", ssm.get_parameters_by_path(Path="/policy/gone")["Parameters"], [])
    below = ssm.describe_parameters(ParameterFilters=[{"Key": "Path", "Values": ["/policy/gone"]}])
    check("not described", below["Parameters"], [])
    refused("ParameterNotFound", "", ssm.get_parameter_history, Name="/policy/gone/x")
    again = ssm.put_parameter(Name="/policy/gone/x", Value="new", Type="String")
    check("made anew", (again["Version"], ssm.get_parameter(Name="/policy/gone/x")["Parameter"]["Value"]), (1, "new"))
