//! Tiers: how big a parameter may be and what it may have (parameter-store 4).

use muster_proto::parameterstore::v1::ParameterTier;

use crate::error::ParameterError;

/// What a version of a parameter wants of its tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Wants {
    /// Bytes of the value.
    pub(crate) bytes: usize,
    pub(crate) policies: bool,
    /// The data type is one that only advanced parameters have.
    pub(crate) data_type: bool,
}

/// How many parameters there are, and may be; a limit of 0 is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Room {
    pub(crate) standard: i64,
    pub(crate) advanced: i64,
    pub(crate) max_standard: i64,
    pub(crate) max_advanced: i64,
}

impl Room {
    fn is_full(&self, tier: ParameterTier) -> bool {
        let (there, limit) = match tier {
            ParameterTier::Advanced => (self.advanced, self.max_advanced),
            _ => (self.standard, self.max_standard),
        };
        limit > 0 && there >= limit
    }

    fn limit(&self, tier: ParameterTier) -> i64 {
        match tier {
            ParameterTier::Advanced => self.max_advanced,
            _ => self.max_standard,
        }
    }
}

/// Bytes of a value.
fn max_bytes(tier: ParameterTier) -> usize {
    match tier {
        ParameterTier::Advanced => 8192,
        _ => 4096,
    }
}

/// The tier of a new version: `Standard` or `Advanced`.
///
/// `given` is what the caller names, `current` the parameter's tier if it exists, `default` that of the settings.
pub(crate) fn resolve(
    given: Option<ParameterTier>,
    current: Option<ParameterTier>,
    default: ParameterTier,
    wants: Wants,
    room: &Room,
) -> Result<ParameterTier, ParameterError> {
    let is_advanced = current == Some(ParameterTier::Advanced);
    let wanted = given.unwrap_or(if is_advanced { ParameterTier::Advanced } else { default });
    let tier = match wanted {
        ParameterTier::Advanced => ParameterTier::Advanced,
        ParameterTier::IntelligentTiering => {
            let is_new_and_full = current.is_none() && room.is_full(ParameterTier::Standard);
            let needs = wants.bytes > max_bytes(ParameterTier::Standard) || wants.policies || wants.data_type;
            match is_advanced || needs || is_new_and_full {
                true => ParameterTier::Advanced,
                false => ParameterTier::Standard,
            }
        }
        ParameterTier::Standard | ParameterTier::Unset => ParameterTier::Standard,
    };
    if tier == ParameterTier::Standard && is_advanced {
        return Err(ParameterError::Downgrade);
    }
    if wants.bytes > max_bytes(tier) {
        return Err(ParameterError::TooLarge {
            tier,
            limit: max_bytes(tier),
        });
    }
    if tier == ParameterTier::Standard && wants.policies {
        return Err(ParameterError::PoliciesNeedAdvanced);
    }
    if tier == ParameterTier::Standard && wants.data_type {
        return Err(ParameterError::DataTypeNeedsAdvanced);
    }
    if current != Some(tier) && room.is_full(tier) {
        return Err(ParameterError::TooManyParameters {
            tier,
            limit: room.limit(tier),
        });
    }
    Ok(tier)
}

#[cfg(test)]
mod tests {
    use ParameterTier::{Advanced, IntelligentTiering, Standard};
    use muster_proto::aws::v1::Reason;
    use proptest::prelude::*;

    use super::*;

    const ROOM: Room = Room {
        standard: 0,
        advanced: 0,
        max_standard: 2,
        max_advanced: 2,
    };
    const FULL: Room = Room {
        standard: 2,
        advanced: 2,
        ..ROOM
    };

    fn bytes(bytes: usize) -> Wants {
        Wants {
            bytes,
            ..Wants::default()
        }
    }

    #[test]
    fn the_matrix_of_tiers() {
        let small = bytes(4096);
        let big = bytes(4097);
        let policies = Wants {
            policies: true,
            ..small
        };
        let url = Wants {
            data_type: true,
            ..small
        };
        let validation = Err(Reason::ValidationException);
        for (given, current, default, wants, expected) in [
            (None, None, Standard, small, Ok(Standard)),
            (None, None, Advanced, small, Ok(Advanced)),
            (None, None, IntelligentTiering, small, Ok(Standard)),
            (None, None, IntelligentTiering, big, Ok(Advanced)),
            (None, Some(Standard), Standard, small, Ok(Standard)),
            (None, Some(Advanced), Standard, big, Ok(Advanced)),
            (Some(Standard), None, Advanced, small, Ok(Standard)),
            (Some(Standard), None, Standard, big, validation),
            (Some(Standard), None, Standard, policies, validation),
            (Some(Standard), None, Standard, url, validation),
            (Some(Standard), Some(Advanced), Standard, small, validation),
            (None, None, Standard, big, validation),
            (Some(Advanced), None, Standard, small, Ok(Advanced)),
            (Some(Advanced), Some(Standard), Standard, bytes(8192), Ok(Advanced)),
            (Some(Advanced), None, Standard, bytes(8193), validation),
            (Some(IntelligentTiering), None, Standard, small, Ok(Standard)),
            (Some(IntelligentTiering), None, Standard, big, Ok(Advanced)),
            (Some(IntelligentTiering), None, Standard, policies, Ok(Advanced)),
            (Some(IntelligentTiering), None, Standard, url, Ok(Advanced)),
            (Some(IntelligentTiering), Some(Advanced), Standard, small, Ok(Advanced)),
            (Some(IntelligentTiering), None, Standard, bytes(8193), validation),
        ] {
            let resolved = resolve(given, current, default, wants, &ROOM).map_err(|error| error.reason());
            assert_eq!(resolved, expected, "{given:?} {current:?} {default:?} {wants:?}");
        }
    }

    #[test]
    fn a_full_tier_takes_no_new_parameter() {
        let full = Err(Reason::ParameterLimitExceeded);
        let check = |given, current, room: Room, expected| {
            let resolved = resolve(Some(given), current, Standard, bytes(1), &room).map_err(|error| error.reason());
            assert_eq!(resolved, expected, "{given:?} {current:?}");
        };
        check(Standard, None, FULL, full);
        check(Standard, Some(Standard), FULL, Ok(Standard));
        check(Advanced, Some(Standard), FULL, full);
        check(Advanced, Some(Advanced), FULL, Ok(Advanced));
        check(IntelligentTiering, None, Room { advanced: 0, ..FULL }, Ok(Advanced));
        check(IntelligentTiering, Some(Standard), FULL, Ok(Standard));
        let boundless = Room {
            max_standard: 0,
            ..FULL
        };
        check(Standard, None, boundless, Ok(Standard));
    }

    proptest! {
        #[test]
        fn intelligent_tiering_is_never_an_answer_and_nothing_goes_down(
            given in 0_usize..4, current in 0_usize..3, size in 0_usize..9000, policies: bool, data_type: bool,
        ) {
            let given = [None, Some(Standard), Some(Advanced), Some(IntelligentTiering)][given];
            let current = [None, Some(Standard), Some(Advanced)][current];
            let wants = Wants { bytes: size, policies, data_type };
            if let Ok(tier) = resolve(given, current, Standard, wants, &ROOM) {
                prop_assert!(matches!(tier, Standard | Advanced));
                prop_assert!(current != Some(Advanced) || tier == Advanced);
                prop_assert!(size <= max_bytes(tier));
                prop_assert!(tier == Advanced || !(policies || data_type));
            }
        }
    }
}
