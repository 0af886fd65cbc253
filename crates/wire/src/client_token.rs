//! A caller's own name for a request: the same token of the same caller is the same request.

use tonic::Request;

use crate::Refusal;

/// A token that can be used: 1 to 64 printable characters of ASCII.
///
/// Callers on gRPC and NATS give it as metadata or as a header; the gateway makes one of `amz-sdk-invocation-id`
/// (aws-json-gateway 2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientToken(String);

impl ClientToken {
    /// The metadata, and the header on the bus.
    pub const HEADER: &'static str = "muster-client-token";

    /// The token of a request; `None` if its caller gave none.
    ///
    /// # Errors
    /// If it is no token.
    pub fn of<T>(request: &Request<T>) -> Result<Option<Self>, Refusal> {
        let given = request.metadata().get(Self::HEADER);
        given
            .map(|value| Self::read(value.to_str().unwrap_or_default()))
            .transpose()
    }

    /// Reads a token.
    ///
    /// # Errors
    /// If it is none.
    pub fn read(text: &str) -> Result<Self, Refusal> {
        let fits = (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        match fits {
            true => Ok(Self(text.to_owned())),
            false => {
                let message = format!("{} must be 1 to 64 printable characters without blanks", Self::HEADER);
                Err(Refusal::validation(message))
            }
        }
    }

    /// As its caller wrote it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_short_and_printable() {
        assert!(ClientToken::read("deploy-17").is_ok() && ClientToken::read(&"x".repeat(64)).is_ok());
        for bad in ["", "with blank", "ünicode", &"x".repeat(65)] {
            assert!(ClientToken::read(bad).is_err(), "{bad}");
        }
    }
}
