//! The body of a plugin call: whatever Docker, or somebody else, writes into it.
//!
//! The daemon is a binary crate, so what reads a body is taken in here file by file.

#![no_main]
#![allow(dead_code, unused_imports, reason = "the daemon uses the rest")]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/landfall/src/engine"]
mod engine {
    pub(crate) mod api;
    pub(crate) mod ids;
    pub(crate) mod options;
}

#[path = "../../crates/landfall/src/docker"]
mod docker {
    use serde_json::Value;

    use crate::engine::api::{JoinRequest, NewEndpoint, NewNetwork};
    use crate::engine::ids::NetworkId;
    use crate::engine::options::Options;

    mod answer;
    mod body;
    mod fields;
    mod request;
    mod containers {
        mod fingerprint;
        pub(super) use fingerprint::Fingerprint;
    }

    use answer::Failure;
    use body::FromFields;
    use fields::Fields;

    /// The argument that `T` is, or why it is none: a reason that one line holds.
    fn read<T: FromFields>(body: &Value) -> Option<T> {
        match Fields::of_body(body).and_then(|fields| T::from_fields(&fields)) {
            Ok(argument) => Some(argument),
            Err(Failure::Refused(reason) | Failure::Malformed(reason)) => {
                assert!(!reason.is_empty() && !reason.contains('\n'), "{reason:?}");
                None
            }
            Err(other) => panic!("{other:?}"),
        }
    }

    pub(crate) fn read_all(body: &Value) {
        read::<NetworkId>(body);
        read::<request::EndpointRef>(body);
        read::<(NewEndpoint, containers::Fingerprint)>(body);
        if let Some(join) = read::<JoinRequest>(body) {
            assert!(join.sandbox.is_absolute());
        }
        if let Some(network) = read::<NewNetwork>(body)
            && let Ok(options) = Options::parse(&network.options)
        {
            let stored = serde_json::to_string(&options).expect("options are text");
            assert_eq!(serde_json::from_str::<Options>(&stored).ok(), Some(options));
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    if let Ok(body) = serde_json::from_slice(bytes) {
        docker::read_all(&body);
    }
});
