//! `muster parameters tree`: the hierarchy of names.

use muster_proto::Word as _;

use super::list::{below, described};
use crate::complaint::Complaint;
use crate::exit::Exit;
use crate::print;
use crate::server::Server;

pub(super) async fn run(path: &str, server: &Server) -> Result<Exit, Complaint> {
    let parameters = described(vec![below(path, true)], server).await?;
    let leaves = parameters.iter().map(|parameter| {
        let note = format!("{} {}", parameter.r#type().word(), parameter.version());
        (format!("/{}", parameter.name().trim_start_matches('/')), note)
    });
    let leaves: Vec<(String, String)> = leaves.collect();
    match leaves.is_empty() {
        true => print::say("no parameters"),
        false => print::data(&drawn(path, &leaves))?,
    }
    Ok(Exit::Success)
}

/// A name that has others below it, or none, or both.
#[derive(Default)]
struct Branch<'a> {
    note: Option<&'a str>,
    /// In the order in which they come, which is that of their names.
    below: Vec<(&'a str, Branch<'a>)>,
}

/// A tree of paths below a path, with a note beside each that is a parameter.
fn drawn(path: &str, leaves: &[(String, String)]) -> String {
    let top = path.trim_end_matches('/');
    let mut root = Branch::default();
    for (name, note) in leaves {
        let mut branch = &mut root;
        let rest = name.strip_prefix(top).unwrap_or(name);
        for part in rest.split('/').filter(|part| !part.is_empty()) {
            let at = branch
                .below
                .iter()
                .position(|(known, _)| *known == part)
                .unwrap_or_else(|| {
                    branch.below.push((part, Branch::default()));
                    branch.below.len() - 1
                });
            branch = &mut branch.below[at].1;
        }
        branch.note = Some(note);
    }
    let mut text = format!("{top}/\n");
    draw(&root, "", &mut text);
    text
}

fn draw(branch: &Branch<'_>, indent: &str, text: &mut String) {
    for (at, (part, below)) in branch.below.iter().enumerate() {
        let is_last = at + 1 == branch.below.len();
        let (mark, deeper) = if is_last {
            ("└── ", "    ")
        } else {
            ("├── ", "│   ")
        };
        let note = below.note.map_or_else(String::new, |note| format!("  {note}"));
        text.push_str(&format!("{indent}{mark}{part}{note}\n"));
        draw(below, &format!("{indent}{deeper}"), text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_be_a_parameter_and_have_others_below_it() {
        let leaves = [
            ("/app/db", "String 1"),
            ("/app/db/host", "String 2"),
            ("/app/name", "String 1"),
            ("/x", "String 9"),
        ];
        let leaves = leaves.map(|(name, note)| (name.to_owned(), note.to_owned()));
        let expected = "\
/
├── app
│   ├── db  String 1
│   │   └── host  String 2
│   └── name  String 1
└── x  String 9
";
        assert_eq!(drawn("/", &leaves), expected);
        assert_eq!(drawn("/app/db/", &leaves[1..2]), "/app/db/\n└── host  String 2\n");
    }
}
