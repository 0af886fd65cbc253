//! Every switched-off lint says why: `#[expect(lint, reason = "…")]`, and the same where `allow` cannot be avoided.

use super::finding::Finding;
use super::sources::Source;

pub(crate) fn check(source: &Source) -> Vec<Finding> {
    if !source.is_rust() {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (line, text) in source.lines() {
        let trimmed = text.trim_start();
        for word in ["allow", "expect"] {
            let opens = trimmed.starts_with(&format!("#[{word}(")) || trimmed.starts_with(&format!("#![{word}("));
            if opens && !attribute(source, line).contains("reason") {
                findings.push(Finding::at(&source.path, line, format!("{word} without a reason")));
            }
        }
    }
    findings
}

/// The text from the line where an attribute opens to the line where it closes.
fn attribute(source: &Source, opens: usize) -> String {
    let mut text = String::new();
    for (_, line) in source.lines().skip(opens - 1) {
        text.push_str(line);
        if line.contains(")]") {
            break;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::sources::source;

    #[test]
    fn a_reason_may_stand_on_a_later_line() {
        let text = "#![expect(\n    clippy::print_stdout,\n    reason = \"x\"\n)]\n";
        assert_eq!(check(&source("a.rs", text)).len(), 0);
    }

    #[test]
    fn a_missing_reason_is_found() {
        assert_eq!(check(&source("a.rs", "    #[allow(dead_code)]\n// reason\n")).len(), 1);
        assert_eq!(check(&source("a.rs", "// #[allow(x)] in a comment\n")).len(), 0);
    }
}
