//! One container's life: create, run, inspect, renew, release.

use std::time::Duration;

use lab::{DhcpServer, Message, Place, ServerOptions};

use crate::site::Site;

#[test]
fn a_container_gets_its_lan_address_keeps_it_and_gives_it_back() {
    let site = Site::new(ServerOptions { renew: Some(4), ..ServerOptions::default() });
    site.network("lan", &[]);
    let mac = "02:00:00:00:00:42";
    site.run("web", &["--network", "lan", "--hostname", "web", "--mac-address", mac]);

    let address = site.address("web", "lan");
    assert_eq!(site.mac("web", "lan"), mac);
    let inside = site.docker(&["exec", "web", "ip", "-4", "addr", "show", "dev", "eth0"]);
    assert!(inside.contains(&format!("inet {address}/16")), "{inside}");
    assert!(site.lan.ping(Place::Laptop, address).unwrap());
    let lease = site.server.leases().unwrap().into_iter().find(|l| l.mac == mac).unwrap();
    assert_eq!(lease.ip, address);
    println!("{:?}", lease);

    std::thread::sleep(Duration::from_secs(6));
    for m in [Message::Discover, Message::Request, Message::Ack] {
        println!("{:#?}", site.server.logged(m, mac));
    }
    println!("{}", site.docker(&["exec", "web", "ip", "-4", "addr", "show", "dev", "eth0"]));
    println!("{}", site.docker(&["exec", "web", "ip", "route"]));
    println!("{:?}", site.server.leases().unwrap());
    site.docker(&["rm", "-f", "web"]);
    println!("{:?}", site.server.leases().unwrap());
    println!("{}", site.landfall.log().tail(60));
    panic!("look");
}
