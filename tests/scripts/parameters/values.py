"""Section 3: data types."""

from judge import VALIDATION, check, described, refused

GOOD = [
    ("text", "anything at all"), ("aws:ec2:image", "ami-12345678"), ("aws:ec2:image", "ami-0123456789abcdef0"),
    ("aws:region", "eu-central-1"), ("aws:account:id", "012345678901"), ("boolean", "true"), ("boolean", "false"),
    ("integer", "-12"), ("float", "1.5"), ("binary", "aGVsbG8="), ("hostname", "db.example.com"), ("email", "a@example.com"),
    ("ipv4-address", "192.0.2.1"), ("ipv6-address", "2001:db8::1"),
]
ADVANCED = [("url", "https://example.com/a"), ("json", '{"a": [1, 2]}'), ("jsonc", '{"a": 1} // why')]
BAD = [
    ("aws:ec2:image", "ami-1234567"), ("aws:ec2:image", "ami-XYZ45678"), ("aws:account:id", "12"), ("boolean", "True"),
    ("boolean", "yes"), ("integer", "1.5"), ("integer", ""), ("float", "x"), ("binary", "***"), ("hostname", "-x-"),
    ("email", "nobody"), ("ipv4-address", "256.1.1.1"), ("ipv6-address", "192.0.2.1"), ("aws:region", "nowhere"),
]


def run(ssm):
    put = ssm.put_parameter
    for number, (data_type, value) in enumerate(GOOD):
        name = f"/value/{number}"
        check(data_type, put(Name=name, Value=value, Type="String", DataType=data_type)["Version"], 1)
        check(data_type, (described(ssm, name)["DataType"], ssm.get_parameter(Name=name)["Parameter"]["DataType"]),
              (data_type, data_type))
    for data_type, value in BAD:
        if value:
            refused(VALIDATION, f"Parameter value doesn't fit the data type {data_type}.", put, Name="/value/bad", Value=value,
                    Type="String", DataType=data_type)
    for data_type, value in ADVANCED:
        refused(VALIDATION, "The data types url, json and jsonc need the advanced-parameter tier", put, Name="/value/bad",
                Value=value, Type="String", DataType=data_type, Tier="Standard")
        for tier in ["Advanced", "Intelligent-Tiering"]:
            name = f"/value/{data_type}/{tier}"
            check(data_type, put(Name=name, Value=value, Type="String", DataType=data_type, Tier=tier)["Tier"], "Advanced")
        refused(VALIDATION, f"Parameter value doesn't fit the data type {data_type}.", put, Name="/value/bad", Value="{",
                Type="String", DataType=data_type, Tier="Advanced")
    hook = {"Value": "{}", "Type": "SecureString", "DataType": "aws:ssm:integration"}
    refused(VALIDATION, "The data type aws:ssm:integration is for parameters of type SecureString", put, Name="/value/bad", **hook)
