//! Texts on their way to a reader.

/// The text without NUL, which a database's text cannot hold.
pub(crate) fn clean(text: &str) -> String {
    text.replace('\0', "\u{FFFD}")
}

/// At most `limit` characters from the start.
pub(crate) fn head(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        Some((end, _)) => text[..end].to_owned(),
        None => text.to_owned(),
    }
}

/// At most `limit` characters: of what is too long the first third and the last two thirds, since the end tells most,
/// and a mark where something is missing (run-command 8.1).
pub(crate) fn shortened(text: &str, limit: usize) -> String {
    const MARK: &str = "\n--output truncated--\n";
    let length = text.chars().count();
    if length <= limit {
        return text.to_owned();
    }
    let room = limit.saturating_sub(MARK.len());
    let first = room / 3;
    let tail: String = text.chars().skip(length - (room - first)).collect();
    format!("{}{MARK}{tail}", head(text, first))
}

/// An ISO 8601 duration such as `PT0.091S`.
pub(crate) fn duration(micros: i64) -> String {
    let millis = micros.max(0) / 1_000;
    let (hours, rest) = (millis / 3_600_000, millis % 3_600_000);
    let (minutes, rest) = (rest / 60_000, rest % 60_000);
    let (seconds, fraction) = (rest / 1_000, rest % 1_000);
    let mut text = "PT".to_owned();
    if hours > 0 {
        text.push_str(&format!("{hours}H"));
    }
    if minutes > 0 {
        text.push_str(&format!("{minutes}M"));
    }
    if fraction > 0 {
        let thousandths = format!("{fraction:03}");
        text.push_str(&format!("{seconds}.{}S", thousandths.trim_end_matches('0')));
    } else if seconds > 0 || text == "PT" {
        text.push_str(&format!("{seconds}S"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_iso_8601() {
        for (micros, expected) in [
            (91_000, "PT0.091S"),
            (0, "PT0S"),
            (-5, "PT0S"),
            (1_500_000, "PT1.5S"),
            (60_000_000, "PT1M"),
            (3_661_001_000, "PT1H1M1.001S"),
        ] {
            assert_eq!(duration(micros), expected);
        }
    }

    #[test]
    fn what_is_cut_says_so_and_still_fits() {
        assert_eq!(shortened("äöü", 3), "äöü");
        let cut = shortened(&format!("{}{}", "ä".repeat(60), "ö".repeat(60)), 82);
        assert_eq!(
            cut,
            format!("{}\n--output truncated--\n{}", "ä".repeat(20), "ö".repeat(40))
        );
    }

    #[test]
    fn a_head_ends_at_a_character() {
        assert_eq!(head("äöü", 2), "äö");
        assert_eq!(head("äöü", 3), "äöü");
    }
}
