//! `muster parameters ls` and `rm`.

use muster_proto::Word as _;
use muster_proto::parameterstore::v1::{
    DeleteParametersRequest, DescribeParametersRequest, DescribeParametersResult, ParameterMetadata,
    ParameterStringFilter,
};

use crate::complaint::Complaint;
use crate::exit::Exit;
use crate::pair::{self, Choice};
use crate::server::Server;
use crate::table::Table;
use crate::{print, shape};

/// Parameters that one call deletes.
const AT_ONCE: usize = 10;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Only what is directly below this path.
    path: Option<String>,
    /// Everything below it.
    #[arg(long, short, requires = "path")]
    recursive: bool,
    /// Only parameters that match: Type=SecureString, tag:Env=prod; may be repeated.
    #[arg(long = "filter", value_name = "KEY=VALUE[,VALUE…]", value_parser = pair::choice)]
    filters: Vec<Choice>,
    /// Print the public API's JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(arguments: Arguments, server: &Server) -> Result<Exit, Complaint> {
    let mut filters: Vec<ParameterStringFilter> = Vec::new();
    filters.extend(arguments.path.as_deref().map(|path| below(path, arguments.recursive)));
    filters.extend(arguments.filters.into_iter().map(|filter| ParameterStringFilter {
        key: Some(filter.key),
        option: None,
        values: filter.values,
    }));
    let parameters = described(filters, server).await?;
    if arguments.json {
        let result = DescribeParametersResult {
            parameters,
            next_token: None,
        };
        let name = "muster.parameterstore.v1.DescribeParametersResult";
        print::data(&shape::pretty(&shape::json(name, &result)))?;
    } else if parameters.is_empty() {
        print::say("no parameters");
    } else {
        print::data(&table(&parameters))?;
    }
    Ok(Exit::Success)
}

/// A filter for what is below a path.
pub(super) fn below(path: &str, recursive: bool) -> ParameterStringFilter {
    ParameterStringFilter {
        key: Some("Path".to_owned()),
        option: Some(if recursive { "Recursive" } else { "OneLevel" }.to_owned()),
        values: vec![path.to_owned()],
    }
}

/// All parameters that the filters leave, without their values.
pub(super) async fn described(
    filters: Vec<ParameterStringFilter>,
    server: &Server,
) -> Result<Vec<ParameterMetadata>, Complaint> {
    let mut request = DescribeParametersRequest {
        parameter_filters: filters,
        max_results: Some(50),
        ..DescribeParametersRequest::default()
    };
    let mut parameters = Vec::new();
    loop {
        let answer = server.parameters().describe_parameters(request.clone()).await;
        let page = answer
            .map_err(|status| Complaint::answered("ParameterStore.DescribeParameters", status))?
            .into_inner();
        parameters.extend(page.parameters);
        request.next_token = page.next_token;
        if request.next_token.is_none() {
            return Ok(parameters);
        }
    }
}

fn table(parameters: &[ParameterMetadata]) -> String {
    let mut table = Table::new(&["NAME", "TYPE", "VERSION", "TIER", "MODIFIED", "DESCRIPTION"]);
    for parameter in parameters {
        table.row([
            parameter.name().to_owned(),
            parameter.r#type().word().to_owned(),
            parameter.version().to_string(),
            parameter.tier().word().to_owned(),
            shape::time(parameter.last_modified_date.as_ref()),
            parameter.description().to_owned(),
        ]);
    }
    table.text()
}

pub(super) async fn remove(names: Vec<String>, server: &Server) -> Result<Exit, Complaint> {
    let mut missing = Vec::new();
    for names in names.chunks(AT_ONCE) {
        let request = DeleteParametersRequest { names: names.to_vec() };
        let answer = server.parameters().delete_parameters(request).await;
        let answer = answer
            .map_err(|status| Complaint::answered("ParameterStore.DeleteParameters", status))?
            .into_inner();
        missing.extend(answer.invalid_parameters);
    }
    for name in &missing {
        print::say(&format!("there is no parameter {name}"));
    }
    Ok(if missing.is_empty() {
        Exit::Success
    } else {
        Exit::Failed
    })
}

#[cfg(test)]
mod tests {
    use muster_proto::parameterstore::v1::{ParameterTier, ParameterType};

    use super::*;

    #[test]
    fn the_list_shows_what_a_parameter_is_and_no_value() {
        let mut parameter = ParameterMetadata {
            name: Some("/app/db/password".to_owned()),
            version: Some(3),
            ..ParameterMetadata::default()
        };
        parameter.set_type(ParameterType::SecureString);
        parameter.set_tier(ParameterTier::Standard);
        let expected = "\
NAME              TYPE          VERSION  TIER      MODIFIED  DESCRIPTION
/app/db/password  SecureString  3        Standard  -         -
";
        assert_eq!(table(&[parameter]), expected);
    }
}
