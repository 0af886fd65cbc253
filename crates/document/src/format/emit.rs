//! Writing YAML: block style, texts of several lines as literal blocks, everything else plain where it is safe and quoted
//! where it is not. What is written reads back as the same value.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::yaml;

/// Keys longer than this are written in the explicit form; YAML allows an implicit key 1,024 characters.
const LONGEST_IMPLICIT_KEY: usize = 256;

/// Writes a value as one YAML document.
pub(super) fn emit(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(map) if !map.is_empty() => entries(&mut out, map, 0),
        Value::Array(list) if !list.is_empty() => elements(&mut out, list, 0),
        // A literal block at the top would have to be indented by nothing; quotes say the same.
        Value::String(text) => out.push_str(&one_line(text)),
        other => inline(&mut out, other, 0),
    }
    if !out.ends_with('\n') {
        out.push('\n');
    }
    out
}

/// Writes the lines of a map; the cursor stands where the first key begins.
fn entries(out: &mut String, map: &Map<String, Value>, indent: usize) {
    for (position, (key, value)) in map.iter().enumerate() {
        if position > 0 {
            pad(out, indent);
        }
        let key = one_line(key);
        if key.chars().count() > LONGEST_IMPLICIT_KEY {
            let _ = write!(out, "? {key}\n{:indent$}", "");
        } else {
            out.push_str(&key);
        }
        out.push(':');
        member(out, value, indent);
    }
}

/// Writes what stands after `key:`, up to the end of its last line.
fn member(out: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            out.push('\n');
            pad(out, indent + 2);
            entries(out, map, indent + 2);
        }
        Value::Array(list) if !list.is_empty() => {
            out.push('\n');
            pad(out, indent + 2);
            elements(out, list, indent + 2);
        }
        other => {
            out.push(' ');
            inline(out, other, indent + 2);
        }
    }
}

/// Writes the lines of a list; the cursor stands where the first dash goes.
fn elements(out: &mut String, list: &[Value], indent: usize) {
    for (position, value) in list.iter().enumerate() {
        if position > 0 {
            pad(out, indent);
        }
        out.push_str("- ");
        match value {
            Value::Object(map) if !map.is_empty() => entries(out, map, indent + 2),
            Value::Array(list) if !list.is_empty() => elements(out, list, indent + 2),
            other => inline(out, other, indent + 2),
        }
    }
}

/// Writes a value that needs no nested lines, or a literal block, and ends the line.
fn inline(out: &mut String, value: &Value, indent: usize) {
    match value {
        Value::String(text) if fits_literal_block(text) => literal_block(out, text, indent),
        Value::String(text) => out.push_str(&one_line(text)),
        Value::Array(_) => out.push_str("[]"),
        Value::Object(_) => out.push_str("{}"),
        other => out.push_str(&other.to_string()),
    }
    if !out.ends_with('\n') {
        out.push('\n');
    }
}

fn pad(out: &mut String, indent: usize) {
    let _ = write!(out, "{:indent$}", "");
}

/// Whether a text can stand as a literal block without an indentation indicator and with "clip" or "strip" chomping.
fn fits_literal_block(text: &str) -> bool {
    let body = text.strip_suffix('\n').unwrap_or(text);
    body.contains('\n')
        && !body.starts_with([' ', '\t', '\n'])
        && !body.ends_with('\n')
        && body.chars().all(|c| c == '\n' || c == '\t' || is_printable(c))
        // Lines of blanks only are legal but read differently by different readers.
        && body.split('\n').all(|line| line.is_empty() || !line.trim_matches([' ', '\t']).is_empty())
}

fn literal_block(out: &mut String, text: &str, indent: usize) {
    out.push_str(if text.ends_with('\n') { "|\n" } else { "|-\n" });
    for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
        if !line.is_empty() {
            pad(out, indent);
            out.push_str(line);
        }
        out.push('\n');
    }
}

/// A text in one line: plain if it can be mistaken for nothing else, else in double quotes.
fn one_line(text: &str) -> String {
    if is_safe_plain(text) {
        text.to_owned()
    } else {
        quoted(text)
    }
}

/// Deliberately narrow: quotes are always right.
fn is_safe_plain(text: &str) -> bool {
    // No digit: YAML 1.1 readers take many a text that begins with one for a date, a time or a number.
    let first_is_safe = text
        .chars()
        .next()
        .is_some_and(|c| c.is_alphabetic() || matches!(c, '/' | '_' | '$'));
    first_is_safe
        && !text.ends_with([' ', ':'])
        && text.chars().all(|c| {
            c.is_alphanumeric()
                || matches!(c, ' ' | '/' | '_' | '-' | '.' | ':' | '$' | '(' | ')' | '=' | '+' | ';' | '<' | '>' | '"' | '\'')
        })
        && !text.contains(": ")
        && matches!(yaml::resolve(text), Some(Value::String(_)))
        // YAML 1.1 readers take these for booleans; quote them for their sake.
        && !["y", "n", "yes", "no", "on", "off"].iter().any(|word| text.eq_ignore_ascii_case(word))
}

fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if is_printable(c) => out.push(c),
            c => {
                let _ = match c as u32 {
                    code @ 0..=0xffff => write!(out, "\\u{code:04x}"),
                    code => write!(out, "\\U{code:08x}"),
                };
            }
        }
    }
    out.push('"');
    out
}

/// Whether a character may stand in YAML as itself and is no kind of line break.
fn is_printable(c: char) -> bool {
    !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}
