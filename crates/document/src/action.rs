//! The actions that a step of a Command or Policy document may name (documents.md 5): where they run and what they take.

use crate::platform::Platform::{self, Linux, MacOs, Windows};
use crate::schema::Schema;

/// One action.
#[derive(Debug, PartialEq, Eq)]
pub struct Action {
    name: &'static str,
    platforms: &'static [Platform],
    since: Schema,
    language: Option<Language>,
    inputs: &'static [Input],
}

/// The language of an action's `runCommand`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// A POSIX shell.
    Sh,
    /// PowerShell.
    PowerShell,
}

/// One input of an action.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Input {
    pub(crate) name: &'static str,
    pub(crate) required: bool,
    pub(crate) shape: Shape,
    /// The words a literal must be one of; empty: any.
    pub(crate) words: &'static [&'static str],
}

/// What an input looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A text; numbers and booleans are taken as text.
    Text,
    /// A text or a list of texts.
    Lines,
    /// A map, or JSON text of one.
    Map,
}

impl Action {
    /// The action that a document of this schema may name so.
    #[must_use]
    pub fn find(name: &str, schema: Schema) -> Option<&'static Self> {
        Self::known(schema).find(|action| action.name == name)
    }

    /// All actions of a schema, in the order of their names.
    pub fn known(schema: Schema) -> impl Iterator<Item = &'static Self> {
        ACTIONS.iter().filter(move |action| schema >= action.since)
    }

    /// The name, `aws:runShellScript`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The name without its colon, as outputs and directories are named: `awsrunShellScript`.
    #[must_use]
    pub fn directory(&self) -> String {
        self.name.replace(':', "")
    }

    /// Whether the platform has this action.
    #[must_use]
    pub fn runs_on(&self, platform: Platform) -> bool {
        self.platforms.contains(&platform)
    }

    /// The language of `runCommand`, if the action runs a script.
    #[must_use]
    pub fn language(&self) -> Option<Language> {
        self.language
    }

    pub(crate) fn inputs(&self) -> &'static [Input] {
        self.inputs
    }

    /// The one action whose settings may stand beside its inputs, or instead of them.
    pub(crate) fn has_settings(&self) -> bool {
        self.name == "aws:cloudWatch"
    }
}

const fn text(name: &'static str) -> Input {
    Input {
        name,
        required: false,
        shape: Shape::Text,
        words: &[],
    }
}

const fn lines(name: &'static str) -> Input {
    Input {
        name,
        required: false,
        shape: Shape::Lines,
        words: &[],
    }
}

const fn map(name: &'static str) -> Input {
    Input {
        name,
        required: false,
        shape: Shape::Map,
        words: &[],
    }
}

const fn required(input: Input) -> Input {
    Input {
        required: true,
        ..input
    }
}

const fn one_of(name: &'static str, words: &'static [&'static str]) -> Input {
    Input {
        name,
        required: false,
        shape: Shape::Text,
        words,
    }
}

const SWITCH: &[&str] = &["Enabled", "Disabled"];
const ANYWHERE: &[Platform] = &[Windows, Linux, MacOs];

const SCRIPT_INPUTS: &[Input] = &[
    required(lines("runCommand")),
    text("workingDirectory"),
    text("timeoutSeconds"),
    map("environment"),
];

const UPDATE_INPUTS: &[Input] = &[
    text("agentName"),
    text("source"),
    text("allowDowngrade"),
    text("targetVersion"),
];

const ACTIONS: &[Action] = &[
    Action {
        name: "aws:applications",
        platforms: &[Windows],
        since: Schema::V1_2,
        language: None,
        inputs: &[
            required(one_of("action", &["Install", "Repair", "Uninstall"])),
            required(text("source")),
            text("parameters"),
            text("sourceHash"),
        ],
    },
    Action {
        name: "aws:cloudWatch",
        platforms: &[Windows],
        since: Schema::V1_2,
        language: None,
        inputs: &[],
    },
    Action {
        name: "aws:configureDaemon",
        platforms: &[Windows],
        since: Schema::V1_2,
        language: None,
        inputs: &[],
    },
    Action {
        name: "aws:configureDocker",
        platforms: &[Windows, Linux],
        since: Schema::V2_0,
        language: None,
        inputs: &[required(one_of("action", &["Install", "Uninstall"]))],
    },
    Action {
        name: "aws:configurePackage",
        platforms: ANYWHERE,
        since: Schema::V2_0,
        language: None,
        inputs: &[
            required(text("name")),
            required(one_of("action", &["Install", "Uninstall"])),
            text("version"),
            one_of("installationType", &["Uninstall and reinstall", "In-place update"]),
            map("additionalArguments"),
        ],
    },
    Action {
        name: "aws:domainJoin",
        platforms: &[Windows],
        since: Schema::V1_2,
        language: None,
        inputs: &[
            required(text("directoryId")),
            required(text("directoryName")),
            lines("dnsIpAddresses"),
            text("directoryOU"),
            text("hostName"),
            text("hostNameNumAppendDigits"),
            text("keepHostName"),
        ],
    },
    Action {
        name: "aws:downloadContent",
        platforms: &[Windows, Linux],
        since: Schema::V2_0,
        language: None,
        inputs: &[
            required(one_of("sourceType", &["GitHub", "Git", "HTTP", "S3", "SSMDocument"])),
            required(map("sourceInfo")),
            text("destinationPath"),
        ],
    },
    Action {
        name: "aws:psModule",
        platforms: &[Windows],
        since: Schema::V1_2,
        language: Some(Language::PowerShell),
        inputs: &[
            lines("runCommand"),
            text("source"),
            text("sourceHash"),
            text("workingDirectory"),
            text("timeoutSeconds"),
        ],
    },
    Action {
        name: "aws:refreshAssociation",
        platforms: ANYWHERE,
        since: Schema::V2_0,
        language: None,
        inputs: &[lines("associationIds")],
    },
    Action {
        name: "aws:runDockerAction",
        platforms: &[Windows, Linux],
        since: Schema::V2_0,
        language: None,
        inputs: &[
            required(one_of(
                "action",
                &[
                    "Create", "Start", "Run", "Stop", "Rm", "Exec", "Inspect", "Logs", "Ps", "Stats", "Pull", "Images",
                    "Rmi",
                ],
            )),
            text("container"),
            text("image"),
            text("cmd"),
            text("memory"),
            text("cpuShares"),
            lines("volume"),
            text("env"),
            text("user"),
            text("publish"),
            text("workingDirectory"),
            text("timeoutSeconds"),
        ],
    },
    Action {
        name: "aws:runDocument",
        platforms: &[Windows, Linux],
        since: Schema::V2_0,
        language: None,
        inputs: &[
            required(one_of("documentType", &["SSMDocument", "LocalPath"])),
            required(text("documentPath")),
            map("documentParameters"),
        ],
    },
    Action {
        name: "aws:runPowerShellScript",
        platforms: ANYWHERE,
        since: Schema::V1_2,
        language: Some(Language::PowerShell),
        inputs: SCRIPT_INPUTS,
    },
    Action {
        name: "aws:runShellScript",
        platforms: &[Linux, MacOs],
        since: Schema::V1_2,
        language: Some(Language::Sh),
        inputs: SCRIPT_INPUTS,
    },
    Action {
        name: "aws:softwareInventory",
        platforms: ANYWHERE,
        since: Schema::V2_0,
        language: None,
        inputs: &[
            one_of("applications", SWITCH),
            one_of("awsComponents", SWITCH),
            one_of("networkConfig", SWITCH),
            one_of("windowsUpdates", SWITCH),
            one_of("instanceDetailedInformation", SWITCH),
            one_of("services", SWITCH),
            one_of("windowsRoles", SWITCH),
            one_of("billingInfo", SWITCH),
            one_of("customInventory", SWITCH),
            text("files"),
            text("windowsRegistry"),
            text("customInventoryDirectory"),
        ],
    },
    Action {
        name: "aws:updateAgent",
        platforms: &[Windows],
        since: Schema::V1_2,
        language: None,
        inputs: UPDATE_INPUTS,
    },
    Action {
        name: "aws:updateSsmAgent",
        platforms: ANYWHERE,
        since: Schema::V1_2,
        language: None,
        inputs: UPDATE_INPUTS,
    },
];
