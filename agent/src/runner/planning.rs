//! From a work item to a plan: the document is read, the parameters are put in, the owner's policy is asked, and what the
//! document refers to in the parameter store is fetched.

use std::collections::BTreeMap;
use std::time::Duration;

use muster_credential::sealed::Recipient;
use muster_document::stored::{self, Stored, StoredType, StoredValues};
use muster_document::{Document, DocumentType, Format, Next, Outcome, Plan, Platform};
use muster_proto::agent::v1::{ParametersRequest, ParametersResult, StoredParameters, WorkItem};
use muster_wire::subject::RPC_PARAMETERS;
use prost::Message as _;
use zeroize::Zeroizing;

use super::action::Trouble;
use super::secrets::Secrets;
use super::waiting::Waiting;
use crate::journal::RunId;
use crate::policy::{Forbidden, Policy};

/// What this machine counts as.
pub(super) const PLATFORM: Platform = if cfg!(target_os = "macos") {
    Platform::MacOs
} else {
    Platform::Linux
};

/// Most names of one question to the parameter store.
const NAMES: usize = 10;

/// How long a run waits for all that it refers to; each question ends by itself before.
pub(super) const PATIENCE: Duration = Duration::from_secs(600);

/// A plan that can be run.
pub(super) enum Prepared {
    /// It refers to nothing, or nothing of it is left to run.
    Ready(Plan),
    /// The parameter store was asked, which takes time.
    LookedUp(Plan),
}

/// A document's text.
pub(crate) struct Text {
    pub(crate) content: String,
    pub(crate) format: Format,
}

/// A document and what was given for it; it may refer to the parameter store.
pub(crate) struct Draft {
    document: Document,
    given: BTreeMap<String, Vec<String>>,
    plan: Plan,
}

impl Draft {
    /// Reads a document and puts the parameters in; what is wrong becomes the run's trace.
    pub(crate) fn of(text: &Text, given: BTreeMap<String, Vec<String>>) -> Result<Self, String> {
        let document = Document::parse(&text.content, text.format, DocumentType::Command)
            .map_err(|findings| format!("invalid document: {findings}"))?;
        let parameters = muster_document::check_parameters(&document, &given)
            .map_err(|error| format!("invalid parameters: {error}"))?;
        let plan = muster_document::plan(&document, &parameters, PLATFORM).map_err(|error| error.to_string())?;
        Ok(Self { document, given, plan })
    }

    /// As `of`, for the document of a work item.
    pub(super) fn of_work(work: &WorkItem) -> Result<Self, String> {
        let format: Format = work
            .document_format
            .parse()
            .map_err(|_| "the document has an unknown format".to_owned())?;
        let given = work.parameters.iter();
        let given = given.map(|(name, values)| (name.clone(), values.items.clone()));
        let text = Text {
            content: work.document_content.clone(),
            format,
        };
        Self::of(&text, given.collect())
    }

    /// What to run; what it refers to is not put in.
    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What to run, with what it refers to; secrets are added to those of the run.
    pub(crate) fn resolve(
        self,
        run: RunId,
        node: &str,
        secrets: &Secrets,
        mut waiting: Waiting<'_>,
    ) -> Result<Plan, Trouble> {
        let references = self.plan.references();
        if references.is_empty() {
            return Ok(self.plan);
        }
        let failed = |error: stored::StoredError| Trouble::Failed(error.to_string());
        stored::check_places(&self.plan).map_err(failed)?;
        let (secret, plain): (Vec<_>, Vec<_>) = references.iter().partition(|found| stored::is_secure(found));
        let mut found = StoredValues::new();
        for (references, with_decryption) in [(plain, false), (secret, true)] {
            for batch in references.chunks(NAMES) {
                let names = batch.iter().map(|reference| stored::name_of(reference).to_owned());
                let request = ParametersRequest {
                    names: names.collect(),
                    with_decryption,
                    run_id: run.to_string(),
                    ..ParametersRequest::default()
                };
                let mut values = ask(request, node, &mut waiting)?;
                for reference in batch {
                    if let Some(value) = values.remove(stored::name_of(reference)) {
                        if value.kind == StoredType::SecureString && stored::is_secure(reference) {
                            secrets.add(reference, &value.value);
                        }
                        found.insert((*reference).clone(), value);
                    }
                }
            }
        }
        stored::plan_with_stored(&self.document, &self.given, PLATFORM, &found).map_err(failed)
    }
}

/// Values by the names that they were asked for by.
fn ask(
    mut request: ParametersRequest,
    node: &str,
    waiting: &mut Waiting<'_>,
) -> Result<BTreeMap<String, Stored>, Trouble> {
    let failed = |why: String| Trouble::Failed(why);
    let recipient = Recipient::make().map_err(|_| failed("the system has no randomness".to_owned()))?;
    request.sealing_key = recipient.public().to_vec();
    let answer: ParametersResult = waiting.ask(RPC_PARAMETERS, &request)?;
    let opened = recipient
        .open(&answer.sealed, node.as_bytes())
        .map_err(|_| failed("the values of the parameter store are not for this question".to_owned()))?;
    let values = StoredParameters::decode(opened.as_slice())
        .map_err(|_| failed("the values of the parameter store are not understood".to_owned()))?;
    let mut found = BTreeMap::new();
    for parameter in values.parameters {
        let kind = match parameter.r#type.as_str() {
            "String" => StoredType::String,
            "StringList" => StoredType::StringList,
            "SecureString" => StoredType::SecureString,
            other => {
                return Err(failed(format!(
                    "parameter {} is of the unknown type {other}",
                    parameter.name
                )));
            }
        };
        let value = Zeroizing::new(parameter.value);
        found.insert(parameter.name, Stored { kind, value });
    }
    Ok(found)
}

/// What to run, if the owner of the machine permits it, with what it refers to. Where no step is left after those that
/// ended, nobody is asked: a run that is over but for its end must not fail because a parameter is gone.
pub(super) fn permitted_plan(
    run: RunId,
    work: &WorkItem,
    policy: &Policy,
    ended: &[(usize, Outcome)],
    secrets: &Secrets,
    waiting: Waiting<'_>,
) -> Result<Prepared, Trouble> {
    let forbidden = |forbidden: Forbidden| Trouble::NeverRan(forbidden.to_string());
    policy
        .check_document(&work.document_name, &work.document_content)
        .map_err(forbidden)?;
    let draft = Draft::of_work(work).map_err(Trouble::NeverRan)?;
    // Before anything is looked up for it, and once more with that: the owner may look at inputs.
    policy.check_plan(draft.plan()).map_err(forbidden)?;
    if draft.plan.references().is_empty() || matches!(draft.plan.next(ended), Next::End(_)) {
        return Ok(Prepared::Ready(draft.plan));
    }
    let plan = draft.resolve(run, &work.node_id, secrets, waiting)?;
    policy.check_plan(&plan).map_err(forbidden)?;
    Ok(Prepared::LookedUp(plan))
}
