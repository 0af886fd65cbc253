//! Document types and schema versions, and which go together (documents.md 1).

use std::fmt;
use std::str::FromStr;

/// A word that names no document type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a document type")]
pub struct UnknownDocumentType;

macro_rules! document_types {
    ($($(#[$doc:meta])* $variant:ident = $word:literal,)+) => {
        /// What a document is for; the word is AWS's.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum DocumentType {
            $($(#[$doc])* $variant,)+
        }

        impl DocumentType {
            /// Every type.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word on the wire.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }
    };
}

document_types! {
    /// Runs steps on nodes.
    Command = "Command",
    /// Keeps nodes in a state; in practice collects inventory.
    Policy = "Policy",
    /// Runs steps in the service.
    Automation = "Automation",
    /// Settings of an interactive session.
    Session = "Session",
    /// The manifest of a software package.
    Package = "Package",
    /// A calendar in iCalendar form.
    ChangeCalendar = "ChangeCalendar",
    /// An application's configuration.
    ApplicationConfiguration = "ApplicationConfiguration",
    /// The schema of an application's configuration.
    ApplicationConfigurationSchema = "ApplicationConfigurationSchema",
    /// How a configuration is rolled out.
    DeploymentStrategy = "DeploymentStrategy",
    /// The template of a change request.
    ChangeTemplate = "Automation.ChangeTemplate",
    /// The analysis of a problem.
    ProblemAnalysis = "ProblemAnalysis",
    /// The template of a problem analysis.
    ProblemAnalysisTemplate = "ProblemAnalysisTemplate",
    /// A stack template.
    CloudFormation = "CloudFormation",
    /// A conformance pack template.
    ConformancePackTemplate = "ConformancePackTemplate",
    /// A quick setup configuration.
    QuickSetup = "QuickSetup",
    /// An approval policy of just-in-time access.
    ManualApprovalPolicy = "ManualApprovalPolicy",
    /// An approval policy of just-in-time access.
    AutoApprovalPolicy = "AutoApprovalPolicy",
}

impl DocumentType {
    /// The schema versions this type may have; empty when such documents are stored without being understood.
    #[must_use]
    pub fn schemas(self) -> &'static [Schema] {
        match self {
            Self::Command => &[Schema::V1_2, Schema::V2_0, Schema::V2_2],
            Self::Policy => &[Schema::V2_0, Schema::V2_2],
            Self::Automation => &[Schema::V0_3],
            Self::Session => &[Schema::V1_0],
            Self::Package => &[Schema::V2_0],
            _ => &[],
        }
    }
}

impl fmt::Display for DocumentType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for DocumentType {
    type Err = UnknownDocumentType;

    fn from_str(word: &str) -> Result<Self, UnknownDocumentType> {
        Self::ALL
            .iter()
            .copied()
            .find(|kind| kind.as_str() == word)
            .ok_or(UnknownDocumentType)
    }
}

/// A schema version that Muster understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Schema {
    /// `0.3`: Automation.
    V0_3,
    /// `1.0`: Session.
    V1_0,
    /// `1.2`: Command, with `runtimeConfig`.
    V1_2,
    /// `2.0`: Command and Policy, with `mainSteps`.
    V2_0,
    /// `2.2`: as 2.0, and preconditions.
    V2_2,
}

impl Schema {
    const ALL: [Self; 5] = [Self::V0_3, Self::V1_0, Self::V1_2, Self::V2_0, Self::V2_2];

    /// The word in `schemaVersion`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V0_3 => "0.3",
            Self::V1_0 => "1.0",
            Self::V1_2 => "1.2",
            Self::V2_0 => "2.0",
            Self::V2_2 => "2.2",
        }
    }

    /// The version that a text names exactly.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|schema| schema.as_str() == word)
    }

    /// The keys that may stand at the top of a document of this version, beside `schemaVersion`.
    pub(crate) fn top_level_keys(self) -> &'static [&'static str] {
        match self {
            Self::V0_3 => &[
                "schemaVersion",
                "description",
                "parameters",
                "mainSteps",
                "assumeRole",
                "outputs",
                "files",
                "variables",
            ],
            Self::V1_0 => &[
                "schemaVersion",
                "description",
                "parameters",
                "sessionType",
                "inputs",
                "properties",
            ],
            Self::V1_2 => &["schemaVersion", "description", "parameters", "runtimeConfig"],
            Self::V2_0 | Self::V2_2 => &["schemaVersion", "description", "parameters", "mainSteps"],
        }
    }
}

impl fmt::Display for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
