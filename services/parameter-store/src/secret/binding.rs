//! What an encrypted value is bound to: a version of a parameter of an account in a region, and its type.

use muster_proto::Word;
use muster_proto::parameterstore::v1::ParameterType;

use crate::domain::scope::Scope;

const MAGIC: &str = "muster-ps/1";

/// The place of an encrypted value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Binding<'a> {
    pub(crate) scope: &'a Scope,
    /// With a slash in front.
    pub(crate) path: &'a str,
    pub(crate) version: i64,
    pub(crate) kind: ParameterType,
}

impl Binding<'_> {
    /// The bytes that are authenticated with the value and with its wrapped key.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let version = self.version.to_string();
        let parts = [
            self.scope.partition.as_str(),
            &self.scope.account,
            &self.scope.region,
            self.path,
            &version,
            self.kind.word(),
        ];
        let mut bytes = MAGIC.as_bytes().to_vec();
        for part in parts {
            // None of them is longer than a name.
            bytes.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
            bytes.extend_from_slice(part.as_bytes());
        }
        bytes
    }

    /// The parameter's ARN, which providers that keep keys elsewhere are told.
    pub(crate) fn arn(&self) -> String {
        self.scope.arn(self.path)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::name::tests::scope;

    proptest! {
        #[test]
        fn two_places_never_have_the_same_bytes(a in "/[a-z1]{0,6}", b in "/[a-z1]{0,6}", m in 1_i64..200, n in 1_i64..200) {
            let scope = scope();
            let bytes = |path: &str, version| {
                Binding { scope: &scope, path, version, kind: ParameterType::SecureString }.bytes()
            };
            prop_assert_eq!(bytes(&a, m) == bytes(&b, n), (&a, m) == (&b, n));
        }
    }
}
