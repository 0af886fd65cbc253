//! Accounts for an operator who is there already (fleet 11): what it has to sign.

use muster_credential::layout::Account;

use crate::complaint::Complaint;
use crate::exit::Exit;
use crate::print;
use crate::trust::{Keys, TrustError, TrustFolder};

/// Those that Muster's services, nodes and people are in. The servers' own account is the operator's.
const GIVEN: [Account; 3] = [Account::Muster, Account::Boot, Account::Ops];

pub(super) fn write(folder: &TrustFolder) -> Result<Exit, Complaint> {
    let chosen = folder.chosen()?.ok_or_else(|| super::missing(folder))?;
    let keys = Keys::load(folder, &chosen, false)?;
    for account in GIVEN {
        let key = keys.account(account);
        let mut text = keys.claims(account).sign_own(key).map_err(TrustError::from)?;
        text.push('\n');
        let path = folder.account(account.name());
        folder.write(&path, text.as_bytes())?;
        print::say(&format!("{} of {}", path.display(), key.public()));
    }
    print::say(
        "the operator signs each of them and gives it to its servers; until then nobody of Muster gets in there",
    );
    Ok(Exit::Success)
}
