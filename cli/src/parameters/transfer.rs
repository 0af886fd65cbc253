//! `muster parameters export` and `import`: parameters as JSON, by the names of the public API.

use std::collections::HashMap;

use muster_proto::Word as _;
use muster_proto::parameterstore::v1::{
    GetParametersByPathRequest, Parameter, ParameterMetadata, ParameterType, PutParameterRequest,
};
use muster_wire::{Failure, Reason};
use serde::{Deserialize, Serialize};

use super::list::{below, described};
use super::{parameter_type, secret, tier};
use crate::complaint::Complaint;
use crate::exit::Exit;
use crate::print;
use crate::server::{Server, ServerArguments};

/// What a file holds.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct File {
    parameters: Vec<Entry>,
}

/// A parameter in its latest version.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Entry {
    name: String,
    r#type: String,
    value: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    allowed_pattern: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tier: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    data_type: Option<String>,
    /// The array, as a text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    policies: Option<String>,
}

/// Without the value.
impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Entry({})", self.name)
    }
}

pub(super) async fn export(path: &str, decrypt: bool, server: &Server) -> Result<Exit, Complaint> {
    let mut facts: HashMap<String, ParameterMetadata> = HashMap::new();
    for parameter in described(vec![below(path, true)], server).await? {
        facts.insert(parameter.name().to_owned(), parameter);
    }
    let (mut entries, mut left_out) = (Vec::new(), 0_usize);
    for parameter in values(path, decrypt, server).await? {
        if parameter.r#type() == ParameterType::SecureString && !decrypt {
            left_out += 1;
        } else if let Some(facts) = facts.remove(parameter.name()) {
            // One that was made since the description comes next time.
            entries.push(entry(parameter, facts));
        }
    }
    if left_out > 0 {
        print::say(&format!(
            "{left_out} SecureStrings were left out; --decrypt prints them in clear"
        ));
    }
    if !entries.is_empty() {
        print::say("latest versions only, without their labels and tags");
    }
    let file = File { parameters: entries };
    let text = serde_json::to_string_pretty(&file).map_err(|source| Complaint::Local {
        what: "the parameters cannot be written".to_owned(),
        source: source.into(),
    })?;
    print::data(&format!("{text}\n"))?;
    Ok(Exit::Success)
}

async fn values(path: &str, decrypt: bool, server: &Server) -> Result<Vec<Parameter>, Complaint> {
    let mut request = GetParametersByPathRequest {
        path: Some(path.to_owned()),
        recursive: Some(true),
        with_decryption: Some(decrypt),
        max_results: Some(10),
        ..GetParametersByPathRequest::default()
    };
    let mut parameters = Vec::new();
    loop {
        let answer = server.parameters().get_parameters_by_path(request.clone()).await;
        let page = answer
            .map_err(|status| Complaint::answered("ParameterStore.GetParametersByPath", status))?
            .into_inner();
        parameters.extend(page.parameters);
        request.next_token = page.next_token;
        if request.next_token.is_none() {
            return Ok(parameters);
        }
    }
}

fn entry(parameter: Parameter, facts: ParameterMetadata) -> Entry {
    let texts: Vec<&str> = facts
        .policies
        .iter()
        .filter_map(|policy| policy.policy_text.as_deref())
        .collect();
    Entry {
        r#type: parameter.r#type().word().to_owned(),
        tier: Some(facts.tier().word().to_owned()),
        policies: (!texts.is_empty()).then(|| format!("[{}]", texts.join(","))),
        name: parameter.name.unwrap_or_default(),
        value: parameter.value.unwrap_or_default(),
        description: facts.description,
        key_id: facts.key_id,
        allowed_pattern: facts.allowed_pattern,
        data_type: facts.data_type,
    }
}

pub(super) async fn import(file: &str, overwrite: bool, server: &ServerArguments) -> Result<Exit, Complaint> {
    let text = secret::from_file(file)?;
    let read: File = serde_json::from_str(&text).map_err(|error| Complaint::Usage {
        // The error's own text may repeat a value.
        what: format!(
            "{file} holds no exported parameters: line {}, column {}",
            error.line(),
            error.column()
        ),
        hint: "`muster parameters export` prints such a file".to_owned(),
    })?;
    let requests: Result<Vec<_>, _> = read
        .parameters
        .into_iter()
        .map(|entry| request(entry, overwrite))
        .collect();
    let requests = requests?;
    let server = server.connect().await?;
    let (mut made, mut left_alone) = (0_usize, 0_usize);
    for request in requests {
        let name = request.name.clone().unwrap_or_default();
        match server.parameters().put_parameter(request).await {
            Ok(_) => made += 1,
            Err(status) => match Failure::from_status(&status) {
                Failure::Refused(refusal) if refusal.reason == Reason::ParameterAlreadyExists => left_alone += 1,
                _ => {
                    print::say(&format!("{made} parameters were put; it ends at {name}"));
                    return Err(Complaint::answered("ParameterStore.PutParameter", status));
                }
            },
        }
    }
    print::say(&format!(
        "{made} parameters were put, {left_alone} exist already and were left alone"
    ));
    Ok(Exit::Success)
}

fn request(entry: Entry, overwrite: bool) -> Result<PutParameterRequest, Complaint> {
    let bad = |what: String| Complaint::Usage {
        what: format!("{}: {what}", entry.name),
        hint: String::new(),
    };
    let kind = parameter_type(&entry.r#type).map_err(|error| bad(format!("Type: {error}")))?;
    let tier = entry
        .tier
        .as_deref()
        .map(tier)
        .transpose()
        .map_err(|error| bad(format!("Tier: {error}")))?;
    Ok(PutParameterRequest {
        name: Some(entry.name),
        value: Some(entry.value),
        r#type: Some(kind.into()),
        description: entry.description,
        key_id: entry.key_id,
        overwrite: Some(overwrite),
        allowed_pattern: entry.allowed_pattern,
        tier: tier.map(Into::into),
        policies: entry.policies,
        data_type: entry.data_type,
        tags: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_exported_is_imported() {
        let mut parameter = Parameter {
            name: Some("/a".to_owned()),
            value: Some("v".to_owned()),
            ..Parameter::default()
        };
        parameter.set_type(ParameterType::String);
        let facts = ParameterMetadata {
            description: Some("d".to_owned()),
            data_type: Some("text".to_owned()),
            tier: Some(2),
            ..ParameterMetadata::default()
        };
        let entry = entry(parameter, facts);
        assert_eq!(format!("{entry:?}"), "Entry(/a)");
        let text = serde_json::to_string(&File {
            parameters: vec![entry],
        })
        .unwrap();
        assert_eq!(
            text,
            r#"{"Parameters":[{"Name":"/a","Type":"String","Value":"v","Description":"d","Tier":"Advanced","DataType":"text"}]}"#
        );
        let read: File = serde_json::from_str(&text).unwrap();
        let request = request(read.parameters.into_iter().next().unwrap(), true).unwrap();
        assert_eq!(
            (request.value(), request.overwrite(), request.description()),
            ("v", true, "d")
        );
    }
}
