//! Taking the credentials of one service or person from whoever has a copy of them (fleet 9).
//!
//! 1. The key is written down as revoked, so that no later push forgets it.
//! 2. The user gets credentials with another key, in the file of the old ones.
//! 3. The server is told, which cuts off whoever is connected with the old key.
//!
//! Interrupted after the first step, `muster init` makes the credentials and `muster nats push` tells the server.

use muster_credential::layout::{Account, SERVICES};

use super::{Ground, connect, push};
use crate::complaint::Complaint;
use crate::exit::Exit;
use crate::print;
use crate::trust::{self, Keys, Revoked, TrustError};

/// The user that changes accounts.
const SYSTEM: &str = "system";

pub(super) async fn run(ground: Ground, user: &str) -> Result<Exit, Complaint> {
    let Ground {
        folder,
        mut chosen,
        settings,
        system,
        ..
    } = ground;
    let account = match user {
        SYSTEM => Account::System,
        name if name == chosen.operator => Account::Ops,
        name if SERVICES.iter().any(|service| service.name == name) => Account::Muster,
        _ => return Err(unknown(user, &chosen.operator)),
    };
    let path = folder.creds(user);
    let old = folder
        .read_creds(user)?
        .ok_or_else(|| TrustError::Missing { path: path.clone() })?;
    chosen.revoked.push(Revoked {
        key: old.key().public().clone(),
        account: account.name().to_owned(),
        at: trust::now(),
    });
    folder.choose(&chosen)?;
    std::fs::remove_file(&path).map_err(|source| folder.unusable(&path, source))?;
    let keys = Keys::load(&folder, &chosen, false)?;
    keys.refresh(&folder, &chosen)?;
    // With credentials of now: the old ones may be those that are revoked.
    drop(system);
    let system = connect(&settings).await?;
    let told = push::bring_up_to_date(&system, &keys).await;
    told.map_err(|error| Complaint::Broken(error.into()))?;
    print::say(&format!("{} is refused from now on", old.key().public()));
    print::say(&format!(
        "{} holds another key: give it to {user}, and start it anew",
        path.display()
    ));
    Ok(Exit::Success)
}

fn unknown(user: &str, operator: &str) -> Complaint {
    let names: Vec<&str> = SERVICES.iter().map(|service| service.name).collect();
    Complaint::Usage {
        what: format!("the bus has no user {}", user.escape_debug()),
        hint: format!(
            "name {operator}, {SYSTEM}, or one of {}; nodes are put out with `muster nodes`",
            names.join(", ")
        ),
    }
}
