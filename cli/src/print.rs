//! The program's two voices: data goes to stdout, everything else to stderr.

use std::io::{self, Write};

use crate::complaint::Complaint;

/// Writes data, as it is.
pub(crate) fn data(text: &str) -> Result<(), Complaint> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(Complaint::Output)
}

/// Says a line to the person at the terminal.
pub(crate) fn say(line: &str) {
    // Nobody is left to tell when the standard error stream is gone.
    let _ = writeln!(io::stderr(), "{line}");
}

/// Text from elsewhere, harmless for a terminal: control characters other than tabs are shown, not obeyed.
pub(crate) fn harmless(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\t' => '\t',
            '\u{7f}' => '\u{2421}',
            '\u{0}'..='\u{1f}' => char::from_u32(0x2400 + u32::from(c)).unwrap_or('\u{fffd}'),
            '\u{80}'..='\u{9f}' => '\u{fffd}',
            _ => c,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_obeys_nothing_that_a_node_wrote() {
        assert_eq!(harmless("\u{1b}[2Jgone\u{9b}31m\tok"), "\u{241b}[2Jgone\u{fffd}31m\tok");
    }
}
