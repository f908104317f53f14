use crate::site::*;
use crate::container::endpoint_ref;
use lab::*;
#[test]
fn debug_release() {
    let lan = Lan::new(LanOptions::default()).unwrap();
    let server = Dnsmasq::start(lan.router_ns(), "eth0", ServerOptions::default()).unwrap();
    let site = Site::on(lan);
    site.network("lan", &[("lease_timeout", "25s")]);
    let cap = Capture::start(site.lan.router_ns(), "eth0").unwrap();
    let t = std::time::Instant::now();
    let eps: Vec<_> = std::thread::scope(|s| {
        let h: Vec<_> = (0..200).map(|n| { let site = &site; s.spawn(move || site.create("lan", &format!("c{n:03}"), "")) }).collect();
        h.into_iter().map(|h| h.join().unwrap()).collect()
    });
    println!("create {:?}", t.elapsed());
    let t = std::time::Instant::now();
    std::thread::scope(|s| {
        for e in &eps { let site = &site; s.spawn(move || { site.ok("Leave", &endpoint_ref(e)); site.ok("DeleteEndpoint", &endpoint_ref(e)); }); }
    });
    println!("delete {:?}", t.elapsed());
    std::thread::sleep(std::time::Duration::from_secs(1));
    for k in 1..8 { println!("kind {k}: {}", cap.pick(|f| f.dhcp().filter(|d| d.kind == k)).len()); }
    println!("server: discover {} request {} release {} left {}", server.log().grep("DHCPDISCOVER(").len(), server.log().grep("DHCPREQUEST(").len(), server.log().grep("DHCPRELEASE(").len(), server.leases().unwrap().len());
    println!("{}", site.lan.router_ns().ok(&["cat", "/proc/net/udp"]).unwrap());
    println!("{}", site.lan.router_ns().ok(&["sh", "-c", "cat /proc/self/net/snmp | grep Udp; ip -s link show eth0"]).unwrap());
    println!("{}", site.landfall.log().grep("ERROR").join("\n"));
    println!("{}", site.landfall.log().grep("WARN").join("\n"));
    let rel = cap.pick(|f| f.dhcp().filter(|d| d.kind == 7).map(|d| (f.at, d.destination)));
    println!("{:?}", rel.last().unwrap().0.duration_since(rel[0].0));
    println!("{:?}", rel.iter().map(|r| r.1.clone()).collect::<std::collections::BTreeSet<_>>());
}
