//! Names that a front door gives to networks and endpoints.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The text cannot be the identifier of a network or an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no identifier: 1 to 128 letters, digits, '-', '_' or '.' are")]
pub(crate) struct InvalidId(String);

fn checked(text: &str) -> Result<Arc<str>, InvalidId> {
    let fits = (1..=128).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    if fits { Ok(text.into()) } else { Err(InvalidId(text.chars().take(40).collect())) }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub(crate) struct $name(Arc<str>);

        impl $name {
            /// Takes 1 to 128 letters, digits, `-`, `_` or `.`.
            pub(crate) fn new(text: &str) -> Result<Self, InvalidId> {
                checked(text).map(Self)
            }

            /// The whole identifier.
            pub(crate) fn as_str(&self) -> &str {
                &self.0
            }

            /// The first twelve characters, as Docker shows an identifier to people.
            pub(crate) fn short(&self) -> &str {
                self.0.get(..12).unwrap_or(&self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.short())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, InvalidId> {
                Self::new(&text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.as_str().to_owned()
            }
        }
    };
}

id! {
    /// The identifier of a network.
    NetworkId
}
id! {
    /// The identifier of an endpoint.
    EndpointId
}

impl EndpointId {
    /// Of one that a runtime has not given a name yet; `digits` are random and hexadecimal.
    pub(crate) fn ahead(digits: &str) -> EndpointId {
        EndpointId(format!("{digits}-ahead").into())
    }
}

/// Who asks on a network's behalf.
impl From<&NetworkId> for EndpointId {
    fn from(network: &NetworkId) -> EndpointId {
        EndpointId(network.0.clone())
    }
}
