//! `muster parameters diff`: two values, line by line.

use muster_proto::parameterstore::v1::{GetParameterRequest, Parameter, ParameterType};

use super::history::versions;
use crate::complaint::Complaint;
use crate::exit::Exit;
use crate::print;
use crate::server::Server;

pub(super) async fn run(
    left: String,
    right: Option<String>,
    decrypt: bool,
    server: &Server,
) -> Result<Exit, Complaint> {
    let (left, right) = match right {
        Some(right) => (left, right),
        None => {
            let kept = versions(left.clone(), server).await?;
            let [.., before, latest] = kept.as_slice() else {
                return Err(Complaint::Usage {
                    what: format!("{left} has one version only"),
                    hint: "name what it is to be compared with".to_owned(),
                });
            };
            (
                format!("{left}:{}", before.version()),
                format!("{left}:{}", latest.version()),
            )
        }
    };
    let (old, new) = (
        value(&left, decrypt, server).await?,
        value(&right, decrypt, server).await?,
    );
    if old == new {
        print::say("no difference");
        return Ok(Exit::Success);
    }
    print::data(&format!("--- {left}\n+++ {right}\n{}", lines(&old, &new)))?;
    Ok(Exit::Success)
}

async fn value(name: &str, decrypt: bool, server: &Server) -> Result<String, Complaint> {
    let request = GetParameterRequest {
        name: Some(name.to_owned()),
        with_decryption: Some(decrypt),
    };
    let answer = server.parameters().get_parameter(request).await;
    let answer = answer.map_err(|status| Complaint::answered("ParameterStore.GetParameter", status))?;
    let parameter: Parameter = answer.into_inner().parameter.unwrap_or_default();
    match parameter.r#type() == ParameterType::SecureString && !decrypt {
        true => Err(Complaint::Usage {
            what: format!("{name} is a SecureString"),
            hint: "--decrypt compares it in clear".to_owned(),
        }),
        false => Ok(parameter.value.unwrap_or_default()),
    }
}

/// The lines of both, those of one alone marked with - or +: as few marks as can be.
fn lines(old: &str, new: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.split('\n').collect(), new.split('\n').collect());
    // How many lines the rests have in common; a value has 8 KiB at most.
    let mut common = vec![vec![0_usize; new.len() + 1]; old.len() + 1];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            common[i][j] = match old[i] == new[j] {
                true => common[i + 1][j + 1] + 1,
                false => common[i + 1][j].max(common[i][j + 1]),
            };
        }
    }
    let mut text = String::new();
    let (mut i, mut j) = (0, 0);
    while i < old.len() || j < new.len() {
        let (mark, line) = if i < old.len() && j < new.len() && old[i] == new[j] {
            (i, j) = (i + 1, j + 1);
            (' ', old[i - 1])
        } else if j >= new.len() || (i < old.len() && common[i + 1][j] >= common[i][j + 1]) {
            i += 1;
            ('-', old[i - 1])
        } else {
            j += 1;
            ('+', new[j - 1])
        };
        text.push_str(&format!("{mark}{}\n", print::harmless(line)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_both_have_stay_together() {
        assert_eq!(lines("a\nb\nc", "a\nx\nc\nd"), " a\n-b\n+x\n c\n+d\n");
        assert_eq!(lines("one", "two"), "-one\n+two\n");
        assert_eq!(lines("", "a\nb"), "-\n+a\n+b\n");
        assert_eq!(lines("a\nb", "b"), "-a\n b\n");
    }
}
