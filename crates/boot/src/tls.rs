//! TLS on a service's own port (aws-json-gateway 8, fleet 9).

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject as _};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use tokio_rustls::rustls::{self, RootCertStore, ServerConfig};

/// The section `[server.tls]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsSettings {
    /// The certificate, and those between it and its authority (PEM); empty: no TLS.
    pub certificate: PathBuf,
    /// Its private key (PEM), for the service alone.
    pub key: PathBuf,
    /// The authority of callers' certificates (PEM): nobody comes in without one. Empty: callers need none.
    pub client_ca: PathBuf,
}

/// TLS that cannot be spoken.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// One of the pair is missing.
    #[error("server.tls.certificate and server.tls.key go together, and server.tls.client_ca needs both")]
    Pair,
    /// The key is no secret.
    #[error("{} can be read by others (mode {mode:o}): chmod 600 it", .path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Callers are to be known by certificates that nobody asks them for.
    #[error(
        "server.authentication = \"certificate\" needs server.tls.client_ca, the authority of callers' certificates"
    )]
    NoClientAuthority,
    /// It cannot be looked at.
    #[error("{} cannot be read", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is not what it should be.
    #[error("{} is not understood: PEM is", .path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: pem::Error,
    },
    /// There is no certificate in it.
    #[error("{} holds no certificate", .0.display())]
    Empty(PathBuf),
    /// Certificate and key do not fit, or one of them is of a kind that is not known.
    #[error("the certificate in {} and its key cannot be used", .path.display())]
    Use {
        /// The certificate's file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustls::Error,
    },
    /// No authority for callers.
    #[error("{} cannot be the authority of callers", .path.display())]
    ClientAuthority {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: VerifierBuilderError,
    },
}

impl TlsSettings {
    /// What a port speaks with these settings; `None`: nothing but clear text.
    ///
    /// # Errors
    /// If a file is missing or cannot be used, or others can read the key.
    pub fn server_config(&self) -> Result<Option<Arc<ServerConfig>>, TlsError> {
        let is_set = |path: &PathBuf| !path.as_os_str().is_empty();
        match (is_set(&self.certificate), is_set(&self.key), is_set(&self.client_ca)) {
            (false, false, false) => return Ok(None),
            (true, true, _) => {}
            _ => return Err(TlsError::Pair),
        }
        for_owner_alone(&self.key)?;
        let chain = certificates(&self.certificate)?;
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(|source| TlsError::Pem {
            path: self.key.clone(),
            source,
        })?;
        let provider = Arc::new(ring::default_provider());
        let unusable = |source| TlsError::Use {
            path: self.certificate.clone(),
            source,
        };
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
        let builder = builder.map_err(unusable)?;
        let builder = match is_set(&self.client_ca) {
            false => builder.with_no_client_auth(),
            true => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates(&self.client_ca)? {
                    roots.add(certificate).map_err(|source| TlsError::Use {
                        path: self.client_ca.clone(),
                        source,
                    })?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                let verifier = verifier.map_err(|source| TlsError::ClientAuthority {
                    path: self.client_ca.clone(),
                    source,
                })?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut config = builder.with_single_cert(chain, key).map_err(unusable)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Some(Arc::new(config)))
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let unread = |source| TlsError::Pem {
        path: path.to_owned(),
        source,
    };
    let all = CertificateDer::pem_file_iter(path).map_err(unread)?;
    let all: Vec<_> = all.collect::<Result<_, _>>().map_err(unread)?;
    match all.is_empty() {
        true => Err(TlsError::Empty(path.to_owned())),
        false => Ok(all),
    }
}

/// Refuses a secret that others can read.
fn for_owner_alone(path: &Path) -> Result<(), TlsError> {
    let facts = std::fs::metadata(path).map_err(|source| TlsError::File {
        path: path.to_owned(),
        source,
    })?;
    let mode = facts.mode() & 0o777;
    match mode & 0o077 {
        0 => Ok(()),
        _ => Err(TlsError::Open {
            path: path.to_owned(),
            mode,
        }),
    }
}
