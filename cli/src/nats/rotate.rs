//! Letting another key sign nodes (fleet 9).
//!
//! 1. The new key is made and written down.
//! 2. The account believes both, and the server knows it.
//! 3. The new key takes the place of the old, which is written down as retiring.
//! 4. A week later, when no claims of the old key can be good any more, `muster nats push` removes it.
//!
//! Where the old key has leaked (`--now`) it is not believed from step 3 on, and whoever it has signed is cut off.
//!
//! Interrupted after any step, the next call goes on from there.

use muster_credential::KeyKind;

use super::{Ground, push};
use crate::complaint::Complaint;
use crate::exit::Exit;
use crate::print;
use crate::trust::{self, Keys, LONGEST_LIFE, Retiring, TrustError};

pub(super) async fn run(ground: Ground, is_leaked: bool) -> Result<Exit, Complaint> {
    let Ground {
        folder,
        mut chosen,
        keys,
        system,
        ..
    } = ground;
    let now = trust::now();
    let is_over = |old: &Retiring| is_leaked || old.remove_after <= now;
    let (mut over, still): (Vec<_>, Vec<_>) = chosen.retiring.into_iter().partition(is_over);
    chosen.retiring = still;
    let old = keys.nodes.public().clone();
    let next_file = folder.seed(trust::NEXT);
    let next = trust::load(&folder, &next_file, KeyKind::Account, true)?;

    let broken = |error: push::PushError| Complaint::Broken(error.into());
    let keys = Keys::load(&folder, &chosen, false)?;
    push::bring_up_to_date(&system, &keys).await.map_err(broken)?;
    // Claims of the old key may be good for so long; the file comes first, so that the key is not forgotten.
    if next.public() != &old && !chosen.retiring.iter().any(|each| each.key == old) {
        let remove_after = now.saturating_add(LONGEST_LIFE);
        let old = Retiring { key: old, remove_after };
        match is_leaked {
            true => over.push(old),
            false => chosen.retiring.push(old),
        }
    }
    folder.choose(&chosen)?;
    let place = folder.seed(trust::NODES);
    std::fs::rename(&next_file, &place).map_err(|source| TrustError::File { path: place, source })?;
    // Now without keys that are over; and who pushed at the same moment may have read the account before the new key was
    // in it.
    let keys = Keys::load(&folder, &chosen, false)?;
    push::bring_up_to_date(&system, &keys).await.map_err(broken)?;

    for old in &over {
        print::say(&format!("{} is not believed any more", old.key));
    }
    print::say(&format!("{} signs nodes from now on", keys.nodes.public()));
    print::say(match is_leaked {
        true => "start fleet anew: it signs with the key that it has read",
        false => "start fleet anew while the old key is believed: it signs with the key that it has read",
    });
    for old in &chosen.retiring {
        let days = (old.remove_after.saturating_sub(now)).div_euclid(24 * 60 * 60);
        print::say(&format!(
            "{} is believed for {days} days more; `muster nats push` after that removes it",
            old.key
        ));
    }
    Ok(Exit::Success)
}
