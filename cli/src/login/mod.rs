//! `muster login`: a temporary access key for who can show a token of an identity provider (aws-json-gateway 6).

mod device;
mod exchange;
mod profile;

use std::path::PathBuf;
use std::time::Duration;

use crate::complaint::Complaint;
use crate::exit::Exit;
use crate::print;

use exchange::{Credentials, Wanted};

/// How long one question over HTTP may take.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Longest answer that is read, in bytes.
const LONGEST: usize = 512 * 1024;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The identity provider, as access knows it: its page asks you who you are, and you confirm a code there.
    #[arg(
        long,
        value_name = "URL",
        env = "MUSTER_OIDC_ISSUER",
        required_unless_present = "token_file"
    )]
    issuer: Option<String>,
    /// Muster's client id at the identity provider.
    #[arg(
        long,
        value_name = "ID",
        env = "MUSTER_OIDC_CLIENT_ID",
        required_unless_present = "token_file"
    )]
    client_id: Option<String>,
    /// What else to ask the identity provider for, besides openid, for the claim that names you.
    #[arg(long, value_name = "SCOPES", default_value = "profile email")]
    scope: String,
    /// A file with a token (JWT) that you have already, `-` for the standard input: for jobs, which have no browser.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The gateway.
    #[arg(
        long,
        value_name = "URL",
        env = "AWS_ENDPOINT_URL_STS",
        default_value = "http://127.0.0.1:8686"
    )]
    gateway: String,
    /// The authority of the certificates of the gateway and the identity provider (PEM), if this machine does not know it.
    #[arg(long, value_name = "FILE", env = "AWS_CA_BUNDLE")]
    ca: Option<PathBuf>,
    /// Act in this role, by its ARN; you need to be allowed sts:AssumeRole. Without: as your user.
    #[arg(long, value_name = "ARN")]
    role: Option<String>,
    /// How the session in the role is called.
    #[arg(long, value_name = "NAME", default_value = "muster-login")]
    session_name: String,
    /// How long the access key is good, in seconds: 900 to 43200.
    #[arg(long, value_name = "SECONDS", default_value_t = 3_600, value_parser = clap::value_parser!(u32).range(900..=43_200))]
    duration: u32,
    /// Write it into this profile of the AWS credentials file instead of printing it.
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
}

pub(crate) async fn run(arguments: Arguments) -> Result<Exit, Complaint> {
    let Arguments {
        issuer,
        client_id,
        scope,
        token_file,
        gateway,
        ca,
        role,
        session_name,
        duration,
        profile,
    } = arguments;
    if let Some(profile) = &profile {
        profile::check(profile)?;
    }
    let http = client(ca.as_deref())?;
    let token = match (token_file, issuer, client_id) {
        (Some(file), _, _) => read_token(&file)?,
        (None, Some(issuer), Some(client_id)) => device::token(&http, &issuer, &client_id, &scope).await?,
        (None, _, _) => {
            return Err(Complaint::Usage {
                what: "nobody says who you are".to_owned(),
                hint: "give --issuer and --client-id, or --token-file".to_owned(),
            });
        }
    };
    let wanted = Wanted {
        token: &token,
        session_name: role.is_some().then_some(session_name.as_str()),
        role: role.as_deref(),
        seconds: duration,
    };
    let made = exchange::exchange(&http, &gateway, wanted).await?;
    match profile {
        Some(profile) => {
            let path = profile::write(&profile, &made)?;
            print::say(&format!("profile {profile} in {}", path.display()));
        }
        None => print::data(&profile::text("default", &made))?,
    }
    let Credentials { principal, until, .. } = &made;
    print::say(&format!("{principal} until {until}"));
    Ok(Exit::Success)
}

fn read_token(file: &std::path::Path) -> Result<String, Complaint> {
    let failed = |path: String| move |source| Complaint::Read { path, source };
    let text = match file.to_str() {
        Some("-") => std::io::read_to_string(std::io::stdin()).map_err(failed("the standard input".to_owned()))?,
        _ => std::fs::read_to_string(file).map_err(failed(file.display().to_string()))?,
    };
    Ok(text.trim().to_owned())
}

fn client(ca: Option<&std::path::Path>) -> Result<reqwest::Client, Complaint> {
    let mut builder = reqwest::Client::builder()
        .timeout(TIMEOUT)
        .redirect(reqwest::redirect::Policy::none());
    if let Some(file) = ca {
        let pem = std::fs::read(file).map_err(|source| Complaint::Read {
            path: file.display().to_string(),
            source,
        })?;
        for certificate in
            reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| away("the certificates", error))?
        {
            builder = builder.add_root_certificate(certificate);
        }
    }
    builder.build().map_err(|error| away("a client", error))
}

/// Something on the way that is not there or does not do what it should.
fn away(what: impl Into<String>, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Complaint {
    Complaint::Local {
        what: format!("{} cannot be used", what.into()),
        source: error.into(),
    }
}

/// The body of an answer.
async fn body(mut answer: reqwest::Response, place: &str) -> Result<Vec<u8>, Complaint> {
    let mut whole = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(|error| away(place, error))? {
        whole.extend_from_slice(&piece);
        if whole.len() > LONGEST {
            return Err(away(place, "its answer is too long"));
        }
    }
    Ok(whole)
}
