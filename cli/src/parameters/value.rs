//! `muster parameters get` and `put`.

use muster_proto::Word as _;
use muster_proto::aws::v1::Tag;
use muster_proto::parameterstore::v1::{GetParameterRequest, ParameterTier, ParameterType, PutParameterRequest};

use super::{parameter_type, secret, tier};
use crate::complaint::Complaint;
use crate::exit::Exit;
use crate::pair::{self, Pair};
use crate::server::{Server, ServerArguments};
use crate::{print, shape};

#[derive(Debug, clap::Args)]
pub(super) struct PutArguments {
    /// The parameter's name.
    name: String,
    /// The value, if it is no secret. Without --value and --file it is asked for, or read from the standard input.
    #[arg(long, conflicts_with = "file")]
    value: Option<String>,
    /// Read the value from a file; `-` reads the standard input. A line end at its end is left out.
    #[arg(long)]
    file: Option<String>,
    /// String, StringList or SecureString. With --overwrite it can be left out: it stays.
    #[arg(long = "type", value_parser = parameter_type)]
    kind: Option<ParameterType>,
    /// Make a new version if the parameter exists.
    #[arg(long)]
    overwrite: bool,
    /// What it is for.
    #[arg(long)]
    description: Option<String>,
    /// The key that encrypts a SecureString; without it, alias/aws/ssm.
    #[arg(long)]
    key_id: Option<String>,
    /// A regular expression that values must match as a whole; empty: none any more.
    #[arg(long)]
    allowed_pattern: Option<String>,
    /// What the value has to look like: text, integer, url, json, …
    #[arg(long)]
    data_type: Option<String>,
    /// Standard, Advanced or Intelligent-Tiering.
    #[arg(long, value_parser = tier)]
    tier: Option<ParameterTier>,
    /// A file with policies, a JSON array.
    #[arg(long, value_name = "FILE")]
    policies: Option<String>,
    /// A tag of a new parameter; may be repeated.
    #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = pair::pair)]
    tags: Vec<Pair>,
}

pub(super) async fn get(name: String, decrypt: bool, json: bool, server: &Server) -> Result<Exit, Complaint> {
    let request = GetParameterRequest {
        name: Some(name),
        with_decryption: Some(decrypt),
    };
    let answer = server.parameters().get_parameter(request).await;
    let answer = answer
        .map_err(|status| Complaint::answered("ParameterStore.GetParameter", status))?
        .into_inner();
    if json {
        let name = "muster.parameterstore.v1.GetParameterResult";
        print::data(&shape::pretty(&shape::json(name, &answer)))?;
        return Ok(Exit::Success);
    }
    let parameter = answer.parameter.unwrap_or_default();
    if parameter.r#type() == ParameterType::SecureString && !decrypt {
        print::say("the value is encrypted; --decrypt prints it in clear");
    }
    let mut text = parameter.value.unwrap_or_default();
    text.push('\n');
    print::data(&text)?;
    Ok(Exit::Success)
}

pub(super) async fn put(arguments: PutArguments, server: &ServerArguments) -> Result<Exit, Complaint> {
    let policies = arguments.policies.as_deref().map(secret::from_file).transpose()?;
    match given(&arguments)? {
        Some(value) => store(arguments, value, policies, server).await,
        None => {
            let asked = async {
                let value = secret::asked(&arguments.name).await?;
                store(arguments, value, policies, server).await
            };
            secret::unless_broken_off(asked).await
        }
    }
}

async fn store(
    arguments: PutArguments,
    value: String,
    policies: Option<String>,
    server: &ServerArguments,
) -> Result<Exit, Complaint> {
    let tag = |pair: Pair| Tag {
        key: Some(pair.key),
        value: Some(pair.value),
    };
    let request = PutParameterRequest {
        name: Some(arguments.name),
        value: Some(value),
        r#type: arguments.kind.map(Into::into),
        description: arguments.description,
        key_id: arguments.key_id,
        overwrite: Some(arguments.overwrite),
        allowed_pattern: arguments.allowed_pattern,
        tags: arguments.tags.into_iter().map(tag).collect(),
        tier: arguments.tier.map(Into::into),
        policies,
        data_type: arguments.data_type,
    };
    let name = request.name.clone().unwrap_or_default();
    let answer = server.connect().await?.parameters().put_parameter(request).await;
    let made = answer
        .map_err(|status| Complaint::answered("ParameterStore.PutParameter", status))?
        .into_inner();
    print::say(&format!("{name} version {}, {}", made.version(), made.tier().word()));
    Ok(Exit::Success)
}

/// The value; none: the person at the terminal is to be asked.
fn given(arguments: &PutArguments) -> Result<Option<String>, Complaint> {
    // Nobody types a secret for something that cannot be done.
    if arguments.kind.is_none() && !arguments.overwrite {
        return Err(Complaint::Usage {
            what: "a new parameter needs a type".to_owned(),
            hint: "say --type String, StringList or SecureString; for a new version of one that exists, --overwrite"
                .to_owned(),
        });
    }
    match (&arguments.value, &arguments.file) {
        // Without a type it may become a SecureString, if it is one already.
        (Some(_), _) if !matches!(arguments.kind, Some(ParameterType::String | ParameterType::StringList)) => {
            Err(Complaint::Usage {
                what:
                    "a value on the command line is seen by everybody on this machine, so --value is for --type String \
                       and StringList only"
                        .to_owned(),
                hint: "give it with --file, on the standard input, or type it when you are asked".to_owned(),
            })
        }
        (Some(value), _) => Ok(Some(value.clone())),
        (None, Some(file)) => secret::from_file(file).map(Some),
        (None, None) if secret::can_ask() => Ok(None),
        (None, None) => secret::from_file("-").map(Some),
    }
}
