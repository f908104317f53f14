use net::{Netlink, Netns, PortState};

use crate::common::{in_fresh_netns, mac, run, veth};

#[test]
fn a_veth_is_born_complete_in_two_namespaces() {
    in_fresh_netns(|| async {
        run("ip link add br0 type bridge");
        run("ip link set br0 up");
        let netlink = Netlink::here().unwrap();
        let bridge = netlink.link("br0").await.unwrap().unwrap();
        assert_eq!(bridge.kind.as_deref(), Some("bridge"));
        let inside = Netns::create().unwrap();
        let mut wanted = veth("outer", Some(&inside));
        wanted.master = Some(bridge.index);
        let (outer, peer) = netlink.create_veth(&wanted).await.unwrap();

        let outer = netlink.link_by_index(outer).await.unwrap().unwrap();
        println!("{outer:?}");
        assert_eq!(outer.port_state, Some(PortState::Forwarding));
        let inner = Netlink::in_netns(&inside).unwrap();
        let peer = inner.link_by_index(peer).await.unwrap().unwrap();
        println!("{peer:?}");
        println!("{}", run("ip -d addr"));
        println!("{}", inside.run(|| run("ip -d addr")).unwrap());
        assert_eq!(peer.mac, Some(mac("02:00:00:00:00:01")));
    });
}
