//! Texts of a policy that may hold globs and variables.

use crate::glob::{Glob, Token, tokens};
use crate::key::Key;
use crate::principal::Principal;
use crate::refusal::{Rule, shown};

/// Whether something takes something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Match {
    Yes,
    No,
    /// It cannot be said: a variable has no value, or a value cannot be read as what it should be.
    Unknown,
}

impl Match {
    /// One is enough; what cannot be said counts only where nothing fits.
    pub(crate) fn any(all: impl Iterator<Item = Self>) -> Self {
        let mut result = Self::No;
        for each in all {
            match each {
                Self::Yes => return Self::Yes,
                Self::Unknown => result = Self::Unknown,
                Self::No => {}
            }
        }
        result
    }
}

impl From<bool> for Match {
    fn from(yes: bool) -> Self {
        if yes { Self::Yes } else { Self::No }
    }
}

/// A piece of a pattern.
#[derive(Debug, Clone)]
enum Piece {
    Text(String),
    Any,
    One,
    /// The value of a key of the principal.
    Variable(Key),
}

/// What `*` and `?` are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wild {
    Cards,
    /// Themselves.
    Text,
}

/// A text with globs, where they are allowed, and variables.
#[derive(Debug, Clone)]
pub(crate) struct Pattern(Form);

#[derive(Debug, Clone)]
enum Form {
    /// Without variables.
    Ready(Glob),
    /// With variables, whose values take the place of their names when somebody asks.
    Open(Vec<Piece>),
}

impl Pattern {
    /// Reads a text.
    ///
    /// # Errors
    /// If a variable is unknown or not closed.
    pub(crate) fn parse(text: &str, wild: Wild) -> Result<Self, (Rule, String)> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once("${") {
            add_text(&mut pieces, before, wild);
            let Some((name, behind)) = behind.split_once('}') else {
                return Err((
                    Rule::UnknownVariable,
                    format!("\"${{\" without \"}}\" in {}", shown(text)),
                ));
            };
            pieces.push(variable(name)?);
            rest = behind;
        }
        add_text(&mut pieces, rest, wild);
        let is_open = pieces.iter().any(|piece| matches!(piece, Piece::Variable(_)));
        Ok(Self(match is_open {
            true => Form::Open(pieces),
            false => Form::Ready(Glob::new(pieces.iter().filter_map(|piece| piece.token(None)))),
        }))
    }

    /// Whether it takes the text, as that principal's policy.
    pub(crate) fn matches(&self, text: &str, who: &Principal) -> Match {
        match &self.0 {
            Form::Ready(glob) => glob.matches(text).into(),
            Form::Open(pieces) => match filled(pieces, who) {
                Some(glob) => glob.matches(text).into(),
                None => Match::Unknown,
            },
        }
    }

    /// The text that it stands for, where it is no glob. `None` if a variable has no value.
    pub(crate) fn text(&self, who: &Principal) -> Option<String> {
        let pieces = match &self.0 {
            Form::Ready(glob) => return glob.as_text().map(str::to_owned),
            Form::Open(pieces) => pieces,
        };
        let mut text = String::new();
        for piece in pieces {
            match piece {
                Piece::Text(piece) => text.push_str(piece),
                Piece::Variable(key) => text.push_str(key.of_principal(who)?),
                Piece::Any | Piece::One => return None,
            }
        }
        Some(text)
    }
}

/// The glob with the principal's values in it; a `*` in a value is only a star.
fn filled(pieces: &[Piece], who: &Principal) -> Option<Glob> {
    let tokens: Option<Vec<_>> = pieces.iter().map(|piece| piece.token(Some(who))).collect();
    tokens.map(Glob::new)
}

impl Piece {
    fn token<'a>(&'a self, who: Option<&'a Principal>) -> Option<Token<'a>> {
        Some(match self {
            Self::Text(text) => Token::Text(text),
            Self::Any => Token::Any,
            Self::One => Token::One,
            Self::Variable(key) => Token::Text(key.of_principal(who?)?),
        })
    }
}

fn add_text(pieces: &mut Vec<Piece>, text: &str, wild: Wild) {
    match wild {
        Wild::Text => pieces.push(Piece::Text(text.to_owned())),
        Wild::Cards => pieces.extend(tokens(text).map(|token| match token {
            Token::Text(text) => Piece::Text(text.to_owned()),
            Token::Any => Piece::Any,
            Token::One => Piece::One,
        })),
    }
}

fn variable(name: &str) -> Result<Piece, (Rule, String)> {
    if matches!(name, "*" | "?" | "$") {
        return Ok(Piece::Text(name.to_owned()));
    }
    match Key::parse(name) {
        Some(key) if key.may_be_variable() => Ok(Piece::Variable(key)),
        _ => {
            let known = "${aws:username}, ${aws:PrincipalTag/key}, ${ssm:nodeId}, ${*}, ${?}, ${$}";
            Err((
                Rule::UnknownVariable,
                format!("${{{}}} is none of {known}", shown(name)),
            ))
        }
    }
}
