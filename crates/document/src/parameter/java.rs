//! Regular expressions as Java reads them, written for our engine.
//!
//! Both languages agree on most; the differences that documents meet are the shorthands (ASCII in Java), POSIX names in `\p{…}`,
//! `\Q…\E`, characters as surrogate pairs, a hyphen after a shorthand, and characters that only one of them finds special.
//! One difference stays on purpose: `$` is the end of the text here, not also the place before a last line end.

/// Writes a Java pattern for our engine; what it does not know passes as it is.
pub(super) fn translate(source: &str) -> String {
    let mut out = String::with_capacity(source.len() + 16);
    let mut depth = 0_usize;
    let mut rest = source.chars();
    while let Some(c) = rest.next() {
        match c {
            '\\' => rest = escape(rest, depth > 0, &mut out),
            '[' => {
                depth += 1;
                out.push(c);
            }
            ']' => {
                depth = depth.saturating_sub(1);
                out.push(c);
            }
            // Set operators of our engine only.
            '~' if depth > 0 => out.push_str("\\~"),
            '-' if depth > 0 && rest.as_str().starts_with('-') => out.push_str("\\-"),
            _ => out.push(c),
        }
    }
    out
}

/// Translates what follows a backslash and returns the rest.
fn escape<'a>(mut rest: std::str::Chars<'a>, in_class: bool, out: &mut String) -> std::str::Chars<'a> {
    let Some(c) = rest.next() else {
        out.push('\\');
        return rest;
    };
    if c == 'Q' {
        let (quoted, after) = rest.as_str().split_once("\\E").unwrap_or((rest.as_str(), ""));
        quoted.chars().for_each(|c| literal(c, out));
        return after.chars();
    }
    if c == 'u'
        && let Some((character, after)) = surrogate_pair(rest.as_str())
    {
        out.push_str(&format!("\\u{{{:X}}}", u32::from(character)));
        return after.chars();
    }
    if let Some(members) = shorthand(c) {
        class(members, c.is_ascii_uppercase(), in_class, out);
        return literal_hyphen(rest, in_class, out);
    }
    if matches!(c, 'p' | 'P')
        && let Some((name, after)) = rest.as_str().strip_prefix('{').and_then(|text| text.split_once('}'))
    {
        match posix(name) {
            Some(members) => class(members, c == 'P', in_class, out),
            None => out.push_str(&format!("\\{c}{{{}}}", name.strip_prefix("Is").unwrap_or(name))),
        }
        return literal_hyphen(after.chars(), in_class, out);
    }
    if c.is_ascii_alphanumeric() {
        out.push('\\');
        out.push(c);
    } else {
        literal(c, out);
    }
    rest
}

/// The character that two escapes mean together, `\uD83D\uDE00`, whose first `\u` was read already.
fn surrogate_pair(text: &str) -> Option<(char, &str)> {
    let unit = |digits: &str| u16::from_str_radix(digits, 16).ok();
    let high = unit(text.get(..4)?)?;
    let rest = text[4..].strip_prefix("\\u")?;
    let low = unit(rest.get(..4)?)?;
    // Two characters of the basic plane are not a pair.
    let mut read = char::decode_utf16([high, low]);
    match (read.next()?.ok()?, read.next()) {
        (character, None) => Some((character, &rest[4..])),
        (_, Some(_)) => None,
    }
}

/// A character as itself, wherever it stands.
fn literal(c: char, out: &mut String) {
    // With the flag `x` a blank is none.
    if let Some(escaped) = blank(c) {
        out.push_str(escaped);
        return;
    }
    // Our engine gives `\<` and `\>` a meaning of their own.
    if c.is_ascii_punctuation() && !matches!(c, '<' | '>') {
        out.push('\\');
    }
    out.push(c);
}

/// How a blank is written where it must count.
fn blank(c: char) -> Option<&'static str> {
    Some(match c {
        ' ' => "\\x20",
        '\t' => "\\t",
        '\n' => "\\n",
        '\r' => "\\r",
        '\x0B' => "\\x0B",
        '\x0C' => "\\f",
        _ => return None,
    })
}

/// A set of characters, in a class or as one.
fn class(members: &str, is_negated: bool, in_class: bool, out: &mut String) {
    match (in_class, is_negated) {
        (true, false) => out.push_str(members),
        (false, false) => out.push_str(&format!("[{members}]")),
        (_, true) => out.push_str(&format!("[^{members}]")),
    }
}

/// In Java a hyphen after a set is a hyphen.
fn literal_hyphen<'a>(rest: std::str::Chars<'a>, in_class: bool, out: &mut String) -> std::str::Chars<'a> {
    match rest.as_str().strip_prefix('-').filter(|_| in_class) {
        Some(after) => {
            out.push_str("\\-");
            after.chars()
        }
        None => rest,
    }
}

fn shorthand(c: char) -> Option<&'static str> {
    Some(match c {
        'd' | 'D' => "0-9",
        'w' | 'W' => "a-zA-Z0-9_",
        's' | 'S' => "\\x20\\t\\n\\x0B\\f\\r",
        'h' | 'H' => "\\x20\\t\\u{A0}\\u{1680}\\u{180E}\\u{2000}-\\u{200A}\\u{202F}\\u{205F}\\u{3000}",
        'v' | 'V' => "\\n\\x0B\\f\\r\\u{85}\\u{2028}\\u{2029}",
        _ => return None,
    })
}

fn posix(name: &str) -> Option<&'static str> {
    Some(match name {
        "Lower" => "a-z",
        "Upper" => "A-Z",
        "ASCII" => "\\x00-\\x7F",
        "Alpha" => "a-zA-Z",
        "Digit" => "0-9",
        "Alnum" => "a-zA-Z0-9",
        "Punct" => "!-/:-@\\[-`{-\\~",
        "Graph" => "!-\\~",
        "Print" => "\\x20-\\~",
        "Blank" => "\\x20\\t",
        "Cntrl" => "\\x00-\\x1F\\x7F",
        "XDigit" => "0-9a-fA-F",
        "Space" => "\\x20\\t\\n\\x0B\\f\\r",
        _ => return None,
    })
}
