//! What must hold whatever bytes come from outside: one module for each place where they do.
//!
//! Each module has a `run`, which takes any bytes and panics if something does not hold. `make fuzz` calls it with what
//! libFuzzer finds (`fuzz/`), guided by the code that is reached; `tests/short.rs` with what was recorded, spoilt at
//! random, in every `make test`.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a panic is a finding"
)]

mod clock;
pub mod dhcp4_client;
pub mod dhcp4_decode;
pub mod dhcp4_differential;
pub mod dhcp6_client;
pub mod dhcp6_decode;
pub mod frame_decode;
pub mod ipv6_client;
pub mod nd_decode;
pub mod plugin_body;
pub mod recorded;
pub mod store_record;

// The daemon is a binary crate, so what of it reads bytes is taken in here file by file.

#[allow(dead_code, unused_imports, reason = "the daemon uses the rest")]
#[path = "../../landfall/src/engine"]
mod engine {
    pub(crate) mod api;
    mod applied;
    pub(crate) mod endpoint_options;
    mod identity;
    pub(crate) mod ids;
    mod mode;
    pub(crate) mod options;
    pub(crate) mod pool;
    mod vlan;
}

#[allow(dead_code, unused_imports, reason = "the daemon uses the rest")]
#[path = "../../landfall/src/docker"]
mod docker {
    use std::fmt::Debug;

    use serde::Serialize;
    use serde::de::DeserializeOwned;
    use serde_json::Value;

    mod answer;
    mod body;
    mod fields;
    mod ipam_request;
    mod request;
    mod containers {
        mod fingerprint;
        pub(crate) use fingerprint::Fingerprint;
    }

    use crate::engine::api::{AddressRequest, JoinRequest, NewEndpoint, NewNetwork, PoolRequest};
    use crate::engine::endpoint_options::EndpointOptions;
    use crate::engine::ids::NetworkId;
    use crate::engine::options::Options;
    use crate::engine::pool::{PoolId, Wish};

    /// The argument of a call that `T` is, or why it is none: a reason that one line holds.
    fn read<T: body::FromFields>(body: &Value) -> Option<T> {
        let fields = fields::Fields::of_body(body);
        match fields.and_then(|fields| T::from_fields(&fields)) {
            Ok(argument) => Some(argument),
            Err(answer::Failure::Refused(reason) | answer::Failure::Malformed(reason)) => {
                assert!(!reason.is_empty() && !reason.contains('\n'), "{reason:?}");
                None
            }
            Err(other) => panic!("{other:?}"),
        }
    }

    /// Reads a body as each call would. What the options of a network or endpoint are, is written and read again.
    pub(crate) fn read_all(body: &Value) {
        read::<NetworkId>(body);
        read::<request::EndpointRef>(body);
        if let Some((new, _)) = read::<(NewEndpoint, containers::Fingerprint)>(body)
            && let Ok(options) =
                EndpointOptions::parse(&new.options, new.interface.as_deref(), true)
        {
            stored_and_read(options);
        }
        if let Some(join) = read::<JoinRequest>(body) {
            assert!(join.sandbox.is_absolute());
        }
        if let Some(request) = read::<PoolRequest>(body) {
            let _ = Wish::parse(&request.options);
        }
        if let Some(request) = read::<AddressRequest>(body) {
            let text = request.pool.to_string();
            assert_eq!(text.parse::<PoolId>().ok(), Some(request.pool));
        }
        read::<ipam_request::Released>(body);
        if let Some(network) = read::<NewNetwork>(body)
            && let Ok(options) = Options::parse(&network.options)
        {
            stored_and_read(options);
        }
    }

    fn stored_and_read<T: Serialize + DeserializeOwned + PartialEq + Debug>(options: T) {
        let stored = serde_json::to_string(&options).expect("options are text");
        assert_eq!(serde_json::from_str::<T>(&stored).ok(), Some(options));
    }
}

#[allow(dead_code, reason = "the daemon uses the rest")]
#[path = "../../landfall/src/store/record.rs"]
mod record;

#[path = "../../wire/tests/codec/readers.rs"]
mod readers;
