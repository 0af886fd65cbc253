//! A certificate authority of our own and the server's certificate.

use std::net::IpAddr;
use std::path::PathBuf;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use time::{Duration, OffsetDateTime};

use super::folder::{TrustError, TrustFolder};
use super::now;

/// Ten years: whoever trusts it must be told of a new one by hand.
const AUTHORITY_DAYS: i64 = 3650;
/// What clients take at most.
const SERVER_DAYS: i64 = 820;

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CertificateError {
    #[error("{0:?} is no name or address of a server")]
    Host(String),
    #[error("{0:?} is no name for a caller: letters, digits, '-', '_', '.' and '@' are")]
    Name(String),
    #[error("the certificate cannot be made")]
    Make(#[from] rcgen::Error),
}

/// Makes what is missing of the authority and the server's certificate. Gives what it wrote.
pub(crate) fn renew(folder: &TrustFolder, hosts: &[String]) -> Result<Vec<&'static str>, TrustError> {
    let mut written = Vec::new();
    let key = authority_of(folder, &mut written)?;
    let (server_file, server_key_file) = (folder.tls("server.pem"), folder.tls("server.key"));
    if !server_file.exists() || !server_key_file.exists() {
        let server_key = KeyPair::generate().map_err(CertificateError::from)?;
        let issuer = Issuer::new(authority(), &key);
        let certificate = server(hosts)?
            .signed_by(&server_key, &issuer)
            .map_err(CertificateError::from)?;
        // The certificate comes last: with it the pair is whole.
        folder.write(&server_key_file, server_key.serialize_pem().as_bytes())?;
        folder.write(&server_file, certificate.pem().as_bytes())?;
        written.push("tls/server.pem");
    }
    Ok(written)
}

/// Makes a certificate: of a server with these names and addresses, or of a caller if there are none. Gives the files of
/// the certificate and of its key.
pub(crate) fn issue(folder: &TrustFolder, name: &str, hosts: &[String]) -> Result<[PathBuf; 2], TrustError> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.@".contains(&byte);
    if name.is_empty() || name.starts_with('.') || !name.bytes().all(is_plain) {
        return Err(CertificateError::Name(name.to_owned()).into());
    }
    let mut params = server(hosts)?;
    params.distinguished_name = named(name);
    if hosts.is_empty() {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    }
    let issuer = Issuer::new(authority(), authority_of(folder, &mut Vec::new())?);
    let key = KeyPair::generate().map_err(CertificateError::from)?;
    let certificate = params.signed_by(&key, &issuer).map_err(CertificateError::from)?;
    let files = ["pem", "key"].map(|ending| folder.tls("issued").join(format!("{name}.{ending}")));
    folder.write(&files[1], key.serialize_pem().as_bytes())?;
    folder.write(&files[0], certificate.pem().as_bytes())?;
    Ok(files)
}

/// The key of the authority, made with its certificate if it is not there yet.
fn authority_of(folder: &TrustFolder, written: &mut Vec<&'static str>) -> Result<KeyPair, TrustError> {
    let key_file = folder.tls("ca.key");
    let key = match folder.read_secret(&key_file)? {
        Some(text) => KeyPair::from_pem(&text).map_err(CertificateError::from)?,
        None => {
            let key = KeyPair::generate().map_err(CertificateError::from)?;
            folder.write(&key_file, key.serialize_pem().as_bytes())?;
            written.push("tls/ca.key");
            key
        }
    };
    let authority_file = folder.tls("ca.pem");
    if !authority_file.exists() {
        let certificate = authority().self_signed(&key).map_err(CertificateError::from)?;
        folder.write(&authority_file, certificate.pem().as_bytes())?;
        written.push("tls/ca.pem");
    }
    Ok(key)
}

/// The authority is its name and its key, so that what it signs later fits the certificate that was given out.
fn authority() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = named("Muster certificate authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    live(&mut params, AUTHORITY_DAYS);
    params
}

fn server(hosts: &[String]) -> Result<CertificateParams, CertificateError> {
    for host in hosts {
        let is_name = host.split('.').all(|label| {
            !label.is_empty()
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        });
        if host.parse::<IpAddr>().is_err() && !is_name {
            return Err(CertificateError::Host(host.clone()));
        }
    }
    let mut params = CertificateParams::new(hosts.to_vec())?;
    params.distinguished_name = named("Muster NATS server");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    live(&mut params, SERVER_DAYS);
    Ok(params)
}

fn named(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}

fn live(params: &mut CertificateParams, days: i64) {
    let now = OffsetDateTime::from_unix_timestamp(now()).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    // Clocks of machines differ.
    params.not_before = now - Duration::days(1);
    params.not_after = now + Duration::days(days);
}
