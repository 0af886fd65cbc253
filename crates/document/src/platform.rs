//! Operating systems, and on which of them a document can run (documents.md 5).

use std::fmt;
use std::str::FromStr;

use crate::Document;
use crate::precondition::Precondition;

/// An operating system, as `PlatformType` names it. The order is the one of `PlatformTypes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Platform {
    /// Windows.
    Windows,
    /// Linux.
    Linux,
    /// macOS.
    MacOs,
}

/// A word that names no platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a platform: Windows, Linux or MacOS")]
pub struct UnknownPlatform;

impl Platform {
    /// Every platform, in order.
    pub const ALL: [Self; 3] = [Self::Windows, Self::Linux, Self::MacOs];

    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Windows => "Windows",
            Self::Linux => "Linux",
            Self::MacOs => "MacOS",
        }
    }

    /// Whether a text is this platform's word in any case, as preconditions compare it.
    pub(crate) fn is_named(self, word: &str) -> bool {
        self.as_str().eq_ignore_ascii_case(word)
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Platform {
    type Err = UnknownPlatform;

    fn from_str(word: &str) -> Result<Self, UnknownPlatform> {
        Self::ALL
            .into_iter()
            .find(|platform| platform.as_str() == word)
            .ok_or(UnknownPlatform)
    }
}

/// The platforms a document can run on, in order: each step's action brings its own, cut by the step's precondition.
/// Documents without node steps are for all.
#[must_use]
pub fn platform_types(document: &Document) -> Vec<Platform> {
    Platform::ALL
        .into_iter()
        .filter(|platform| document.supports(*platform))
        .collect()
}

impl Document {
    /// Whether at least one step of the document can run on a platform.
    #[must_use]
    pub fn supports(&self, platform: Platform) -> bool {
        self.steps().is_empty()
            || self.steps().iter().any(|step| {
                step.action().runs_on(platform) && step.precondition().is_none_or(|p: &Precondition| p.admits(platform))
            })
    }
}
