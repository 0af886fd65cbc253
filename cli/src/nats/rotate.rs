//! Letting another key sign nodes (fleet 9).
//!
//! 1. The new key is made and written down.
//! 2. The account believes both, and the server knows it.
//! 3. The new key takes the place of the old, which is written down as retiring.
//! 4. A week later, when no claims of the old key can be good any more, `muster nats push` removes it.
//!
//! Interrupted after any step, the next call goes on from there.

use muster_credential::KeyKind;

use super::{Ground, push};
use crate::complaint::Complaint;
use crate::exit::Exit;
use crate::print;
use crate::trust::{self, Keys, LONGEST_LIFE, Retiring, TrustError};

pub(super) async fn run(ground: Ground) -> Result<Exit, Complaint> {
    let Ground {
        folder,
        mut chosen,
        keys,
        system,
    } = ground;
    let now = trust::now();
    let (over, still): (Vec<_>, Vec<_>) = chosen.retiring.into_iter().partition(|old| old.remove_after <= now);
    chosen.retiring = still;
    let old = keys.nodes.public().clone();
    let next_file = folder.seed(trust::NEXT);
    let next = trust::load(&folder, &next_file, KeyKind::Account, true)?;

    let broken = |error: push::PushError| Complaint::Broken(error.into());
    let mut keys = Keys::load(&folder, &chosen, false)?;
    push::bring_up_to_date(&system, &keys).await.map_err(broken)?;
    // Claims of the old key may be good for so long; the file comes first, so that the key is not forgotten.
    if next.public() != &old && !chosen.retiring.iter().any(|each| each.key == old) {
        chosen.retiring.push(Retiring {
            key: old,
            remove_after: now.saturating_add(LONGEST_LIFE),
        });
    }
    folder.choose(&chosen)?;
    let place = folder.seed(trust::NODES);
    std::fs::rename(&next_file, &place).map_err(|source| TrustError::File { path: place, source })?;
    keys.nodes = next;

    for old in &over {
        print::say(&format!("{} is not believed any more", old.key));
    }
    print::say(&format!("{} signs nodes from now on", keys.nodes.public()));
    for old in &chosen.retiring {
        let days = (old.remove_after.saturating_sub(now)).div_euclid(24 * 60 * 60);
        print::say(&format!(
            "{} is believed for {days} days more; `muster nats push` after that removes it",
            old.key
        ));
    }
    Ok(Exit::Success)
}
