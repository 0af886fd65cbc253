"""Section 6: paginators over lists that change meanwhile."""

from judge import check, history, names


def run(ssm):
    for number in range(25):
        ssm.put_parameter(Name=f"/page/{number:02}", Value="x", Type="String")
    seen = []
    for page in ssm.get_paginator("get_parameters_by_path").paginate(Path="/page", Recursive=True):
        seen += names(page["Parameters"])
        number = len(seen)
        ssm.put_parameter(Name=f"/page/{number % 25:02}.new", Value="x", Type="String", Overwrite=True)
        ssm.delete_parameters(Names=[f"/page/{number % 25:02}.old"])
    stayed = [name for name in seen if "." not in name]
    check("pages", stayed, [f"/page/{number:02}" for number in range(25)])
    check("once", len(set(seen)), len(seen))
    below = [{"Key": "Path", "Values": ["/page"]}]
    found = []
    for page in ssm.get_paginator("describe_parameters").paginate(ParameterFilters=below, PaginationConfig={"PageSize": 7}):
        found += [name for name in names(page["Parameters"]) if "." not in name]
    check("described", found, stayed)
    for number in range(40):
        ssm.put_parameter(Name="/page/versions", Value=str(number), Type="String", Overwrite=True)
    versions = []
    for page in ssm.get_paginator("get_parameter_history").paginate(Name="/page/versions", PaginationConfig={"PageSize": 9}):
        versions += [version["Version"] for version in page["Parameters"]]
        if len(versions) < 20:
            ssm.put_parameter(Name="/page/versions", Value="more", Overwrite=True)
    check("each version once", versions, list(range(1, len(versions) + 1)))
    check("with those that came", len(versions) >= 40, True)
    check("in the end", len(history(ssm, "/page/versions")), 42)
