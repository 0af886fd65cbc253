//! `muster parameters history` and `label`.

use muster_proto::Word as _;
use muster_proto::parameterstore::v1::{
    GetParameterHistoryRequest, GetParameterHistoryResult, LabelParameterVersionRequest, ParameterHistory,
    UnlabelParameterVersionRequest,
};

use crate::complaint::Complaint;
use crate::exit::Exit;
use crate::server::Server;
use crate::table::Table;
use crate::{print, shape};

pub(super) async fn run(name: String, json: bool, server: &Server) -> Result<Exit, Complaint> {
    let versions = versions(name, server).await?;
    if json {
        let result = GetParameterHistoryResult {
            parameters: versions,
            next_token: None,
        };
        let name = "muster.parameterstore.v1.GetParameterHistoryResult";
        print::data(&shape::pretty(&shape::json(name, &result)))?;
    } else {
        print::data(&table(&versions))?;
    }
    Ok(Exit::Success)
}

/// All versions of a parameter, oldest first.
pub(super) async fn versions(name: String, server: &Server) -> Result<Vec<ParameterHistory>, Complaint> {
    let mut request = GetParameterHistoryRequest {
        name: Some(name),
        with_decryption: Some(false),
        max_results: Some(50),
        next_token: None,
    };
    let mut versions = Vec::new();
    loop {
        let answer = server.parameters().get_parameter_history(request.clone()).await;
        let page = answer
            .map_err(|status| Complaint::answered("ParameterStore.GetParameterHistory", status))?
            .into_inner();
        versions.extend(page.parameters);
        request.next_token = page.next_token;
        if request.next_token.is_none() {
            return Ok(versions);
        }
    }
}

fn table(versions: &[ParameterHistory]) -> String {
    let mut table = Table::new(&["VERSION", "TYPE", "TIER", "MODIFIED", "BY", "LABELS"]);
    for version in versions {
        table.row([
            version.version().to_string(),
            version.r#type().word().to_owned(),
            version.tier().word().to_owned(),
            shape::time(version.last_modified_date.as_ref()),
            version.last_modified_user().to_owned(),
            version.labels.join(","),
        ]);
    }
    table.text()
}

pub(super) async fn label(
    name: String,
    labels: Vec<String>,
    version: Option<i64>,
    remove: bool,
    server: &Server,
) -> Result<Exit, Complaint> {
    let (bad, why) = match remove {
        true => {
            let request = UnlabelParameterVersionRequest {
                name: Some(name),
                parameter_version: version,
                labels,
            };
            let answer = server.parameters().unlabel_parameter_version(request).await;
            let answer =
                answer.map_err(|status| Complaint::answered("ParameterStore.UnlabelParameterVersion", status))?;
            (answer.into_inner().invalid_labels, "is not on that version")
        }
        false => {
            let request = LabelParameterVersionRequest {
                name: Some(name.clone()),
                parameter_version: version,
                labels,
            };
            let answer = server.parameters().label_parameter_version(request).await;
            let answer =
                answer.map_err(|status| Complaint::answered("ParameterStore.LabelParameterVersion", status))?;
            let answer = answer.into_inner();
            print::say(&format!("{name} version {}", answer.parameter_version()));
            let why = "is no label: letters, digits and ._- are, and it may not begin with a digit, aws or ssm";
            (answer.invalid_labels, why)
        }
    };
    for label in &bad {
        print::say(&format!("{} {why}", print::harmless(label)));
    }
    Ok(if bad.is_empty() { Exit::Success } else { Exit::Failed })
}
