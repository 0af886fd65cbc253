//! Actions that this agent knows and cannot carry out; each says why and what to do instead.

use super::{Bench, End, Trouble};

/// `aws:refreshAssociation`.
pub(super) fn refresh_association(_bench: &mut Bench<'_, '_>) -> Result<End, Trouble> {
    Err(Trouble::NeverRan(
        "aws:refreshAssociation needs State Manager, which is not there yet: there are no associations to refresh"
            .into(),
    ))
}

/// `aws:configureDocker`.
pub(super) fn configure_docker(bench: &mut Bench<'_, '_>) -> Result<End, Trouble> {
    let action = bench.text("action").unwrap_or_default();
    Err(Trouble::NeverRan(format!(
        "aws:configureDocker cannot {} Docker on Linux: use the distribution's package manager, for example in a step \
         aws:runShellScript or with the document Muster-ManagePackages",
        if action == "Uninstall" { "uninstall" } else { "install" }
    )))
}
