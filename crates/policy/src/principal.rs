//! Who asks.

use std::collections::BTreeMap;

use crate::arn::Arn;

/// Who asks: the values of the `aws:Principal…` keys, `aws:username` and `ssm:nodeId`.
///
/// They come from what was proved (a signature, a credential, a connection), never from a request's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    arn: Arn,
    /// The session of a role is its role in `aws:PrincipalArn`.
    policy_arn: Arn,
    tags: BTreeMap<String, String>,
    node: Option<String>,
}

impl Principal {
    /// The principal of an ARN: `arn:aws:iam::<account>:user/<name>`, `…:role/<name>`, `…:root`, or
    /// `arn:aws:sts::<account>:assumed-role/<role>/<session>`.
    #[must_use]
    pub fn new(arn: Arn) -> Self {
        let role = session(&arn)
            .and_then(|(role, _)| Arn::new(arn.partition(), "iam", "", arn.account(), &format!("role/{role}")).ok());
        Self {
            policy_arn: role.unwrap_or_else(|| arn.clone()),
            arn,
            tags: BTreeMap::new(),
            node: None,
        }
    }

    /// With these tags: `aws:PrincipalTag/<key>`.
    #[must_use]
    pub fn with_tags<K: Into<String>, V: Into<String>>(mut self, tags: impl IntoIterator<Item = (K, V)>) -> Self {
        self.tags
            .extend(tags.into_iter().map(|(key, value)| (key.into(), value.into())));
        self
    }

    /// Of a node, which acts in the session of its role: `ssm:nodeId`.
    #[must_use]
    pub fn with_node(mut self, id: impl Into<String>) -> Self {
        self.node = Some(id.into());
        self
    }

    /// The ARN as messages and the audit log show it.
    #[must_use]
    pub fn arn(&self) -> &Arn {
        &self.arn
    }

    /// The last part of the ARN: the name of a user or role, or that of a role's session.
    #[must_use]
    pub fn name(&self) -> &str {
        let resource = self.arn.resource();
        resource.rsplit_once('/').map_or(resource, |(_, name)| name)
    }

    /// The tags.
    #[must_use]
    pub fn tags(&self) -> &BTreeMap<String, String> {
        &self.tags
    }

    /// The value of `aws:PrincipalArn`: the role, where the principal is a session of it.
    pub(crate) fn policy_arn(&self) -> &Arn {
        &self.policy_arn
    }

    /// The value of `aws:username`: users have one, roles and root have none.
    pub(crate) fn username(&self) -> Option<&str> {
        let is_user = self.arn.service() == "iam" && self.arn.resource().starts_with("user/");
        is_user.then(|| self.name())
    }

    /// The value of `ssm:nodeId`: nodes have one.
    pub(crate) fn node(&self) -> Option<&str> {
        self.node.as_deref()
    }
}

/// Role and session.
fn session(arn: &Arn) -> Option<(&str, &str)> {
    match arn.service() {
        "sts" => arn.resource().strip_prefix("assumed-role/")?.rsplit_once('/'),
        _ => None,
    }
}

/// A tag's value. The key is looked for as the policy writes it, and then without regard to case, as IAM does.
/// Where several keys are alike and none is as written, it is not known which is meant: there is no value.
pub(crate) fn tag<'a>(tags: &'a BTreeMap<String, String>, key: &str) -> Option<&'a str> {
    let value = tags.get(key).or_else(|| {
        let mut alike = tags.iter().filter(|(each, _)| each.eq_ignore_ascii_case(key));
        let (_, value) = alike.next()?;
        alike.next().is_none().then_some(value)
    });
    value.map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_found_as_written_and_else_only_if_one_alone_is_alike() {
        let tags = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
            pairs.iter().map(own).collect()
        };
        let both = tags(&[("ENV", "prod"), ("env", "test")]);
        assert_eq!(tag(&both, "env"), Some("test"));
        assert_eq!(tag(&both, "Env"), None);
        assert_eq!(tag(&tags(&[("ENV", "prod")]), "Env"), Some("prod"));
        assert_eq!(tag(&tags(&[]), "Env"), None);
    }
}
