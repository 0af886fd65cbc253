//! `PutParameter` (parameter-store 3).

use muster_boot::{Rights, Touched};
use muster_proto::parameterstore::v1::{ParameterTier, ParameterType, PutParameterRequest, PutParameterResult};
use muster_wire::Failure;

use super::{ParametersApi, leave};
use crate::domain::name::Name;
use crate::domain::put::{Put, check_room, decide, is_default_key};
use crate::domain::tag;
use crate::domain::value::Value;
use crate::error::ParameterError;
use crate::secret::{KeyError, KeyId};
use crate::store::put::{Done, Job};

impl ParametersApi {
    pub(super) async fn put(
        &self,
        request: PutParameterRequest,
        by: String,
        rights: &Rights,
    ) -> Result<PutParameterResult, Failure> {
        let put = self.read(request, by)?;
        // Whoever is overtaken by a change that matters tries once more.
        for _ in 0..2 {
            match self.groups.puts.ask(self.prepared(put.clone(), rights).await?).await? {
                Done::Version { version, tier } => {
                    rights.note(Touched {
                        resource: self.scope().arn(&put.name.path()),
                        details: vec![format!("version={version}")],
                        is_secret: false,
                    });
                    let mut answer = PutParameterResult {
                        version: Some(version),
                        ..PutParameterResult::default()
                    };
                    answer.set_tier(tier);
                    return Ok(answer);
                }
                Done::Refused(refused) => return Err(refused.into()),
                Done::Overtaken => {}
            }
        }
        let name = put.name.spelled().to_owned();
        Err(ParameterError::TooManyUpdates { name }.into())
    }

    /// What the request wants, as far as it says it.
    fn read(&self, request: PutParameterRequest, by: String) -> Result<Put, ParameterError> {
        let (kind, tier) = (request.r#type(), request.tier());
        let value = Value::new(request.value.unwrap_or_default());
        value.check_length()?;
        let pair = |tag: muster_proto::aws::v1::Tag| (tag.key.unwrap_or_default(), tag.value.unwrap_or_default());
        let tags = tag::given(request.tags.into_iter().map(pair));
        let has_nul = |text: &Option<String>| text.as_ref().is_some_and(|text| text.contains('\0'));
        for (member, text) in [
            ("description", &request.description),
            ("allowedPattern", &request.allowed_pattern),
        ] {
            if has_nul(text) {
                return Err(ParameterError::Nul { member });
            }
        }
        if tags
            .iter()
            .any(|(key, value)| key.contains('\0') || value.contains('\0'))
        {
            return Err(ParameterError::Nul { member: "tags" });
        }
        let name = Name::parse(request.name.as_deref().unwrap_or_default(), self.scope())?;
        name.check_new()?;
        Ok(Put {
            name,
            value,
            kind: (kind != ParameterType::Unset).then_some(kind),
            description: request.description,
            key_id: request.key_id,
            overwrite: request.overwrite.unwrap_or_default(),
            allowed_pattern: request.allowed_pattern,
            tags,
            tier: (tier != ParameterTier::Unset).then_some(tier),
            policies: request.policies,
            data_type: request.data_type,
            by,
        })
    }

    /// Decides on what is there now. Most refusals come from here, and the work that takes time is done here: patterns
    /// are matched, and whoever holds the keys is asked.
    async fn prepared(&self, put: Put, rights: &Rights) -> Result<Job, Failure> {
        let (head, rules) = self.groups.before.ask(put.name.path()).await?;
        let expected = decide(&put, head.as_ref(), &rules, None)?.attributes;
        let prepared = match &expected.key_id {
            Some(key_id) => {
                let arn = self.scope().arn(put.name.spelled());
                // As the public service asks for them, although all values are encrypted in one way here.
                let action = match expected.tier {
                    ParameterTier::Advanced => "kms:GenerateDataKey",
                    _ => "kms:Encrypt",
                };
                let prepared = self.keys.prepare(key_id, &arn).await;
                // Whoever may not use a key does not learn whether there is one.
                let key = match &prepared {
                    Ok(prepared) => self.scope().key_arn(&prepared.key().id),
                    Err(_) => KeyId::parse(key_id, self.scope()).arn(self.scope()),
                };
                rights.require(action, &key, leave(is_default_key(key_id))).await?;
                Some(prepared.map_err(from_key)?)
            }
            None => None,
        };
        check_room(&put, head.as_ref())?;
        let latest = head.as_ref().map(|head| head.latest.kind);
        if expected.kind == ParameterType::SecureString
            && latest.is_some_and(|kind| kind != ParameterType::SecureString)
        {
            tracing::warn!(
                parameter = put.name.spelled(),
                "a parameter becomes a SecureString: its older versions stay readable in its history"
            );
        }
        Ok(Job {
            put,
            expected,
            prepared,
        })
    }
}

/// A key that cannot be used, or that does not open what it should, is named to the caller (parameter-store 6 and 10); a
/// provider that does not answer is our affair.
pub(super) fn from_key(error: KeyError) -> Failure {
    match error {
        KeyError::Unusable(message) => ParameterError::KeyId(message).into(),
        KeyError::Open(error) => ParameterError::KeyId(error.to_string()).into(),
        KeyError::Unavailable(_) => Failure::internal(error),
    }
}
