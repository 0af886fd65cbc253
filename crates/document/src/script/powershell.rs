//! Following a PowerShell script through its quotes.

use super::Referred;

/// A last character that joins with nothing and is no blank either.
const NOTHING: Option<char> = Some('\0');

/// Where in a script the next character stands.
#[derive(Debug, Default)]
pub(super) struct Lexer {
    /// The quotes and brackets that are open, innermost last; empty: plain script.
    open: Vec<Open>,
    /// The last character was a backtick that quotes the next one.
    is_escaped: bool,
    /// The last character if it may join with the next one to mean something.
    last: Option<char>,
    /// In a here-string: this is the first character of a line.
    is_line_start: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    /// `$(…)`, `@(…)` or `(…)`.
    Parenthesis,
    Double,
    Single,
    /// `@"` … `"@`.
    HereDouble,
    /// `@'` … `'@`.
    HereSingle,
    Comment,
    /// `<# … #>`.
    BlockComment,
}

/// PowerShell takes typographic quotes for quotes.
fn is_single(c: char) -> bool {
    matches!(c, '\'' | '\u{2018}'..='\u{201b}')
}

fn is_double(c: char) -> bool {
    matches!(c, '"' | '\u{201c}'..='\u{201e}')
}

impl Lexer {
    /// Takes one character of the script.
    pub(super) fn feed(&mut self, c: char) {
        let last = self.last.replace(c);
        let is_line_start = std::mem::replace(&mut self.is_line_start, c == '\n');
        if std::mem::take(&mut self.is_escaped) {
            self.last = NOTHING;
            return;
        }
        match self.open.last() {
            Some(Open::Single) if is_single(c) => drop(self.open.pop()),
            Some(Open::Single) => {}
            Some(Open::HereSingle) => self.feed_here(c, last, is_line_start, is_single),
            Some(Open::HereDouble) => self.feed_here(c, last, is_line_start, is_double),
            Some(Open::Comment) if c == '\n' => drop(self.open.pop()),
            Some(Open::Comment) => {}
            Some(Open::BlockComment) if c == '>' && last == Some('#') => drop(self.open.pop()),
            Some(Open::BlockComment) => {}
            _ if c == '`' => self.is_escaped = true,
            Some(Open::Double) if is_double(c) => drop(self.open.pop()),
            Some(Open::Double) if c == '(' && last == Some('$') => self.open.push(Open::Parenthesis),
            Some(Open::Double) => {}
            Some(Open::Parenthesis) | None => self.feed_plain(c, last),
        }
    }

    fn feed_plain(&mut self, c: char, last: Option<char>) {
        let is_here = last == Some('@');
        match c {
            _ if is_single(c) => self.open.push(if is_here { Open::HereSingle } else { Open::Single }),
            _ if is_double(c) => self.open.push(if is_here { Open::HereDouble } else { Open::Double }),
            '(' => self.open.push(Open::Parenthesis),
            ')' if !self.open.is_empty() => drop(self.open.pop()),
            '#' if last == Some('<') => self.open.push(Open::BlockComment),
            '#' if last.is_none_or(|c| c.is_whitespace() || matches!(c, ';' | '(' | ')' | '{' | '}' | '|')) => {
                self.open.push(Open::Comment);
            }
            _ => {}
        }
    }

    /// A here-string ends with its quote at the start of a line and an `@`.
    fn feed_here(&mut self, c: char, last: Option<char>, is_line_start: bool, is_quote: fn(char) -> bool) {
        if c == '@' && last.is_some_and(is_quote) {
            self.open.pop();
        } else if is_quote(c) && !is_line_start {
            self.last = NOTHING;
        }
    }

    /// Writes a reference to a variable where the script now stands; `follows` is what comes after it.
    pub(super) fn refer(&mut self, variable: &str, out: &mut String, follows: &str) -> Referred {
        let innermost = self.open.last().copied();
        if std::mem::take(&mut self.is_escaped) {
            // The backtick would quote the first character of the reference.
            out.pop();
        } else if self.last == Some('$') && !matches!(innermost, Some(Open::Single | Open::HereSingle)) {
            out.pop();
            out.push_str("`$");
        }
        let mut referred = Referred {
            swallowed: 0,
            is_in_reach: true,
        };
        let mut closing = follows.chars();
        match innermost {
            // Nothing is expanded in single quotes, but quotes around nothing else can go.
            Some(Open::Single)
                if self.last.is_some_and(is_single)
                    && closing.next().is_some_and(is_single)
                    && !closing.next().is_some_and(is_single) =>
            {
                out.pop();
                self.open.pop();
                referred.swallowed = follows.chars().next().map_or(0, char::len_utf8);
            }
            Some(Open::Single | Open::HereSingle) => referred.is_in_reach = false,
            _ => {}
        }
        out.push_str(&format!("${{env:{variable}}}"));
        self.last = NOTHING;
        self.is_line_start = false;
        referred
    }
}
