//! Users, groups and roles: their names and ARNs.

use std::collections::BTreeMap;
use std::fmt;

use crate::error::AccessError;

/// The user that may do everything; only the bootstrap command makes it.
pub(crate) const ROOT: &str = "root";

/// What nodes act as that have no role: nobody can make a role of this name, whose policies they would not have.
pub(crate) const NODE_CORE: &str = "node-core";

/// What an identity is. Users and roles are principals; groups are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    User,
    Group,
    Role,
}

impl Kind {
    /// As it is stored, and as it stands in ARNs.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Group => "group",
            Self::Role => "role",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        [Self::User, Self::Group, Self::Role]
            .into_iter()
            .find(|kind| kind.as_str() == text)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which identity is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Who {
    pub(crate) kind: Kind,
    pub(crate) name: String,
}

impl Who {
    pub(crate) fn new(kind: Kind, name: impl Into<String>) -> Self {
        Self {
            kind,
            name: name.into(),
        }
    }

    pub(crate) fn user(name: impl Into<String>) -> Self {
        Self::new(Kind::User, name)
    }

    pub(crate) fn group(name: impl Into<String>) -> Self {
        Self::new(Kind::Group, name)
    }

    /// The one of three names that is there.
    pub(crate) fn one_of(
        user: Option<String>,
        group: Option<String>,
        role: Option<String>,
    ) -> Result<Self, AccessError> {
        match (user, group, role) {
            (Some(name), None, None) => Ok(Self::new(Kind::User, name)),
            (None, Some(name), None) => Ok(Self::new(Kind::Group, name)),
            (None, None, Some(name)) => Ok(Self::new(Kind::Role, name)),
            _ => Err(AccessError::OneName),
        }
    }

    pub(crate) fn folded(&self) -> String {
        self.name.to_lowercase()
    }

    pub(crate) fn is_root(&self) -> bool {
        self.kind == Kind::User && self.folded() == ROOT
    }

    pub(crate) fn missing(&self) -> AccessError {
        AccessError::Missing {
            kind: self.kind,
            name: self.name.clone(),
        }
    }

    /// `root` stays as the bootstrap command made it.
    pub(crate) fn refuse_root(&self) -> Result<(), AccessError> {
        match self.is_root() {
            true => Err(AccessError::Root),
            false => Ok(()),
        }
    }
}

/// Makes ARNs and reads them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) partition: String,
    pub(crate) id: String,
}

impl From<&muster_model::Account> for Account {
    fn from(account: &muster_model::Account) -> Self {
        Self {
            partition: account.partition().to_owned(),
            id: account.id().to_owned(),
        }
    }
}

impl Account {
    /// `arn:aws:iam::000000000000:user/alice`.
    pub(crate) fn arn(&self, kind: Kind, name: &str) -> String {
        format!("arn:{}:iam::{}:{kind}/{name}", self.partition, self.id)
    }

    /// The user or role that an ARN of this account names; that of a role's session names its role.
    /// `user/alice` and `role/web` will do, too.
    pub(crate) fn principal(&self, text: &str) -> Option<Who> {
        let own = |service: &str| format!("arn:{}:{service}::{}:", self.partition, self.id);
        if let Some(session) = text.strip_prefix(&own("sts")) {
            let (role, session) = session.strip_prefix("assumed-role/")?.split_once('/')?;
            let whole = !role.is_empty() && !session.is_empty() && !session.contains('/');
            return whole.then(|| Who::new(Kind::Role, role));
        }
        let rest = match text.starts_with("arn:") {
            true => text.strip_prefix(&own("iam"))?,
            false => text,
        };
        let (kind, name) = rest.split_once('/')?;
        let kind = Kind::parse(kind).filter(|kind| *kind != Kind::Group)?;
        let whole = !name.is_empty() && !name.contains('/');
        whole.then(|| Who::new(kind, name))
    }
}

/// Tags of a user or a role.
pub(crate) type Tags = BTreeMap<String, String>;

/// Tags as a request has them.
pub(crate) fn tags(given: impl IntoIterator<Item = (String, String)>) -> Result<Tags, AccessError> {
    let mut tags = Tags::new();
    for (key, value) in given {
        if key.to_lowercase().starts_with("aws:") {
            return Err(AccessError::ReservedTag { key });
        }
        // As in IAM, keys that differ only in case are the same: conditions find either.
        if tags.keys().any(|other| other.eq_ignore_ascii_case(&key)) {
            return Err(AccessError::DuplicateTag { key });
        }
        tags.insert(key, value);
    }
    Ok(tags)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account() -> Account {
        Account {
            partition: "aws".to_owned(),
            id: "000000000000".to_owned(),
        }
    }

    #[test]
    fn an_arn_names_its_principal_and_no_other() {
        let check = |text: &str, expected: Option<(Kind, &str)>| {
            let expected = expected.map(|(kind, name)| Who::new(kind, name));
            assert_eq!(account().principal(text), expected, "{text}");
        };
        check("arn:aws:iam::000000000000:user/alice", Some((Kind::User, "alice")));
        check("arn:aws:iam::000000000000:role/web", Some((Kind::Role, "web")));
        check("user/alice", Some((Kind::User, "alice")));
        let session = "arn:aws:sts::000000000000:assumed-role/web/mi-1";
        check(session, Some((Kind::Role, "web")));
        for other in [
            "arn:aws:iam::000000000001:user/alice",
            "arn:aws-cn:iam::000000000000:user/alice",
            "arn:aws:iam::000000000000:group/people",
            "arn:aws:iam::000000000000:user/",
            "arn:aws:iam::000000000000:user/a/b",
            "arn:aws:sts::000000000000:assumed-role/web",
            "arn:aws:sts::000000000000:assumed-role/web/",
            "arn:aws:iam::000000000000:assumed-role/web/mi-1",
            "alice",
            "",
        ] {
            check(other, None);
        }
    }

    #[test]
    fn root_is_root_in_any_case_and_only_as_a_user() {
        assert!(Who::user("Root").is_root());
        assert!(!Who::group("root").is_root());
        assert_eq!(Who::user("ROOT").refuse_root(), Err(AccessError::Root));
    }

    #[test]
    fn tags_are_refused_that_conditions_could_not_tell_apart() {
        let tags = |keys: &[&str]| super::tags(keys.iter().map(|key| ((*key).to_owned(), "v".to_owned())));
        assert_eq!(tags(&["Team", "Env"]).unwrap().len(), 2);
        assert!(matches!(tags(&["Team", "team"]), Err(AccessError::DuplicateTag { .. })));
        assert!(matches!(tags(&["AWS:x"]), Err(AccessError::ReservedTag { .. })));
    }
}
