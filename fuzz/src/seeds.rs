//! Inputs that reach deep: the built-in documents, and small ones for corners that they do not have.

use std::fs;
use std::path::PathBuf;

use muster_document::{Format, convert};
use muster_proto::agent::v1::{Values, WorkItem};
use prost::Message as _;
use serde_json::json;

use crate::aws_json::choice;

/// Small documents with what is rare: the byte of the type, then the text.
const CORNERS: &[(u8, &str)] = &[
    (
        0,
        r#"{"schemaVersion":"1.2","runtimeConfig":{"aws:cloudWatch":{"settings":{"startType":"Enabled"},"properties":""}}}"#,
    ),
    (
        0,
        r#"{"schemaVersion":"2.2","parameters":{"p":{"type":"StringList","allowedPattern":"^(?=[a-z])(?!b)[^\\s]{1,3}(-\\p{Lu}+)?$","default":["ab"],"minItems":1,"maxItems":3,"minChars":1,"maxChars":9},"m":{"type":"MapList","default":[{"a":[1,2.5,null]}]},"v":{"type":"String","interpolationType":"ENV_VAR","default":""}},"mainSteps":[{"action":"aws:runShellScript","name":"a","precondition":{"StringEquals":["{{ p }}","platformType"]},"timeoutSeconds":"{{ p }}","inputs":{"runCommand":"{{ p }}","onFailure":"{{ v }}","finallyStep":"{{ v }}"}},{"action":"aws:runDocument","name":"b","inputs":{"documentType":"LocalPath","documentPath":"{{ v }}","documentParameters":"{{ m }}","onSuccess":"exit"}}]}"#,
    ),
    (
        2,
        r#"{"schemaVersion":"0.3","variables":{"n":{"type":"Integer","default":1}},"files":{"a.zip":{"checksums":{"sha256":"0000000000000000000000000000000000000000000000000000000000000000"},"size":1}},"mainSteps":[{"name":"l","action":"aws:loop","inputs":{"Steps":[{"name":"i","action":"aws:sleep","inputs":{"Duration":"{{ variable:n }}"}}]}},{"name":"b","action":"aws:branch","isEnd":"true","inputs":{"Choices":[{"NextStep":"l","Variable":"{{ l.x }}","StringEquals":"y"}],"Default":"l"}}]}"#,
    ),
    (
        4,
        r#"{"schemaVersion":"2.0","packages":{"linux":{"_any":{"x86_64":{"file":"a"}}}},"files":{"a":{"checksums":{}}}}"#,
    ),
    (12, r#"{"any":["thing",1,{"a":null}]}"#),
];

/// Texts that only YAML has.
const YAML_ONLY: &[&str] = &[
    "---\n# head\nschemaVersion: \"2.2\"\nbase: &b {runCommand: [\"x\", 'y', \"\\u0041\"]}\nmainSteps:\n- {name: a, action: aws:runShellScript, inputs: *b}\n",
    "schemaVersion: '2.2'\nmainSteps:\n  - name: a\n    action: aws:runShellScript\n    inputs:\n      timeoutSeconds: 0x10\n      runCommand:\n        - |-\n          cat <<'E'\n          {{ x }}\n          E\n        - >+\n          folded\n          text\n\n        - ~\n",
    "a: !!str 1\nb: .5e-3\nc: [on, yes, True, 0o17, -0, +1]\n? \"complex\"\n: v\n...\n",
];

/// The built-in documents, as the tree has them, with the byte of their type.
fn built_in() -> Vec<(u8, String)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../services/documents/builtin");
    let Ok(files) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut paths: Vec<_> = files.filter_map(|file| Some(file.ok()?.path())).collect();
    paths.sort();
    let read = paths.iter().filter_map(|path| fs::read_to_string(path).ok());
    read.map(|text| {
        let kind = match () {
            () if text.contains(r#""schemaVersion": "0.3""#) => 2,
            () if text.contains(r#""schemaVersion": "1.0""#) => 3,
            () => 0,
        };
        (kind, text)
    })
    .collect()
}

fn documents() -> Vec<(u8, String)> {
    let corners = CORNERS.iter().map(|(kind, text)| (*kind, (*text).to_owned()));
    built_in().into_iter().chain(corners).collect()
}

fn with_kind(kind: u8, text: &str) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

/// Documents in JSON.
#[must_use]
pub fn json() -> Vec<Vec<u8>> {
    let all = documents();
    all.iter().map(|(kind, text)| with_kind(*kind, text)).collect()
}

/// Documents in YAML.
#[must_use]
pub fn yaml() -> Vec<Vec<u8>> {
    let all = documents();
    let converted = all.iter().filter_map(|(kind, text)| {
        let text = convert(text, Format::Json, Format::Yaml).ok()?;
        Some(with_kind(*kind, &text))
    });
    converted
        .chain(YAML_ONLY.iter().map(|text| with_kind(0, text)))
        .collect()
}

/// Templates and values.
#[must_use]
pub fn interpolation() -> Vec<Vec<u8>> {
    [
        "echo {{ text }}\u{2}{{ lines }}\u{2}# {{ secret }}\u{1}a\u{2}b",
        "echo \"$SSM_secret\" '{{ secret }}' \"{{secret}}\" `echo {{ secret }}`\u{1}x",
        "cat <<E\n{{ secret }}\nE\ncat <<-'F'\n{{ secret }}\n\tF\n$((1 + {{ secret }})) ${a:-{{ secret }}} $'{{ secret }}'\u{1}'",
        "Write-Host @\"\n{{ secret }}\n\"@ @'\n{{ secret }}\n'@ <# {{ secret }} #> $( {{ secret }} ) `{{ secret }}\u{1}$(x)",
        "case {{ text }} in *) ;; esac; if [ \"x{{ map }}\" = x ]; then :; fi\u{1}\"; exit 1; #",
        "{{{{ text }}}} {{ .State }} {{ unknown }} {{text}}{{secret}}\u{1}{{ secret }}",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}

/// Bodies of requests, as clients send them.
#[must_use]
pub fn aws_json() -> Vec<Vec<u8>> {
    let bodies = [
        (
            "muster.documents.v1.CreateDocumentRequest",
            json!({"Name": "Mine", "Content": "{}", "DocumentType": "Automation.ChangeTemplate", "DocumentFormat": "YAML",
                "Tags": [{"Key": "k", "Value": "v"}], "Attachments": [{"Key": "SourceUrl", "Values": ["s3://b/p"]}],
                "Requires": [{"Name": "abc", "Version": "$LATEST"}]}),
        ),
        (
            "muster.runcommand.v1.SendCommandRequest",
            json!({"DocumentName": "AWS-RunShellScript", "Parameters": {"commands": ["id"], "x": []}, "TimeoutSeconds": 60,
                "InstanceIds": ["mi-0123456789abcdef0"], "Targets": [{"Key": "tag:a", "Values": ["b"]}],
                "MaxConcurrency": "10%", "NotificationConfig": {"NotificationEvents": ["All"]}}),
        ),
        (
            "muster.documents.v1.DescribeDocumentResult",
            json!({"Document": {"Name": "a.b", "CreatedDate": 1_700_000_000.123, "PlatformTypes": ["Linux", "MacOS"],
                "Parameters": [{"Name": "p", "Type": "StringMap"}], "Status": "Active"}}),
        ),
        (
            "muster.documents.v1.ListDocumentsRequest",
            json!({"Filters": [{"Key": "Owner", "Values": ["Self"]}], "DocumentFilterList": [{"key": "Name", "value": "x"}],
                "MaxResults": 50, "NextToken": null}),
        ),
        (
            "muster.inventory.v1.PutInventoryRequest",
            json!({"InstanceId": "mi-0123456789abcdef0", "Items": [{"TypeName": "AWS:File", "SchemaVersion": "1.0",
                "CaptureTime": "2026-01-01T00:00:00Z", "Content": [{"a": "b"}]}]}),
        ),
    ];
    bodies
        .iter()
        .map(|(message, body)| {
            let mut bytes = choice(message).to_vec();
            bytes.extend_from_slice(body.to_string().as_bytes());
            bytes
        })
        .collect()
}

/// Policies with what a request asks of them: action, resource and policy, with a byte 1 between.
#[must_use]
pub fn policy() -> Vec<Vec<u8>> {
    let corners = [
        r#"{"Version":"2012-10-17","Statement":{"Sid":"A1","Effect":"Deny","NotAction":["ssm:Get*","ssm:?ist*"],"NotResource":["arn:aws:ssm:*:*:parameter/${aws:username}/${aws:PrincipalTag/team}*${*}","arn:*:*:??-east-1::*"]}}"#,
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEqualsIgnoreCase":{"ssm:resourceTag/Env":["dev","${ssm:nodeId}"]},"StringNotLikeIfExists":{"aws:RequestTag/k":"a*b?c"},"ForAllValues:StringLike":{"aws:TagKeys":["a*"]},"ForAnyValue:StringNotEquals":{"aws:TagKeys":"b"},"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::*:role/*"}}}]}"#,
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"ssm:Put*","Resource":"*","Condition":{"NumericLessThanEquals":{"aws:PrincipalTag/level":[1,"2.5",1e3]},"DateGreaterThan":{"aws:CurrentTime":["2026-01-31T12:00:00Z",1769860800]},"BoolIfExists":{"aws:SecureTransport":false},"NotIpAddress":{"aws:SourceIp":["10.0.0.0/8","2001:db8::/32"]},"Null":{"ssm:Overwrite":true},"StringEquals":{"ssm:DocumentType":"Command"}}}]}"#,
    ];
    let texts = muster_policy::builtin::ALL.iter().map(|(_, text)| *text).chain(corners);
    let asked = "ssm:PutParameter\u{1}arn:aws:ssm:us-east-1:000000000000:parameter/alice/a*\u{1}";
    texts.map(|text| format!("{asked}{text}").into_bytes()).collect()
}

/// Work items of the built-in documents.
#[must_use]
pub fn work_item() -> Vec<Vec<u8>> {
    let items = documents().into_iter().enumerate().map(|(number, (_, content))| {
        let values = |items: &[&str]| Values {
            items: items.iter().map(|item| (*item).to_owned()).collect(),
        };
        WorkItem {
            run_id: "00000000-0000-4000-8000-000000000000".to_owned(),
            node_id: "mi-0123456789abcdef0".to_owned(),
            time_to_live_ms: 60_000,
            document_name: format!("Doc{number}"),
            document_content: content,
            document_format: "JSON".to_owned(),
            parameters: [
                ("commands".to_owned(), values(&["echo {{ssm:a}}", "exit 1"])),
                ("Operation".to_owned(), values(&["Scan"])),
                ("action".to_owned(), values(&["Install"])),
            ]
            .into(),
            required_capabilities: vec!["interpolation-env-var".to_owned()],
            ..WorkItem::default()
        }
        .encode_to_vec()
    });
    items.collect()
}

/// Signed requests, as clients send them and as they should not.
#[must_use]
pub fn authorization() -> Vec<Vec<u8>> {
    let scope = "MKIAALICEALICEALICE2/20260101/us-east-1/ssm/aws4_request";
    let signature = "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7";
    let headers = "host:localhost:8686\nx-amz-date:20260101T000000Z\nx-amz-target:AmazonSSM.ListCommands\ncontent-type:application/x-amz-json-1.1";
    [
        format!(
            "AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=content-type;host;x-amz-date;x-amz-target, Signature={signature}\u{1}{headers}\u{1}"
        ),
        format!(
            "AWS4-HMAC-SHA256 Credential={scope},SignedHeaders=content-type;host;x-amz-date;x-amz-meta;x-amz-security-token;x-amz-target,Signature={signature}\u{1}{headers}\nx-amz-security-token:a/b+c=\nx-amz-meta:  a  b \nx-amz-meta:c,d\u{1}b=%41&a=+&c"
        ),
        format!(
            "AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=date;host, Signature={signature}\u{1}host:x\ndate:Thu, 01 Jan 2026 00:00:00 GMT\u{1}"
        ),
        format!("AWS4-HMAC-SHA256 Credential={scope}\u{1}{headers}\u{1}X-Amz-Algorithm=AWS4-HMAC-SHA256"),
    ]
    .map(String::into_bytes)
    .to_vec()
}
