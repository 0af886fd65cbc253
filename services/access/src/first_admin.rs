//! The first user who may do everything, where the settings name one: somebody must be able to give rights to others.
//!
//! It is made once and is a user like others from then on: its rights can be taken away, and it can be deleted.

use muster_boot::{BoxError, Parts};
use muster_store::Db;

use crate::domain::audit::Entry;
use crate::key_file::KeyRing;
use crate::store::{audit, first_admin};

const ACTION: &str = "muster:FirstAdmin";

/// Makes the user of this name with the policy `admin`, unless that was done before. A user who is there already stays
/// as it is.
pub(crate) async fn make(name: &str, parts: &Parts, db: &Db, keys: &KeyRing) -> Result<(), BoxError> {
    if name.is_empty() || first_admin::is_made(db, name).await? {
        return Ok(());
    }
    let (arn, now) = (parts.account.user(name), parts.clock.now().as_microsecond());
    // Before the user is there: nobody may do everything without a record.
    let entry = Entry {
        time: now,
        principal: arn.clone(),
        surface: "local".to_owned(),
        action: ACTION.to_owned(),
        resource: arn.clone(),
        decision: "Allow".to_owned(),
        ..Entry::default()
    };
    audit::append(db, keys, vec![entry]).await?;
    if first_admin::make(db, name, now).await? {
        tracing::warn!(user = arn, "the first user was made; it may do everything");
    }
    Ok(())
}
