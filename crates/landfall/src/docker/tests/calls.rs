//! Each call: what the engine is asked, and what goes back.

use serde_json::{Value, json};

use super::Served;
use super::fake::{Does, Fake};
use crate::engine::api::StaticRoute;

const NETWORK: &str = "b3ac5f6d0c4e2a1889b1d3f2c7e6a5948372615049f8e7d6c5b4a39281706f5e";
const ENDPOINT: &str = "9d8c7b6a5f4e3d2c1b0a99887766554433221100ffeeddccbbaa998877665544";

/// Posts to a driver that answers: the reply, and what the engine was asked.
async fn call(name: &str, body: Value) -> (Value, Vec<String>) {
    let fake = Fake::new(Does::Answer);
    let reply =
        Served::new(fake.clone()).call(&format!("NetworkDriver.{name}"), &body.to_string()).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    (reply.json(), fake.asked())
}

/// Posts what is refused before the engine is asked: the status and the reason.
async fn refused(name: &str, body: Value) -> (u16, String) {
    let fake = Fake::new(Does::Answer);
    let reply =
        Served::new(fake.clone()).call(&format!("NetworkDriver.{name}"), &body.to_string()).await;
    assert_eq!(fake.asked(), [""; 0]);
    (reply.status, reply.error())
}

/// What Engine 28.5 sends for `docker network create --ipam-driver null -o bridge=br0`.
fn create_network() -> Value {
    json!({
        "NetworkID": NETWORK,
        "Options": {
            "com.docker.network.enable_ipv4": true,
            "com.docker.network.enable_ipv6": false,
            "com.docker.network.generic": {"bridge": "br0"},
        },
        "IPv4Data": [{"AddressSpace": "null", "Pool": "0.0.0.0/0"}],
        "IPv6Data": [],
    })
}

/// How the engine's side shows what it was asked.
fn new_network(options: &str, switches: &str) -> String {
    format!("NewNetwork {{ id: {NETWORK}, options: {options}, {switches} }}")
}

fn create_endpoint(interface: Value) -> Value {
    json!({
        "NetworkID": NETWORK,
        "EndpointID": ENDPOINT,
        "Interface": interface,
        "Options": {
            "com.docker.network.endpoint.exposedports": [{"Proto": 6, "Port": 80}],
            "com.docker.network.portmap": [],
            "hostname": "web",
        },
    })
}

#[tokio::test]
async fn capabilities() {
    for body in [json!({}), Value::Null] {
        let (answer, _) = call("GetCapabilities", body).await;
        assert_eq!(answer, json!({"Scope": "local", "ConnectivityScope": "global"}));
    }
}

#[tokio::test]
async fn create_network_asks_for_the_lans_addresses() {
    let (answer, asked) = call("CreateNetwork", create_network()).await;
    assert_eq!(answer, json!({}));
    assert_eq!(
        asked,
        [new_network(
            r#"{"bridge": "br0"}"#,
            "addresses_from_lan: true, pool: None, ipv4: true, ipv6: false, internal: false",
        )]
    );
}

#[tokio::test]
async fn create_network_takes_the_switches() {
    let mut body = create_network();
    body["Options"]["com.docker.network.enable_ipv4"] = json!(false);
    body["Options"]["com.docker.network.enable_ipv6"] = json!(true);
    body["Options"]["com.docker.network.internal"] = json!(true);
    body["IPv6Data"] = json!([{"AddressSpace": "null", "Pool": "::/0"}]);
    let (_, asked) = call("CreateNetwork", body).await;
    assert_eq!(
        asked,
        [new_network(
            r#"{"bridge": "br0"}"#,
            "addresses_from_lan: true, pool: None, ipv4: false, ipv6: true, internal: true",
        )]
    );
}

#[tokio::test]
async fn create_network_takes_options_by_their_text() {
    let mut body = create_network();
    body["Options"]["com.docker.network.generic"] = json!({
        "bridge": "br0", "ignore_conflicts": true, "a_number": 25, "nothing": null,
        "com.docker.network.advertise_addr_ms": "100",
    });
    let (_, asked) = call("CreateNetwork", body).await;
    assert_eq!(
        asked,
        [new_network(
            concat!(
                r#"{"a_number": "25", "bridge": "br0", "com.docker.network.advertise_addr_ms": "100", "#,
                r#""ignore_conflicts": "true", "nothing": ""}"#,
            ),
            "addresses_from_lan: true, pool: None, ipv4: true, ipv6: false, internal: false",
        )]
    );
}

#[tokio::test]
async fn create_network_needs_no_options_at_all() {
    for options in [json!(null), json!({}), json!({"com.docker.network.generic": null})] {
        let mut body = create_network();
        body["Options"] = options;
        let (_, asked) = call("CreateNetwork", body).await;
        assert!(asked[0].contains("options: {}"), "{asked:?}");
    }
}

#[tokio::test]
async fn create_network_tells_other_ipam_drivers_apart() {
    let default_ipam = json!([{
        "AddressSpace": "LocalDefault", "Pool": "172.19.0.0/16", "Gateway": "172.19.0.1/16",
    }]);
    for (v4, v6) in [
        (default_ipam.clone(), json!([])),
        (json!([{"AddressSpace": "null", "Pool": "10.0.0.0/8"}]), json!([])),
        (json!([{"AddressSpace": "other", "Pool": "0.0.0.0/0"}]), json!([])),
        (json!([{}]), json!([])),
        (
            json!([{"AddressSpace": "null", "Pool": "0.0.0.0/0"}]),
            json!([{"AddressSpace": "LocalDefault", "Pool": "fd00::/64"}]),
        ),
    ] {
        let mut body = create_network();
        body["IPv4Data"] = v4;
        body["IPv6Data"] = v6;
        let (_, asked) = call("CreateNetwork", body).await;
        assert!(asked[0].contains("addresses_from_lan: false"), "{asked:?}");
    }
}

#[tokio::test]
async fn create_endpoint_answers_address_and_mac() {
    for interface in [json!({"Address": "", "AddressIPv6": "", "MacAddress": ""}), json!(null)] {
        let (answer, asked) = call("CreateEndpoint", create_endpoint(interface)).await;
        assert_eq!(
            answer,
            json!({"Interface": {"Address": "192.168.7.20/24", "MacAddress": "02:1f:00:00:00:07"}})
        );
        assert_eq!(
            asked,
            [format!(
                "NewEndpoint {{ network: {NETWORK}, id: {ENDPOINT}, mac: None, options: {{\"hostname\": \"web\"}}, \
                 address: None, interface: None, candidates: [] }}"
            )]
        );
    }
}

/// The engine takes a MAC that comes back for a change of its own.
#[tokio::test]
async fn create_endpoint_does_not_repeat_a_given_mac() {
    let interface = json!({"Address": "", "AddressIPv6": "", "MacAddress": "02:00:00:00:00:42"});
    let (answer, asked) = call("CreateEndpoint", create_endpoint(interface)).await;
    assert_eq!(answer, json!({"Interface": {"Address": "192.168.7.20/24", "MacAddress": ""}}));
    assert!(asked[0].contains("mac: Some(02:00:00:00:00:42)"), "{asked:?}");
}

/// The user's options stand among the engine's own.
#[tokio::test]
async fn create_endpoint_passes_on_what_the_user_asked_for() {
    let mut body = create_endpoint(json!(null));
    body["Options"] = json!({
        "com.docker.network.endpoint.exposedports": [{"Proto": 6, "Port": 80}],
        "com.docker.network.endpoint.ifname": "lan0",
        "com.docker.network.endpoint.sysctls": "net.ipv4.conf.IFNAME.forwarding=1",
        "com.docker.network.portmap": null,
        "hostname": "web",
        "client_id": 17,
    });
    let (_, asked) = call("CreateEndpoint", body.clone()).await;
    let wanted = r#"options: {"client_id": "17", "hostname": "web"}, address: None, interface: Some("lan0"), candidates"#;
    assert!(asked[0].contains(wanted), "{asked:?}");
    for (option, value) in
        [("com.docker.network.endpoint.ifname", json!(["lan0"])), ("hostname", json!({}))]
    {
        let mut body = body.clone();
        body["Options"][option] = value;
        let (status, error) = refused("CreateEndpoint", body).await;
        assert_eq!(status, 400);
        assert!(error.contains(option), "{error}");
    }
}

#[tokio::test]
async fn create_endpoint_refuses_addresses_of_dockers_own() {
    let (field, address) = ("AddressIPv6", "fd00::2/64");
    let (status, error) =
        refused("CreateEndpoint", create_endpoint(json!({ field: address }))).await;
    assert_eq!(status, 200);
    assert!(error.contains(address) && error.contains("--ipam-driver null"), "{error}");
    assert!(error.contains(&ENDPOINT[..12]) && error.contains(&NETWORK[..12]), "{error}");
}

/// What Docker was told before must not come back either.
#[tokio::test]
async fn create_endpoint_does_not_repeat_a_given_address() {
    let interface = json!({"Address": "192.168.7.20/24", "AddressIPv6": "", "MacAddress": ""});
    let (answer, asked) = call("CreateEndpoint", create_endpoint(interface)).await;
    assert_eq!(answer, json!({"Interface": {"Address": "", "MacAddress": "02:1f:00:00:00:07"}}));
    assert!(asked[0].contains("address: Some(192.168.7.20/24)"), "{asked:?}");
    let (status, error) =
        refused("CreateEndpoint", create_endpoint(json!({"Address": "192.168.7.20"}))).await;
    assert_eq!(status, 400);
    assert!(error.contains("Interface.Address"), "{error}");
}

#[tokio::test]
async fn create_network_tells_a_pool_of_ours() {
    let mut body = create_network();
    body["IPv4Data"] = json!([{
        "AddressSpace": "landfall", "Pool": "192.168.7.0/24", "Gateway": "192.168.7.1/24",
    }]);
    let (_, asked) = call("CreateNetwork", body).await;
    let wanted = "addresses_from_lan: true, pool: Some(192.168.7.0/24)";
    assert!(asked[0].contains(wanted), "{asked:?}");
}

#[tokio::test]
async fn join_hands_over_the_link() {
    let body = json!({
        "NetworkID": NETWORK,
        "EndpointID": ENDPOINT,
        "SandboxKey": "/var/run/docker/netns/2f6b8a0c1d3e",
        "Options": {"com.docker.network.endpoint.exposedports": [], "com.docker.network.portmap": []},
    });
    let (answer, asked) = call("Join", body).await;
    assert_eq!(
        answer,
        json!({
            "InterfaceName": {"SrcName": "lf-7a-2", "DstPrefix": "eth"},
            "Gateway": "192.168.7.1",
            "StaticRoutes": [],
            "DisableGatewayService": false,
        })
    );
    assert!(asked[0].contains("sandbox: \"/var/run/docker/netns/2f6b8a0c1d3e\""), "{asked:?}");
}

/// And never lets Docker make up for a missing gateway with its own bridge.
#[tokio::test]
async fn join_answers_routes_in_their_order() {
    let mut fake = Fake::new(Does::Answer);
    fake.joined.gateway = None;
    fake.joined.name = Some("lan0".to_owned());
    fake.joined.routes = [
        ("203.0.113.1/32", None),
        ("10.1.0.0/16", Some("203.0.113.1")),
        ("10.0.0.0/8", Some("192.168.7.9")),
    ]
    .map(|(destination, via)| StaticRoute {
        destination: destination.parse().unwrap(),
        via: via.map(|router| router.parse().unwrap()),
    })
    .into();
    let body = json!({"NetworkID": "n", "EndpointID": "e", "SandboxKey": "/s"}).to_string();
    let reply = Served::new(fake).call("NetworkDriver.Join", &body).await;
    assert_eq!(
        reply.json(),
        json!({
            "InterfaceName": {"SrcName": "lf-7a-2", "DstPrefix": "eth", "DstName": "lan0"},
            "StaticRoutes": [
                {"Destination": "203.0.113.1/32", "RouteType": 1},
                {"Destination": "10.1.0.0/16", "RouteType": 0, "NextHop": "203.0.113.1"},
                {"Destination": "10.0.0.0/8", "RouteType": 0, "NextHop": "192.168.7.9"},
            ],
            "DisableGatewayService": true,
        })
    );
}

#[tokio::test]
async fn join_needs_a_sandbox() {
    for sandbox in ["", "netns/x", "/a\0b"] {
        let body = json!({"NetworkID": "n", "EndpointID": "e", "SandboxKey": sandbox});
        let (status, error) = refused("Join", body).await;
        assert_eq!(status, 400);
        assert!(error.contains("SandboxKey"), "{error}");
    }
}

#[tokio::test]
async fn the_end_of_an_endpoint_and_of_a_network() {
    let body = json!({"NetworkID": "n1", "EndpointID": "e1"});
    for (name, asked) in [("Leave", "leave n1 e1"), ("DeleteEndpoint", "delete endpoint n1 e1")] {
        assert_eq!(call(name, body.clone()).await, (json!({}), vec![asked.to_owned()]));
    }
    assert_eq!(
        call("DeleteNetwork", json!({"NetworkID": "n1"})).await,
        (json!({}), vec!["delete network n1".to_owned()])
    );
}

#[tokio::test]
async fn oper_info() {
    let (answer, asked) =
        call("EndpointOperInfo", json!({"NetworkID": "n1", "EndpointID": "e1"})).await;
    assert_eq!(answer, json!({"Value": {"address": "192.168.7.20/24"}}));
    assert_eq!(asked, ["info n1 e1"]);
}

/// `Value` is an object for an endpoint of which nothing is known, too.
#[tokio::test]
async fn oper_info_of_nothing() {
    let body = r#"{"NetworkID":"n1","EndpointID":"e1"}"#;
    let reply =
        Served::new(Fake::new(Does::Hang)).call("NetworkDriver.EndpointOperInfo", body).await;
    assert_eq!(reply.json(), json!({"Value": {}}));
}

#[tokio::test]
async fn which_endpoint_has_the_default_route() {
    let mut body = json!({"NetworkID": "n", "EndpointID": "e"});
    let revoked = call("RevokeExternalConnectivity", body.clone()).await;
    assert_eq!(revoked, (json!({}), vec!["way out n e false".to_owned()]));
    body["Options"] = json!({"com.docker.network.portmap": []});
    let programmed = call("ProgramExternalConnectivity", body).await;
    assert_eq!(programmed, (json!({}), vec!["way out n e true".to_owned()]));
}

#[tokio::test]
async fn calls_that_mean_nothing_here() {
    for (name, body) in [
        (
            "DiscoverNew",
            json!({"DiscoveryType": 1, "DiscoveryData": {"Address": "10.0.0.1", "self": true}}),
        ),
        ("DiscoverDelete", json!({"DiscoveryType": 1, "DiscoveryData": null})),
        ("FreeNetwork", json!({"NetworkID": "n"})),
    ] {
        assert_eq!(call(name, body).await, (json!({}), vec![]), "{name}");
    }
    let body = json!({"NetworkID": "n", "Options": {}, "IPv4Data": [], "IPv6Data": []});
    assert_eq!(call("AllocateNetwork", body).await, (json!({"Options": {}}), vec![]));
}

/// Go matches names in any case, exact ones first, and knows `null` as "not there".
#[tokio::test]
async fn names_as_go_reads_them() {
    for (body, asked) in [
        (r#"{"networkid":"n1","ENDPOINTID":"e1"}"#, "leave n1 e1"),
        (r#"{"networkId":"n2","NetworkID":"n1","EndpointID":"e1"}"#, "leave n1 e1"),
        (r#"{"networkId":"n2","NetworkID":null,"EndpointID":"e1"}"#, "leave n2 e1"),
        (r#"{"NetworkID":"n1","EndpointID":"e1","Future":{"x":[1,null]}}"#, "leave n1 e1"),
    ] {
        let fake = Fake::new(Does::Answer);
        let reply = Served::new(fake.clone()).call("NetworkDriver.Leave", body).await;
        assert_eq!((reply.status, &*reply.body), (200, "{}"));
        assert_eq!(fake.asked(), [asked]);
    }
    let body =
        r#"{"networkid":"n","endpointid":"e","interface":{"macaddress":"02:00:00:00:00:42"}}"#;
    let fake = Fake::new(Does::Answer);
    Served::new(fake.clone()).call("NetworkDriver.CreateEndpoint", body).await;
    assert_eq!(
        fake.asked(),
        ["NewEndpoint { network: n, id: e, mac: Some(02:00:00:00:00:42), options: {}, \
          address: None, interface: None, candidates: [] }"]
    );
}

/// The user's options are a map in Go: there a name in another case is another name.
#[tokio::test]
async fn option_names_are_taken_to_the_letter() {
    let mut body = create_network();
    body["Options"] = json!({
        "com.docker.network.generic": {"Bridge": "br0", "bridge": "br1"},
        "com.docker.network.Internal": true,
    });
    let (_, asked) = call("CreateNetwork", body).await;
    assert!(asked[0].contains(r#"{"Bridge": "br0", "bridge": "br1"}"#), "{asked:?}");
    assert!(asked[0].contains("internal: false"), "{asked:?}");
}

/// 200, so that the user reads `remote: TEXT` and not the name of the call once more.
#[tokio::test]
async fn a_refusal_reaches_the_user_in_its_own_words() {
    let text = "no DHCP server answered on br0 within 10s: \"nothing\" heard";
    let served = Served::new(Fake::new(Does::Refuse(text)));
    let body = json!({"NetworkID": "n", "EndpointID": "e", "SandboxKey": "/s"}).to_string();
    for name in
        ["CreateNetwork", "DeleteNetwork", "CreateEndpoint", "Join", "Leave", "DeleteEndpoint"]
    {
        let reply = served.call(&format!("NetworkDriver.{name}"), &body).await;
        assert_eq!((reply.status, &*reply.error()), (200, text), "{name}");
    }
}
