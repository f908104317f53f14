//! Whatever comes in gets a 4xx or a 200, and the driver goes on.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::fake::{Does, Fake};
use super::{Reply, Served, engine_28};

const CALLS: [&str; 21] = [
    "Plugin.Activate",
    "NetworkDriver.GetCapabilities",
    "NetworkDriver.AllocateNetwork",
    "NetworkDriver.FreeNetwork",
    "NetworkDriver.CreateNetwork",
    "NetworkDriver.DeleteNetwork",
    "NetworkDriver.CreateEndpoint",
    "NetworkDriver.EndpointOperInfo",
    "NetworkDriver.DeleteEndpoint",
    "NetworkDriver.Join",
    "NetworkDriver.Leave",
    "NetworkDriver.ProgramExternalConnectivity",
    "NetworkDriver.RevokeExternalConnectivity",
    "NetworkDriver.DiscoverNew",
    "NetworkDriver.DiscoverDelete",
    "IpamDriver.GetCapabilities",
    "IpamDriver.GetDefaultAddressSpaces",
    "IpamDriver.RequestPool",
    "IpamDriver.ReleasePool",
    "IpamDriver.RequestAddress",
    "IpamDriver.ReleaseAddress",
];

async fn still_lives(served: &Served) {
    let reply = served.call("Plugin.Activate", "").await;
    assert_eq!(reply.status, 200);
}

#[tokio::test]
async fn garbage_is_a_bad_request_for_every_call() {
    let served = Served::new(Fake::new(Does::Answer));
    for call in CALLS {
        for body in [&b"\xff\xfe\0"[..], b"{", b"{}}", b"hello", b"{\"a\":1,}", b"[]", b"7"] {
            let reply = served.connect().await.exchange(&engine_28(call, body)).await;
            assert_eq!(reply.status, 400, "{call} {body:?} {reply:?}");
            assert!(reply.error().starts_with("bad request: the body "), "{reply:?}");
        }
    }
    still_lives(&served).await;
}

/// A call without its argument, as an engine sends it that tries once more with a body already
/// used up, is not taken for one about a network without a name.
#[tokio::test]
async fn a_missing_argument_is_named() {
    let fake = Fake::new(Does::Answer);
    let served = Served::new(fake.clone());
    for (call, body, missing) in [
        ("CreateNetwork", "", "NetworkID"),
        ("DeleteNetwork", "null", "NetworkID"),
        ("CreateEndpoint", "", "NetworkID"),
        ("CreateEndpoint", r#"{"NetworkID":"n"}"#, "EndpointID"),
        ("Leave", r#"{"NetworkID":"n","EndpointID":""}"#, "EndpointID"),
        ("Join", r#"{"EndpointID":"e"}"#, "NetworkID"),
        ("EndpointOperInfo", "{}", "NetworkID"),
    ] {
        let reply = served.call(&format!("NetworkDriver.{call}"), body).await;
        assert_eq!(reply.status, 400);
        assert_eq!(reply.error(), format!("bad request: {missing} is missing"));
    }
    assert_eq!(fake.asked(), [""; 0]);
}

#[tokio::test]
async fn wrong_types_are_named() {
    let served = Served::new(Fake::new(Does::Answer));
    let ids = |more: Value| {
        let mut body = json!({"NetworkID": "n", "EndpointID": "e"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    for (call, body, error) in [
        ("Leave", json!({"NetworkID": 7}), "NetworkID must be a string, and is a number"),
        (
            "Leave",
            json!({"NetworkID": "../../etc"}),
            "NetworkID: \"../../etc\" is no identifier: 1 to 128 letters, digits, '-', '_' or '.' are",
        ),
        (
            "CreateEndpoint",
            ids(json!({"Interface": []})),
            "Interface must be an object, and is a list",
        ),
        (
            "CreateEndpoint",
            ids(json!({"Interface": {"Address": false}})),
            "Interface.Address must be a string, and is a boolean",
        ),
        (
            "CreateEndpoint",
            ids(json!({"Interface": {"MacAddress": "nonsense"}})),
            "Interface.MacAddress: \"nonsense\" is not a MAC address such as 02:00:00:00:00:42",
        ),
        (
            "CreateNetwork",
            ids(json!({"Options": "x"})),
            "Options must be an object, and is a string",
        ),
        (
            "CreateNetwork",
            ids(json!({"Options": {"com.docker.network.generic": []}})),
            "option \"com.docker.network.generic\" must be an object, and is a list",
        ),
        (
            "CreateNetwork",
            ids(json!({"Options": {"com.docker.network.generic": {"bridge": ["br0"]}}})),
            "option \"bridge\" must be a string, and is a list",
        ),
        (
            "CreateNetwork",
            ids(json!({"Options": {"com.docker.network.internal": "maybe"}})),
            "option \"com.docker.network.internal\" must be a boolean, and is a string",
        ),
        (
            "CreateNetwork",
            ids(json!({"IPv4Data": {}})),
            "IPv4Data must be a list, and is an object",
        ),
        (
            "CreateNetwork",
            ids(json!({"IPv4Data": ["x"]})),
            "IPv4Data must be a list of objects, and is a string",
        ),
        (
            "CreateNetwork",
            ids(json!({"IPv6Data": [{"Pool": 6}]})),
            "IPv6Data.Pool must be a string, and is a number",
        ),
    ] {
        let reply = served.call(&format!("NetworkDriver.{call}"), &body.to_string()).await;
        assert_eq!((reply.status, reply.error()), (400, format!("bad request: {error}")));
    }
}

#[tokio::test]
async fn bodies_end_at_one_mebibyte() {
    let served = Served::new(Fake::new(Does::Answer));
    let padded = |size: usize| {
        let mut body = br#"{"NetworkID":"n1"}"#.to_vec();
        body.resize(size, b' ');
        engine_28("NetworkDriver.DeleteNetwork", &body)
    };
    assert_eq!(served.connect().await.exchange(&padded(1 << 20)).await.status, 200);
    let reply = served.connect().await.exchange(&padded((1 << 20) + 1)).await;
    assert_eq!(reply.status, 413);
    assert!(reply.error().contains("1048576 bytes"), "{reply:?}");
    still_lives(&served).await;
}

/// It is refused for what it says of itself: nobody waits for four gigabytes.
#[tokio::test]
async fn an_announced_flood_is_refused_at_once() {
    let served = Served::new(Fake::new(Does::Answer));
    let head = "POST /NetworkDriver.Join HTTP/1.1\r\nHost: x\r\nContent-Length: 4294967296\r\n\r\n";
    let reply = served.connect().await.exchange(head.as_bytes()).await;
    assert_eq!(reply.status, 413);
}

#[tokio::test]
async fn an_endless_body_is_cut_off() {
    let served = Served::new(Fake::new(Does::Answer));
    let mut connection = served.connect().await;
    let head = "POST /NetworkDriver.Join HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    connection.send(head.as_bytes()).await;
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    for _ in 0..17 {
        connection.send(chunk.as_bytes()).await;
    }
    assert_eq!(connection.reply().await.unwrap().status, 413);
}

#[tokio::test]
async fn deep_nesting_is_a_bad_request() {
    let served = Served::new(Fake::new(Does::Answer));
    let body = "[".repeat(1 << 19);
    assert_eq!(served.call("NetworkDriver.Join", &body).await.status, 400);
    let body = "{\"Interface\":".repeat(1 << 15);
    assert_eq!(served.call("NetworkDriver.CreateEndpoint", &body).await.status, 400);
    still_lives(&served).await;
}

/// The caller is gone in the middle of its body: the engine is not asked for half a request.
#[tokio::test]
async fn a_truncated_body_is_no_call() {
    let fake = Fake::new(Does::Answer);
    let served = Served::new(fake.clone());
    let whole = engine_28("NetworkDriver.DeleteNetwork", br#"{"NetworkID":"n1"}"#);
    for length in 1..whole.len() {
        let mut connection = served.connect().await;
        connection.send(&whole[..length]).await;
    }
    still_lives(&served).await;
    assert_eq!(fake.asked(), [""; 0]);
}

#[tokio::test]
async fn what_is_no_http_is_no_call() {
    let served = Served::new(Fake::new(Does::Answer));
    for bytes in
        [&b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03"[..], b"\0\0\0\0\r\n\r\n", b"x y\r\n\r\n"]
    {
        let mut connection = served.connect().await;
        connection.send(bytes).await;
        if let Some(reply) = {
            // Half of a request is waited for, as it should be; this is all there is.
            tokio::io::AsyncWriteExt::shutdown(&mut connection.0).await.unwrap();
            connection.reply().await
        } {
            assert_eq!(reply.status, 400);
        }
    }
    still_lives(&served).await;
}

#[tokio::test]
async fn a_panic_costs_its_call_only() {
    let fake = Fake::new(Does::Panic);
    let served = Served::new(fake.clone());
    let body = r#"{"NetworkID":"n1","EndpointID":"e1","SandboxKey":"/s"}"#;
    // The same connection, to see that it outlives the panic as well.
    let mut connection = served.connect().await;
    for call in ["CreateEndpoint", "Join", "EndpointOperInfo"] {
        let request = engine_28(&format!("NetworkDriver.{call}"), body.as_bytes());
        let reply = connection.exchange(&request).await;
        assert_eq!(reply.status, 500);
        assert!(reply.error().contains("as the script says"), "{reply:?}");
        assert!(reply.error().contains("fault in Landfall"), "{reply:?}");
    }
    still_lives(&served).await;
    // Unwinding has dropped what the calls had begun; the last does not count itself.
    assert_eq!(fake.dropped.available_permits(), 2);
}

/// Text that is JSON, nearly JSON, or nothing of the kind.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let scalar = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
        prop::sample::select(vec!["n1", "/s", "null", "0.0.0.0/0", "02:00:00:00:00:42", ""])
            .prop_map(Value::from),
    ];
    let key = prop_oneof![
        prop::sample::select(vec![
            "NetworkID",
            "networkid",
            "EndpointID",
            "SandboxKey",
            "Options",
            "Interface",
            "IPv4Data",
            "IPv6Data",
            "AddressSpace",
            "Pool",
            "Address",
            "MacAddress",
            "com.docker.network.generic",
            "com.docker.network.internal",
            "bridge",
        ])
        .prop_map(str::to_owned),
        ".{0,8}",
    ];
    let value = scalar.prop_recursive(4, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(key.clone(), inner, 0..8)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    });
    let json = value.prop_map(|value| value.to_string().into_bytes());
    prop_oneof![
        4 => json.clone(),
        1 => (json, any::<prop::sample::Index>(), any::<u8>()).prop_map(|(mut text, at, byte)| {
            let at = at.index(text.len());
            text[at] = byte;
            text
        }),
        1 => prop::collection::vec(any::<u8>(), 0..200),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_body_is_answered(call in prop::sample::select(CALLS.to_vec()), body in body()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (reply, after): (Reply, Reply) = runtime.block_on(async {
            let served = Served::new(Fake::new(Does::Answer));
            let mut connection = served.connect().await;
            let reply = connection.exchange(&engine_28(call, &body)).await;
            (reply, connection.exchange(&engine_28("Plugin.Activate", b"")).await)
        });
        prop_assert!(reply.json().is_object(), "{reply:?}");
        match reply.status {
            200 => prop_assert!(
                reply.json().get("Err").is_none() || reply.body.contains("--ip"), "{reply:?}"
            ),
            400 => prop_assert!(reply.error().starts_with("bad request: "), "{reply:?}"),
            other => prop_assert!(false, "{other}: {reply:?}"),
        }
        prop_assert_eq!(after.status, 200);
    }
}
