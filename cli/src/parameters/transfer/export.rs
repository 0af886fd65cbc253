//! `muster parameters export`.

use std::collections::HashMap;

use muster_proto::Word as _;
use muster_proto::parameterstore::v1::{
    GetParametersByPathRequest, Parameter, ParameterHistory, ParameterMetadata, ParameterType,
};

use super::{Entry, File};
use crate::complaint::Complaint;
use crate::exit::Exit;
use crate::parameters::list::{below, described};
use crate::parameters::{history, tags};
use crate::print;
use crate::server::Server;

pub(in crate::parameters) async fn export(path: &str, decrypt: bool, server: &Server) -> Result<Exit, Complaint> {
    let mut facts: HashMap<String, ParameterMetadata> = HashMap::new();
    for parameter in described(vec![below(path, true)], server).await? {
        facts.insert(parameter.name().to_owned(), parameter);
    }
    let (mut entries, mut secrets, mut elsewhere) = (Vec::new(), 0_usize, 0_usize);
    for parameter in values(path, decrypt, server).await? {
        if parameter.r#type() == ParameterType::SecureString && !decrypt {
            secrets += 1;
        } else if let Some(facts) = facts.remove(parameter.name()) {
            // One that was made since the description comes next time.
            let versions = history::versions(parameter.name().to_owned(), server).await?;
            let tags = tags::of(parameter.name().to_owned(), server).await?;
            let (labels, others) = labels(&versions, parameter.version());
            elsewhere += others;
            entries.push(Entry {
                tags: Some(tags),
                labels: Some(labels),
                ..entry(parameter, facts)
            });
        }
    }
    if secrets > 0 {
        print::say(&format!(
            "{secrets} SecureStrings were left out; --decrypt prints them in clear"
        ));
    }
    if elsewhere > 0 {
        print::say(&format!(
            "{elsewhere} labels were left out, which are on older versions; only latest versions are exported"
        ));
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

/// The labels of a version, and how many there are on others.
fn labels(versions: &[ParameterHistory], version: i64) -> (Vec<String>, usize) {
    let (own, others): (Vec<_>, Vec<_>) = versions.iter().partition(|each| each.version() == version);
    let mut labels: Vec<String> = own.into_iter().flat_map(|each| each.labels.clone()).collect();
    labels.sort();
    (labels, others.into_iter().map(|each| each.labels.len()).sum())
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
        policies: Some(format!("[{}]", texts.join(","))),
        name: parameter.name.unwrap_or_default(),
        value: parameter.value.unwrap_or_default(),
        description: Some(facts.description.unwrap_or_default()),
        key_id: facts.key_id,
        allowed_pattern: Some(facts.allowed_pattern.unwrap_or_default()),
        data_type: facts.data_type,
        tags: None,
        labels: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_export_says_everything_also_what_is_empty() {
        let mut parameter = Parameter {
            name: Some("/a".to_owned()),
            value: Some("v".to_owned()),
            ..Parameter::default()
        };
        parameter.set_type(ParameterType::String);
        let facts = ParameterMetadata {
            data_type: Some("text".to_owned()),
            tier: Some(2),
            ..ParameterMetadata::default()
        };
        let entry = Entry {
            tags: Some([("env".to_owned(), "prod".to_owned())].into()),
            labels: Some(Vec::new()),
            ..entry(parameter, facts)
        };
        assert_eq!(format!("{entry:?}"), "Entry(/a)");
        let text = serde_json::to_string(&File {
            parameters: vec![entry],
        })
        .unwrap();
        assert_eq!(
            text,
            r#"{"Parameters":[{"Name":"/a","Type":"String","Value":"v","Description":"","AllowedPattern":"","Tier":"Advanced","DataType":"text","Policies":"[]","Tags":{"env":"prod"},"Labels":[]}]}"#
        );
    }

    #[test]
    fn labels_are_those_of_the_version() {
        let version = |number: i64, labels: &[&str]| ParameterHistory {
            version: Some(number),
            labels: labels.iter().map(|label| (*label).to_owned()).collect(),
            ..ParameterHistory::default()
        };
        let versions = [version(1, &["old", "older"]), version(2, &["new", "live"])];
        assert_eq!(labels(&versions, 2), (vec!["live".to_owned(), "new".to_owned()], 2));
        assert_eq!(labels(&versions, 3), (Vec::new(), 4));
    }
}
