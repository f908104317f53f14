//! Each call of the IPAM driver: what the engine is asked, and what goes back.

use serde_json::{Value, json};

use super::fake::{Does, Fake};
use super::{Reply, Served};

const POOL: &str = "bridge:br0:192.168.7.0/24";

async fn post(fake: &Fake, name: &str, body: &Value) -> Reply {
    Served::new(fake.clone()).call(&format!("IpamDriver.{name}"), &body.to_string()).await
}

/// Posts to a driver that answers: the reply, and what the engine was asked.
async fn call(name: &str, body: Value) -> (Value, Vec<String>) {
    let fake = Fake::new(Does::Answer);
    let reply = post(&fake, name, &body).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    (reply.json(), fake.asked())
}

#[tokio::test]
async fn capabilities() {
    let (answer, _) = call("GetCapabilities", Value::Null).await;
    assert_eq!(answer, json!({"RequiresMACAddress": false, "RequiresRequestReplay": false}));
}

/// Else Docker asks for ever for a pool that overlaps no route of the host.
#[tokio::test]
async fn both_address_spaces_have_one_name() {
    let (answer, _) = call("GetDefaultAddressSpaces", Value::Null).await;
    let name = json!("landfall");
    assert_eq!(answer["LocalDefaultAddressSpace"], name);
    assert_eq!(answer["GlobalDefaultAddressSpace"], name);
}

#[tokio::test]
async fn request_pool_tells_subnet_and_router() {
    let body = json!({
        "AddressSpace": "landfall", "Pool": "", "SubPool": "", "Options": {"bridge": "br0"}, "V6": false,
    });
    let (answer, asked) = call("RequestPool", body).await;
    assert_eq!(
        answer,
        json!({
            "PoolID": POOL,
            "Pool": "192.168.7.0/24",
            "Data": {"com.docker.network.gateway": "192.168.7.1/24"},
        })
    );
    let wanted =
        r#"PoolRequest { options: {"bridge": "br0"}, subnet: "", range: "", ipv6: false }"#;
    assert_eq!(asked, [wanted]);
    let body = json!({"Pool": "10.0.0.0/8", "SubPool": "10.1.0.0/16", "Options": null, "V6": true});
    let (_, asked) = call("RequestPool", body).await;
    let wanted =
        r#"PoolRequest { options: {}, subnet: "10.0.0.0/8", range: "10.1.0.0/16", ipv6: true }"#;
    assert_eq!(asked, [wanted]);
}

/// As the null IPAM driver's pool has it; Docker does not ask for one then.
#[tokio::test]
async fn a_lan_without_a_router() {
    let mut fake = Fake::new(Does::Answer);
    fake.pool.gateway = None;
    let answer = post(&fake, "RequestPool", &json!({})).await.json();
    assert_eq!(answer["Data"], json!({"com.docker.network.gateway": "0.0.0.0/0"}));
}

#[tokio::test]
async fn request_address_answers_one_with_its_prefix() {
    let body = json!({"PoolID": POOL, "Address": "", "Options": null});
    let (answer, asked) = call("RequestAddress", body).await;
    assert_eq!(answer, json!({"Address": "192.168.7.20/24", "Data": {}}));
    assert!(asked[0].contains("address: None, gateway: false, name: None"), "{asked:?}");
    // Engine 29.
    let options = json!({"com.docker.network.endpoint.name": "web"});
    let body = json!({"PoolID": POOL, "Address": "192.168.7.99", "Options": options});
    let (_, asked) = call("RequestAddress", body).await;
    let wanted = r#"address: Some(192.168.7.99), gateway: false, name: Some("web")"#;
    assert!(asked[0].contains(wanted), "{asked:?}");
    let options = json!({"RequestAddressType": "com.docker.network.gateway"});
    let body = json!({"PoolID": POOL, "Address": "", "Options": options});
    let (_, asked) = call("RequestAddress", body).await;
    assert!(asked[0].contains("gateway: true"), "{asked:?}");
}

#[tokio::test]
async fn what_is_given_back() {
    let (answer, asked) = call("ReleasePool", json!({"PoolID": POOL})).await;
    assert_eq!((answer, asked), (json!({}), vec![format!("release pool {POOL}")]));
    let body = json!({"PoolID": POOL, "Address": "192.168.7.20"});
    let (answer, asked) = call("ReleaseAddress", body).await;
    let wanted = format!("release address 192.168.7.20 of {POOL}");
    assert_eq!((answer, asked), (json!({}), vec![wanted]));
}

/// Unlike a network driver's.
#[tokio::test]
async fn a_refusal_is_in_a_field_of_its_own() {
    let fake = Fake::new(Does::Refuse("no server"));
    let address = json!({"PoolID": POOL, "Address": "192.168.7.20"});
    for (name, body) in [
        ("RequestPool", json!({})),
        ("ReleasePool", json!({"PoolID": POOL})),
        ("RequestAddress", address.clone()),
        ("ReleaseAddress", address),
    ] {
        let reply = post(&fake, name, &body).await;
        assert_eq!((reply.status, reply.json()), (200, json!({"Error": "no server"})), "{name}");
    }
}

#[tokio::test]
async fn what_is_no_pool_or_address_of_ours_is_a_bad_request() {
    let fake = Fake::new(Does::Answer);
    for (name, body, words) in [
        ("ReleasePool", json!({}), "PoolID"),
        ("RequestAddress", json!({"PoolID": "LocalDefault/172.17.0.0/16"}), "PoolID"),
        ("RequestAddress", json!({"PoolID": POOL, "Address": "fd00::1"}), "Address"),
        ("ReleaseAddress", json!({"PoolID": POOL, "Address": ""}), "Address"),
        ("RequestPool", json!({"V6": "yes"}), "V6 must be a boolean"),
    ] {
        let reply = post(&fake, name, &body).await;
        assert_eq!(reply.status, 400, "{name}");
        assert!(reply.error().contains(words), "{reply:?}");
    }
    assert_eq!(fake.asked(), [""; 0]);
}
