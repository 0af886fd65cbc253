//! ARNs, `arn:partition:service:region:account:resource`, and globs of them.

use std::fmt;
use std::str::FromStr;

use crate::glob::Glob;
use crate::pattern::{Match, Pattern, Wild};
use crate::principal::Principal;
use crate::refusal::{Rule, shown};

/// A text that is no ARN.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text} is not an ARN (arn:partition:service:region:account:resource): {why}")]
pub struct ArnError {
    text: String,
    why: &'static str,
}

/// What something is done to: an ARN, or `*` where an operation is not about a resource.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Arn {
    text: String,
    /// Where the five colons stand; nothing for `*`.
    colons: Option<[usize; 5]>,
}

impl Arn {
    /// `*`: what operations without a resource are about. Only the pattern `*` takes it, and every `NotResource` but `*`.
    #[must_use]
    pub fn any() -> Self {
        Self {
            text: "*".to_owned(),
            colons: None,
        }
    }

    /// Puts an ARN together. Region and account may be empty; the resource may have colons.
    ///
    /// # Errors
    /// If a part is empty that must not be, or has characters that no such part has.
    pub fn new(partition: &str, service: &str, region: &str, account: &str, resource: &str) -> Result<Self, ArnError> {
        format!("arn:{partition}:{service}:{region}:{account}:{resource}").parse()
    }

    /// The whole text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// `aws`; `*` for [`Arn::any`], as in all parts.
    #[must_use]
    pub fn partition(&self) -> &str {
        self.part(0)
    }

    /// `ssm`, `iam`, `sts`.
    #[must_use]
    pub fn service(&self) -> &str {
        self.part(1)
    }

    /// May be empty.
    #[must_use]
    pub fn region(&self) -> &str {
        self.part(2)
    }

    /// 12 digits, or empty.
    #[must_use]
    pub fn account(&self) -> &str {
        self.part(3)
    }

    /// Everything behind the fifth colon: `parameter/app/dev/x`.
    #[must_use]
    pub fn resource(&self) -> &str {
        self.part(4)
    }

    fn part(&self, number: usize) -> &str {
        let Some(colons) = &self.colons else {
            return &self.text;
        };
        let end = colons.get(number + 1).copied().unwrap_or(self.text.len());
        &self.text[colons[number] + 1..end]
    }
}

impl FromStr for Arn {
    type Err = ArnError;

    fn from_str(text: &str) -> Result<Self, ArnError> {
        let refused = |why| ArnError { text: shown(text), why };
        if text == "*" {
            return Ok(Self::any());
        }
        let mut found = text.match_indices(':').map(|(at, _)| at);
        let mut colons = [0; 5];
        for colon in &mut colons {
            *colon = found.next().ok_or_else(|| refused("it has fewer than six parts"))?;
        }
        let arn = Self {
            text: text.to_owned(),
            colons: Some(colons),
        };
        let is_name = |part: &str| part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let problem = match () {
            () if !text.starts_with("arn:") => "it does not begin with \"arn:\"",
            () if arn.partition().is_empty() => "the partition is empty",
            () if arn.service().is_empty() => "the service is empty",
            () if arn.resource().is_empty() => "the resource is empty",
            () if !(0..4).all(|number| is_name(arn.part(number))) => {
                "a part before the resource has other characters than letters, digits and \"-\""
            }
            () if text.chars().any(char::is_control) => "it has control characters",
            () => return Ok(arn),
        };
        Err(refused(problem))
    }
}

impl fmt::Display for Arn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A glob of ARNs, matched part by part: no `*` reaches over one of the first five colons.
#[derive(Debug, Clone)]
pub(crate) enum ArnPattern {
    /// `*`
    Everything,
    Parts(Box<Parts>),
}

#[derive(Debug, Clone)]
pub(crate) struct Parts {
    /// Partition, service, region, account.
    names: [Glob; 4],
    resource: Pattern,
}

impl ArnPattern {
    /// Reads `*` or the glob of an ARN. Variables may stand in the resource only.
    pub(crate) fn parse(text: &str) -> Result<Self, (Rule, String)> {
        if text == "*" {
            return Ok(Self::Everything);
        }
        let refuse = |why: &str| Err((Rule::Resource, format!("{} {why}", shown(text))));
        let mut parts = text.splitn(6, ':');
        if parts.next() != Some("arn") {
            return refuse("is neither \"*\" nor begins with \"arn:\"");
        }
        let parts: Vec<&str> = parts.collect();
        let [names @ .., resource] = parts.as_slice() else {
            return refuse("has fewer than six parts");
        };
        let Ok(names) = <[&str; 4]>::try_from(names) else {
            return refuse("has fewer than six parts: arn:partition:service:region:account:resource");
        };
        if names.iter().any(|name| name.contains("${")) {
            return refuse("has a variable before the resource, where none may stand");
        }
        let is_name = |part: &str| part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-*?".contains(&b));
        if !names.iter().all(|name| is_name(name)) {
            return refuse("has characters before the resource that no ARN has there");
        }
        if names[0].is_empty() || names[1].is_empty() || resource.is_empty() {
            return refuse("takes no ARN: partition, service and resource are never empty");
        }
        Ok(Self::Parts(Box::new(Parts {
            names: names.map(Glob::parse),
            resource: Pattern::parse(resource, Wild::Cards)?,
        })))
    }

    pub(crate) fn matches(&self, arn: &Arn, who: &Principal) -> Match {
        let parts = match self {
            Self::Everything => return Match::Yes,
            Self::Parts(_) if arn.colons.is_none() => return Match::No,
            Self::Parts(parts) => parts,
        };
        let names = [arn.partition(), arn.service(), arn.region(), arn.account()];
        let fits = parts.names.iter().zip(names).all(|(glob, name)| glob.matches(name));
        match fits {
            true => parts.resource.matches(arn.resource(), who),
            false => Match::No,
        }
    }
}
