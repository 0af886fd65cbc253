//! `muster parameters import`.

use std::collections::BTreeMap;

use muster_proto::parameterstore::v1::{LabelParameterVersionRequest, PutParameterRequest};
use muster_wire::{Failure, Reason};

use super::{Entry, File};
use crate::complaint::Complaint;
use crate::exit::Exit;
use crate::parameters::tags::{self, Tags};
use crate::parameters::{parameter_type, secret, tier};
use crate::print;
use crate::server::{Server, ServerArguments};

pub(in crate::parameters) async fn import(
    file: &str,
    overwrite: bool,
    server: &ServerArguments,
) -> Result<Exit, Complaint> {
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
    let wanted: Result<Vec<Wanted>, _> = read.parameters.into_iter().map(Wanted::try_from).collect();
    let wanted = wanted?;
    let server = server.connect().await?;
    let (mut made, mut left_alone) = (0_usize, 0_usize);
    for wanted in wanted {
        let name = wanted.name().to_owned();
        match wanted.put(overwrite, &server).await {
            Ok(true) => made += 1,
            Ok(false) => left_alone += 1,
            Err(complaint) => {
                print::say(&format!("{made} parameters were put; it ends at {name}"));
                return Err(complaint);
            }
        }
    }
    print::say(&format!(
        "{made} parameters were put, {left_alone} exist already and were left alone"
    ));
    Ok(Exit::Success)
}

/// A parameter as it shall be.
#[derive(Debug)]
struct Wanted {
    /// With tags, and for one that is not there.
    request: PutParameterRequest,
    /// None: nothing is said of them.
    tags: Option<Tags>,
    labels: Vec<String>,
}

impl TryFrom<Entry> for Wanted {
    type Error = Complaint;

    fn try_from(entry: Entry) -> Result<Self, Complaint> {
        let bad = |what: String| Complaint::Usage {
            what: format!("{}: {what}", entry.name),
            hint: String::new(),
        };
        let kind = parameter_type(&entry.r#type).map_err(|error| bad(format!("Type: {error}")))?;
        let tier = entry.tier.as_deref().map(tier).transpose();
        let tier = tier.map_err(|error| bad(format!("Tier: {error}")))?;
        Ok(Self {
            request: PutParameterRequest {
                name: Some(entry.name),
                value: Some(entry.value),
                r#type: Some(kind.into()),
                description: entry.description,
                key_id: entry.key_id,
                overwrite: None,
                allowed_pattern: entry.allowed_pattern,
                tier: tier.map(Into::into),
                policies: entry.policies,
                data_type: entry.data_type,
                tags: tags::listed(entry.tags.clone().unwrap_or_default()),
            },
            tags: entry.tags,
            labels: entry.labels.unwrap_or_default(),
        })
    }
}

impl Wanted {
    fn name(&self) -> &str {
        self.request.name()
    }

    /// Makes it, or changes the one that is there if that is wanted; `false` if it was left alone.
    async fn put(self, overwrite: bool, server: &Server) -> Result<bool, Complaint> {
        let version = match server.parameters().put_parameter(self.request.clone()).await {
            Ok(made) => made.into_inner().version(),
            Err(status) if !exists(&status) => {
                return Err(Complaint::answered("ParameterStore.PutParameter", status));
            }
            Err(_) if !overwrite => return Ok(false),
            Err(_) => {
                // Tags go with a put only where it makes the parameter.
                let over = PutParameterRequest {
                    overwrite: Some(true),
                    tags: Vec::new(),
                    ..self.request.clone()
                };
                let put = server.parameters().put_parameter(over).await;
                let put = put.map_err(|status| Complaint::answered("ParameterStore.PutParameter", status))?;
                if let Some(wanted) = &self.tags {
                    self.change_tags(wanted, server).await?;
                }
                put.into_inner().version()
            }
        };
        self.put_labels(version, server).await?;
        Ok(true)
    }

    async fn change_tags(&self, wanted: &Tags, server: &Server) -> Result<(), Complaint> {
        let there = tags::of(self.name().to_owned(), server).await?;
        let (gone, new) = difference(&there, wanted);
        // First those that go: there may be no room for the others before.
        if !gone.is_empty() {
            tags::remove(self.name().to_owned(), gone, server).await?;
        }
        if !new.is_empty() {
            tags::add(self.name().to_owned(), new, server).await?;
        }
        Ok(())
    }

    /// A label that is on an older version moves.
    async fn put_labels(&self, version: i64, server: &Server) -> Result<(), Complaint> {
        if self.labels.is_empty() {
            return Ok(());
        }
        let request = LabelParameterVersionRequest {
            name: self.request.name.clone(),
            parameter_version: Some(version),
            labels: self.labels.clone(),
        };
        let answer = server.parameters().label_parameter_version(request).await;
        let answer = answer.map_err(|status| Complaint::answered("ParameterStore.LabelParameterVersion", status))?;
        match answer.into_inner().invalid_labels.as_slice() {
            [] => Ok(()),
            bad => Err(Complaint::Usage {
                what: format!("{}: Labels: {} cannot be put on a version", self.name(), bad.join(", ")),
                hint: "a label has letters, digits and ._- and does not begin with a digit, aws or ssm".to_owned(),
            }),
        }
    }
}

fn exists(status: &tonic::Status) -> bool {
    matches!(
        Failure::from_status(status),
        Failure::Refused(refusal) if refusal.reason == Reason::ParameterAlreadyExists
    )
}

/// The keys that go, and the tags that come or change.
fn difference(there: &Tags, wanted: &Tags) -> (Vec<String>, Tags) {
    let gone = there.keys().filter(|key| !wanted.contains_key(*key));
    let new = wanted.iter().filter(|(key, value)| there.get(*key) != Some(*value));
    let new: BTreeMap<_, _> = new.map(|(key, value)| (key.clone(), value.clone())).collect();
    (gone.cloned().collect(), new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(pairs: &[(&str, &str)]) -> Tags {
        let pair = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn tags_become_what_is_wanted() {
        let there = tags(&[("a", "1"), ("b", "2"), ("c", "3")]);
        let wanted = tags(&[("a", "1"), ("b", "9"), ("d", "4")]);
        let (gone, new) = difference(&there, &wanted);
        assert_eq!((gone, new), (vec!["c".to_owned()], tags(&[("b", "9"), ("d", "4")])));
    }

    #[test]
    fn a_file_of_an_older_export_says_nothing_of_tags_and_labels() {
        let text = r#"{"Parameters":[{"Name":"/a","Type":"String","Value":"v","Description":"d","Tier":"Advanced","DataType":"text"}]}"#;
        let read: File = serde_json::from_str(text).unwrap();
        let wanted = Wanted::try_from(read.parameters.into_iter().next().unwrap()).unwrap();
        let request = &wanted.request;
        assert_eq!((request.value(), request.description()), ("v", "d"));
        assert_eq!((&request.allowed_pattern, &request.policies), (&None, &None));
        assert_eq!((wanted.tags, wanted.labels), (None, Vec::new()));
    }
}
