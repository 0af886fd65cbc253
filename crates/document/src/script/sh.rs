//! Following a POSIX shell script through its quotes.

use super::Referred;

/// A last character that joins with nothing and is no blank either.
const NOTHING: Option<char> = Some('\0');

/// Where in a script the next character stands.
#[derive(Debug, Default)]
pub(super) struct Lexer {
    /// The quotes and brackets that are open, innermost last; empty: plain script.
    open: Vec<Open>,
    /// The last character was a backslash that quotes the next one.
    is_escaped: bool,
    /// The last character if it may join with the next one to mean something.
    last: Option<char>,
    /// A here-document's word is being read.
    word: Option<Word>,
    /// Here-documents whose bodies begin at the next line.
    announced: Vec<Word>,
    /// The line of a here-document so far.
    line: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Open {
    /// `$(…)` or `(…)`.
    Parenthesis,
    /// `$((…))`.
    Arithmetic,
    /// `${…}`.
    Brace,
    Backtick,
    Double,
    Single,
    /// `$'…'`.
    Dollar,
    Comment,
    HereDocument(Word),
}

/// What ends a here-document.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Word {
    text: String,
    /// Nothing is expanded in the body.
    is_quoted: bool,
    /// `<<-`: tabs before the word do not count.
    strips_tabs: bool,
    quote: Option<char>,
    is_escaped: bool,
    has_begun: bool,
}

impl Lexer {
    /// Takes one character of the script.
    pub(super) fn feed(&mut self, c: char) {
        if self.word.is_some() && self.feed_word(c) {
            return;
        }
        let last = self.last.replace(c);
        if std::mem::take(&mut self.is_escaped) {
            // A quoted character joins with nothing.
            self.last = NOTHING;
            self.line.push(c);
            return;
        }
        match self.open.last() {
            Some(Open::HereDocument(_)) => self.feed_here_document(c),
            Some(Open::Single) => self.close_at(c, '\''),
            Some(Open::Comment) if c != '\n' => {}
            Some(Open::Comment) => {
                self.open.pop();
                self.feed_plain(c, last);
            }
            _ if c == '\\' => self.is_escaped = true,
            Some(Open::Dollar) => self.close_at(c, '\''),
            Some(Open::Double) => self.feed_double(c, last),
            _ => self.feed_plain(c, last),
        }
    }

    fn close_at(&mut self, c: char, end: char) {
        if c == end {
            self.open.pop();
        }
    }

    fn feed_double(&mut self, c: char, last: Option<char>) {
        match c {
            '"' => drop(self.open.pop()),
            '`' => self.toggle_backtick(),
            _ => self.feed_dollar(c, last),
        }
    }

    /// What a dollar sign begins, in double quotes and outside.
    fn feed_dollar(&mut self, c: char, last: Option<char>) {
        if last != Some('$') {
            return;
        }
        match c {
            '(' => self.open.push(Open::Parenthesis),
            '{' => self.open.push(Open::Brace),
            // The process id; the second sign begins nothing.
            '$' => self.last = None,
            _ => {}
        }
    }

    fn feed_plain(&mut self, c: char, last: Option<char>) {
        let inner = self.open.last();
        match c {
            '\'' if inner == Some(&Open::Brace) && self.open.contains(&Open::Double) => {}
            '\'' if last == Some('$') => self.open.push(Open::Dollar),
            '\'' => self.open.push(Open::Single),
            '"' => self.open.push(Open::Double),
            '`' => self.toggle_backtick(),
            '(' if last == Some('(') && inner == Some(&Open::Parenthesis) => {
                self.open.push(Open::Arithmetic);
                self.last = NOTHING;
            }
            '(' => self.open.push(Open::Parenthesis),
            ')' if matches!(inner, Some(Open::Parenthesis | Open::Arithmetic)) => drop(self.open.pop()),
            '}' if inner == Some(&Open::Brace) => drop(self.open.pop()),
            '#' if begins_comment(last) && !matches!(inner, Some(Open::Brace | Open::Arithmetic)) => {
                self.open.push(Open::Comment);
            }
            '<' if last == Some('<') && !matches!(inner, Some(Open::Brace | Open::Arithmetic)) => {
                self.word = Some(Word::default());
            }
            '\n' => self.begin_here_document(),
            _ => self.feed_dollar(c, last),
        }
    }

    fn toggle_backtick(&mut self) {
        match self.open.last() {
            Some(Open::Backtick) => drop(self.open.pop()),
            _ => self.open.push(Open::Backtick),
        }
    }

    /// Takes a character of the word after `<<`; says whether it belongs to the word.
    fn feed_word(&mut self, c: char) -> bool {
        let Some(word) = &mut self.word else { return false };
        if std::mem::take(&mut word.is_escaped) {
            word.text.push(c);
            return true;
        }
        match (word.quote, c) {
            (Some(quote), _) if c == quote => word.quote = None,
            (Some(_), _) => word.text.push(c),
            (None, '-') if !word.has_begun && !word.strips_tabs => word.strips_tabs = true,
            (None, ' ' | '\t') if !word.has_begun => {}
            (None, '\'' | '"') => {
                word.quote = Some(c);
                word.is_quoted = true;
                word.has_begun = true;
            }
            (None, '\\') => {
                word.is_escaped = true;
                word.is_quoted = true;
                word.has_begun = true;
            }
            (None, ' ' | '\t' | '\n' | ';' | '&' | '|' | '<' | '>' | '(' | ')') => {
                // Without a word this was no here-document but `<<<`, or a mistake.
                if let Some(word) = self.word.take().filter(|word| word.has_begun) {
                    self.announced.push(word);
                }
                self.last = NOTHING;
                return false;
            }
            (None, _) => {
                word.has_begun = true;
                word.text.push(c);
            }
        }
        true
    }

    fn begin_here_document(&mut self) {
        if !self.announced.is_empty() {
            self.line.clear();
            self.open.push(Open::HereDocument(self.announced.remove(0)));
        }
    }

    fn feed_here_document(&mut self, c: char) {
        let Some(Open::HereDocument(word)) = self.open.last() else {
            return;
        };
        match c {
            '\n' => {
                let line = if word.strips_tabs {
                    self.line.trim_start_matches('\t')
                } else {
                    &self.line
                };
                let ends = line == word.text;
                self.line.clear();
                if ends {
                    self.open.pop();
                    self.begin_here_document();
                }
            }
            '\\' if !word.is_quoted => {
                self.is_escaped = true;
                self.line.push(c);
            }
            _ => self.line.push(c),
        }
    }

    /// Writes a reference to a variable where the script now stands.
    pub(super) fn refer(&mut self, variable: &str, out: &mut String) -> Referred {
        let innermost = self.open.last();
        let expands = !matches!(innermost, Some(Open::HereDocument(word)) if word.is_quoted);
        let is_single = matches!(innermost, Some(Open::Single | Open::Dollar | Open::Comment));
        if std::mem::take(&mut self.is_escaped) {
            // The backslash would quote the first character of the reference.
            out.pop();
        } else if self.last == Some('$') && expands && !is_single {
            // A bare dollar sign would join with the reference.
            out.pop();
            out.push_str("\\$");
        }
        let is_quoted = self.open.iter().rev().find_map(|open| match open {
            Open::Brace => None,
            Open::Double | Open::HereDocument(_) | Open::Comment | Open::Arithmetic => Some(true),
            _ => Some(false),
        });
        match innermost {
            Some(Open::Single) => out.push_str(&format!("'\"${{{variable}}}\"'")),
            Some(Open::Dollar) => out.push_str(&format!("'\"${{{variable}}}\"$'")),
            _ if is_quoted == Some(true) => out.push_str(&format!("${{{variable}}}")),
            _ => out.push_str(&format!("\"${{{variable}}}\"")),
        }
        // Whatever was begun before, the reference is a piece of its own.
        self.last = NOTHING;
        self.line.push('$');
        if let Some(word) = &mut self.word {
            word.has_begun = true;
        }
        Referred {
            swallowed: 0,
            is_in_reach: expands,
        }
    }
}

/// Whether a `#` after this character begins a comment.
fn begins_comment(last: Option<char>) -> bool {
    last.is_none_or(|c| c.is_whitespace() || matches!(c, ';' | '&' | '|' | '(' | ')'))
}
