"""Section 4: which tier a parameter gets, and how much each takes."""

from judge import NO_CHANGE, VALIDATION, check, described, refused

SETTING = "/ssm/parameter-store/default-parameter-tier"


def run(ssm):
    put = ssm.put_parameter
    answer = put(Name="/put/big", Value="x" * 5000, Type="String", Tier="Intelligent-Tiering")
    check("resolved tier", answer["Tier"], "Advanced")
    refused(VALIDATION, "This parameter uses the advanced-parameter tier. You can't downgrade", put, Name="/put/big",
            Value="x", Overwrite=True, Tier="Standard")
    check("4096 bytes", put(Name="/tier/4096", Value="x" * 4096, Type="String")["Tier"], "Standard")
    check("8192 bytes", put(Name="/tier/8192", Value="x" * 8192, Type="String", Tier="Advanced")["Tier"], "Advanced")
    # Bytes, not characters.
    refused(VALIDATION, "Standard tier parameters support a maximum parameter value of 4096 characters.", put,
            Name="/tier/bytes", Value="\u00e4" * 2049, Type="String")
    refused(VALIDATION, "Advanced tier parameters support a maximum parameter value of 8192 characters.", put,
            Name="/tier/bytes", Value="x" * 8193, Type="String", Tier="Intelligent-Tiering")
    check("clever and small", put(Name="/tier/clever", Value="x", Type="String", Tier="Intelligent-Tiering")["Tier"], "Standard")
    check("clever with policies", put(Name="/tier/policies", Value="x", Type="String", Tier="Intelligent-Tiering",
                                      Policies=f"[{NO_CHANGE}]")["Tier"], "Advanced")
    check("more by itself", put(Name="/tier/clever", Value="x" * 4097, Tier="Intelligent-Tiering", Overwrite=True)["Tier"], "Advanced")
    check("and never less", put(Name="/tier/clever", Value="x", Tier="Intelligent-Tiering", Overwrite=True)["Tier"], "Advanced")
    check("as it is", put(Name="/tier/clever", Value="x", Overwrite=True)["Tier"], "Advanced")
    refused(VALIDATION, "This parameter uses the advanced-parameter tier. You can't downgrade a parameter from the "
            "advanced-parameter tier to the standard-parameter tier.", put, Name="/tier/clever", Value="x", Tier="Standard",
            Overwrite=True)
    check("by its own wish", put(Name="/tier/4096", Value="x", Tier="Advanced", Overwrite=True)["Tier"], "Advanced")
    refused(VALIDATION, "Parameter policies need the advanced-parameter tier", put, Name="/tier/none", Value="x", Type="String",
            Policies=f"[{NO_CHANGE}]")
    setting = ssm.get_service_setting(SettingId=SETTING)["ServiceSetting"]
    check("the default", (setting["SettingValue"], setting["Status"]), ("Standard", "Default"))
    ssm.update_service_setting(SettingId=SETTING, SettingValue="Intelligent-Tiering")
    check("by the setting", put(Name="/tier/set", Value="x" * 4097, Type="String")["Tier"], "Advanced")
    check("never told", described(ssm, "/tier/set")["Tier"], "Advanced")
    check("one's own wish counts more", put(Name="/tier/own", Value="x", Type="String", Tier="Standard")["Tier"], "Standard")
    check("changed", ssm.get_service_setting(SettingId=SETTING)["ServiceSetting"]["Status"], "Customized")
    check("back", ssm.reset_service_setting(SettingId=SETTING)["ServiceSetting"]["SettingValue"], "Standard")
    refused(VALIDATION, "Standard tier parameters support", put, Name="/tier/again", Value="x" * 4097, Type="String")
