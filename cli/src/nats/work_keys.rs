//! Letting another key sign work (decision 18). Only files change: fan-out reads them again by itself.

use muster_credential::work::Rotation;

use crate::complaint::Complaint;
use crate::exit::Exit;
use crate::print;
use crate::trust::{self, TrustFolder};

/// Until the new key signs: nodes ask once a minute.
const ANNOUNCE: i64 = 5 * 60;
const DAY: i64 = 24 * 60 * 60;

pub(super) fn rotate(folder: &TrustFolder, keep_days: u32) -> Result<Exit, Complaint> {
    let rotation = Rotation {
        announce: ANNOUNCE,
        keep: i64::from(keep_days) * DAY,
    };
    let chain = trust::rotate_work_keys(folder, rotation)?;
    let now = trust::now();
    for (from, keys) in chain.later(now) {
        let names: Vec<&str> = keys.keys().iter().map(muster_credential::PublicKey::as_str).collect();
        let (signer, others) = names.split_first().unwrap_or((&"", &[]));
        let besides = match others.is_empty() {
            true => "no other key counts".to_owned(),
            false => format!("{} counts besides", others.join(", ")),
        };
        print::say(&format!(
            "in {} minutes {signer} signs work, and {besides}",
            (from - now) / 60
        ));
    }
    Ok(Exit::Success)
}
