"""Section 9: tags and settings."""

from judge import VALIDATION, check, names, refused


def run(ssm):
    ssm.put_parameter(Name="tagged", Value="x", Type="String", Tags=[{"Key": "a", "Value": "1"}])
    ssm.add_tags_to_resource(ResourceType="Parameter", ResourceId="/tagged", Tags=[{"Key": "b", "Value": "2"}])
    ssm.remove_tags_from_resource(ResourceType="Parameter", ResourceId="tagged", TagKeys=["a"])
    got = ssm.list_tags_for_resource(ResourceType="Parameter", ResourceId="tagged")["TagList"]
    check("tags", got, [{"Key": "b", "Value": "2"}])
    found = ssm.describe_parameters(ParameterFilters=[{"Key": "tag:b", "Values": ["2"]}])["Parameters"]
    check("by tag", names(found), ["tagged"])
    ssm.delete_parameter(Name="tagged")
    refused("InvalidResourceId", "", ssm.list_tags_for_resource, ResourceType="Parameter", ResourceId="tagged")
    more = [{"Key": f"k{n:02}", "Value": "v"} for n in range(50)]
    ssm.put_parameter(Name="tagged", Value="x", Type="String", Tags=more)
    add = ssm.add_tags_to_resource
    refused("TooManyTagsError", "", add, ResourceType="Parameter", ResourceId="tagged", Tags=[{"Key": "one", "Value": "more"}])
    add(ResourceType="Parameter", ResourceId="tagged", Tags=[{"Key": "k00", "Value": "other"}])
    refused(VALIDATION, "", add, ResourceType="Parameter", ResourceId="tagged", Tags=[{"Key": "aws:x", "Value": "y"}])
    refused(VALIDATION, "a parameter can have 50 tags", ssm.put_parameter, Name="tags", Value="x", Type="String",
            Tags=[*more, {"Key": "one", "Value": "more"}])
    refused("InvalidResourceId", "", add, ResourceType="Parameter", ResourceId="nope", Tags=[{"Key": "a", "Value": "b"}])
    quick = "/ssm/parameter-store/high-throughput-enabled"
    ssm.update_service_setting(SettingId=quick, SettingValue="true")
    check("kept", ssm.get_service_setting(SettingId=quick)["ServiceSetting"]["SettingValue"], "true")
    check("reset", ssm.reset_service_setting(SettingId=quick)["ServiceSetting"]["SettingValue"], "false")
    refused(VALIDATION, "", ssm.update_service_setting, SettingId=quick, SettingValue="perhaps")
    refused("ServiceSettingNotFound", "there is no service setting /ssm/nope", ssm.get_service_setting, SettingId="/ssm/nope")
