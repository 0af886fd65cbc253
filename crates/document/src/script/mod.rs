//! `ENV_VAR` parameters in scripts: a reference to the environment variable takes the token's place, never the value
//! (documents.md 3.3).
//!
//! How a reference looks depends on where it stands: bare, or in one of the language's quotes. So the script is followed through
//! its quotes, comments and here-documents, line by line and across lines. Following a language is guesswork at its edges;
//! a wrong guess can misplace a value, but it cannot make a value run, because the reference contains no part of it.
//! What nothing can mend is a script that has a value evaluated again (`eval`, shell arithmetic, `Invoke-Expression`).

mod powershell;
mod sh;

use serde_json::Value;

use crate::action::Language;
use crate::interpolate::{self, Budget, Segment, TooLong};
use crate::parameter::{Parameter, ParameterType, Parameters, variable_name};

/// Puts parameters into `runCommand`: as text, or as references where they are environment variables.
pub(crate) fn interpolate(
    written: &Value,
    language: Language,
    parameters: &Parameters,
    budget: &mut Budget,
) -> Result<Value, TooLong> {
    let mut writer = Writer::new(language);
    match written {
        Value::String(source) => match interpolate::whole(source, parameters) {
            Some((raw, kind)) if *kind != ParameterType::String => {
                budget.spend(interpolate::weight(raw))?;
                Ok(raw.clone())
            }
            _ => Ok(Value::String(write_line(&mut writer, source, parameters, budget)?)),
        },
        Value::Array(list) => {
            let mut lines = Vec::with_capacity(list.len());
            for element in list {
                let source = interpolate::as_text(element);
                match interpolate::whole(&source, parameters) {
                    Some((Value::Array(spliced), ParameterType::StringList)) => {
                        for element in spliced {
                            let text = interpolate::as_text(element);
                            budget.spend(text.len())?;
                            writer.paste(&text);
                            lines.push(Value::String(text));
                        }
                    }
                    _ => lines.push(Value::String(write_line(&mut writer, &source, parameters, budget)?)),
                }
            }
            Ok(Value::Array(lines))
        }
        other => Ok(other.clone()),
    }
}

fn write_line(
    writer: &mut Writer,
    source: &str,
    parameters: &Parameters,
    budget: &mut Budget,
) -> Result<String, TooLong> {
    let mut spent = Ok(());
    let line = writer.line(source, |name| {
        if parameters.is_variable(name) {
            return Some(Piece::Variable);
        }
        let text = interpolate::as_text(parameters.get(name)?);
        // Nothing more is put in once the budget is spent; the line is then thrown away.
        spent = std::mem::replace(&mut spent, Ok(())).and_then(|()| budget.spend(text.len()));
        Some(Piece::Text(if spent.is_ok() { text } else { String::new() }))
    });
    spent.map(|()| line)
}

/// Whether an `ENV_VAR` parameter of a script stands where the language expands nothing, as in a quoted here-document.
pub(crate) fn out_of_reach(written: &Value, language: Language, parameters: &[Parameter]) -> bool {
    let mut writer = Writer::new(language);
    let piece = |name: &str| {
        let parameter = parameters.iter().find(|parameter| parameter.name() == name)?;
        Some(if parameter.is_variable() {
            Piece::Variable
        } else {
            Piece::Text(String::new())
        })
    };
    match written {
        Value::String(source) => drop(writer.line(source, piece)),
        Value::Array(list) => list
            .iter()
            .filter_map(Value::as_str)
            .for_each(|source| drop(writer.line(source, piece))),
        _ => {}
    }
    writer.is_out_of_reach
}

/// What takes a token's place.
enum Piece {
    /// A reference to the parameter's variable.
    Variable,
    /// The value itself.
    Text(String),
}

/// Writes a script while following where in it the next character stands.
struct Writer {
    lexer: Lexer,
    is_out_of_reach: bool,
}

enum Lexer {
    Sh(sh::Lexer),
    PowerShell(powershell::Lexer),
}

impl Lexer {
    fn feed(&mut self, text: &str) {
        for c in text.chars() {
            match self {
                Self::Sh(lexer) => lexer.feed(c),
                Self::PowerShell(lexer) => lexer.feed(c),
            }
        }
    }
}

/// How a reference was written.
struct Referred {
    /// Bytes of what follows the token that the reference has replaced, too.
    swallowed: usize,
    /// Whether the language will put the value there.
    is_in_reach: bool,
}

impl Writer {
    fn new(language: Language) -> Self {
        let lexer = match language {
            Language::Sh => Lexer::Sh(sh::Lexer::default()),
            Language::PowerShell => Lexer::PowerShell(powershell::Lexer::default()),
        };
        Self {
            lexer,
            is_out_of_reach: false,
        }
    }

    /// Writes one element of `runCommand`, which is one line or several.
    fn line(&mut self, source: &str, mut piece: impl FnMut(&str) -> Option<Piece>) -> String {
        let mut out = String::with_capacity(source.len());
        let mut swallow = 0;
        let segments = interpolate::segments(source);
        for (position, segment) in segments.iter().enumerate() {
            match *segment {
                Segment::Literal(text) => {
                    let text = &text[std::mem::take(&mut swallow)..];
                    out.push_str(text);
                    self.lexer.feed(text);
                }
                Segment::Token(name, token) => match piece(name) {
                    Some(Piece::Variable) => {
                        let follows = match segments.get(position + 1) {
                            Some(Segment::Literal(text)) => text,
                            _ => "",
                        };
                        let referred = self.refer(&variable_name(name), &mut out, follows);
                        swallow = referred.swallowed;
                        self.is_out_of_reach |= !referred.is_in_reach;
                    }
                    Some(Piece::Text(text)) => {
                        out.push_str(&text);
                        self.lexer.feed(&text);
                    }
                    None => {
                        out.push_str(token);
                        self.lexer.feed(token);
                    }
                },
            }
        }
        self.lexer.feed("\n");
        out
    }

    /// Takes a line that stands in the script as it is.
    fn paste(&mut self, line: &str) {
        self.lexer.feed(line);
        self.lexer.feed("\n");
    }

    fn refer(&mut self, variable: &str, out: &mut String, follows: &str) -> Referred {
        match &mut self.lexer {
            Lexer::Sh(lexer) => lexer.refer(variable, out),
            Lexer::PowerShell(lexer) => lexer.refer(variable, out, follows),
        }
    }
}
