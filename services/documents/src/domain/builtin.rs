//! The documents that come with Muster (documents.md 10), as this release has them.

use muster_document::{DocumentType, Format};

use crate::domain::draft::Draft;
use crate::error::DocumentError;

/// A document that comes with Muster.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BuiltIn {
    pub(crate) name: &'static str,
    pub(crate) document_type: DocumentType,
    body: &'static str,
}

macro_rules! built_in {
    ($($name:literal: $document_type:ident,)+) => {
        &[$(BuiltIn {
            name: $name,
            document_type: DocumentType::$document_type,
            body: include_str!(concat!("../../builtin/", $name, ".json")),
        },)+]
    };
}

/// All of them, in the order of their names.
pub(crate) const ALL: &[BuiltIn] = built_in![
    "AWS-ApplyDSCMofs": Command,
    "AWS-ApplyPatchBaseline": Command,
    "AWS-ConfigureAWSPackage": Command,
    "AWS-ConfigureCloudWatch": Command,
    "AWS-ConfigureDocker": Command,
    "AWS-ConfigureWindowsUpdate": Command,
    "AWS-CreateImage": Automation,
    "AWS-DeleteImage": Automation,
    "AWS-FindWindowsUpdates": Command,
    "AWS-GatherSoftwareInventory": Policy,
    "AWS-InstallApplication": Command,
    "AWS-InstallMissingWindowsUpdates": Command,
    "AWS-InstallPowerShellModule": Command,
    "AWS-InstallSpecificWindowsUpdates": Command,
    "AWS-InstallWindowsUpdates": Command,
    "AWS-JoinDirectoryServiceDomain": Command,
    "AWS-ListWindowsInventory": Command,
    "AWS-Noop": Command,
    "AWS-PasswordReset": Session,
    "AWS-PatchAsgInstance": Automation,
    "AWS-PatchInstanceWithRollback": Automation,
    "AWS-RefreshAssociation": Command,
    "AWS-ResizeInstance": Automation,
    "AWS-RestartEC2Instance": Automation,
    "AWS-RestartEC2InstanceWithApproval": Automation,
    "AWS-RunAnsiblePlaybook": Command,
    "AWS-RunDockerAction": Command,
    "AWS-RunDocument": Command,
    "AWS-RunInspecChecks": Command,
    "AWS-RunPatchBaseline": Command,
    "AWS-RunPatchBaselineAssociation": Command,
    "AWS-RunPatchBaselineWithHooks": Command,
    "AWS-RunPowerShellScript": Command,
    "AWS-RunRemoteScript": Command,
    "AWS-RunSaltState": Command,
    "AWS-RunShellScript": Command,
    "AWS-StartEC2Instance": Automation,
    "AWS-StartEC2InstanceWithApproval": Automation,
    "AWS-StartPortForwardingSession": Session,
    "AWS-StartSSHSession": Session,
    "AWS-StopEC2Instance": Automation,
    "AWS-StopEC2InstanceWithApproval": Automation,
    "AWS-TerminateEC2Instance": Automation,
    "AWS-TerminateEC2InstanceWithApproval": Automation,
    "AWS-UpdateEC2Config": Command,
    "AWS-UpdateLinuxAmi": Automation,
    "AWS-UpdateSSMAgent": Command,
    "AWS-UpdateWindowsAmi": Automation,
    "Muster-CheckDiskSpace": Command,
    "Muster-ManagePackages": Command,
    "Muster-ManageService": Command,
    "Muster-NodeReport": Command,
    "Muster-ReadJournal": Command,
];

impl BuiltIn {
    /// Its content, held to the same rules as everybody's.
    pub(crate) fn draft(&self) -> Result<Draft, DocumentError> {
        Draft::read(self.body.to_owned(), Format::Json, self.document_type)
    }

    /// The kind of resource that it acts on, where callers look for it by that.
    pub(crate) fn target_type(&self) -> Option<&'static str> {
        let acts_on_instances = self.document_type == DocumentType::Automation && self.name.contains("EC2Instance");
        acts_on_instances.then_some("/AWS::EC2::Instance")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_in_the_list_and_the_list_is_in_order() {
        let names: Vec<_> = ALL.iter().map(|document| document.name.to_owned()).collect();
        assert!(names.is_sorted());
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/builtin");
        let mut files: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .map(|file| file.strip_suffix(".json").unwrap().to_owned())
            .collect();
        files.sort();
        assert_eq!(names, files);
    }
}
