//! Macvlan children.

use net::{Macvlan, MacvlanMode, Membership, Netlink, Netns};
use wire::MacAddr;

use crate::common::run;

const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 0x42]);

/// `ip ARGS` in a namespace.
fn ip_in(netns: &Netns, args: &str) -> String {
    netns.run(|| run(&format!("ip {args}"))).unwrap()
}

/// A namespace with a link that can be a parent, and its index.
async fn parent() -> (Netns, Netlink, u32) {
    let netns = Netns::create().unwrap();
    ip_in(&netns, "link add eth0 mtu 1400 type veth peer name wire");
    ip_in(&netns, "link set wire up");
    ip_in(&netns, "link set eth0 up");
    let links = Netlink::in_netns(&netns).unwrap();
    let index = links.link("eth0").await.unwrap().unwrap().index;
    (netns, links, index)
}

fn child(parent: u32, name: &str) -> Macvlan {
    let mode = MacvlanMode::Bridge;
    Macvlan { name: name.into(), parent, mode, mac: Some(MAC), netns: None, arp: true }
}

#[tokio::test]
async fn a_child_as_it_is_asked_for() {
    let (netns, links, parent) = parent().await;
    for (mode, word) in [
        (MacvlanMode::Bridge, "mode bridge"),
        (MacvlanMode::Private, "mode private"),
        (MacvlanMode::Vepa, "mode vepa"),
    ] {
        let index = links.create_macvlan(&Macvlan { mode, ..child(parent, "one") }).await.unwrap();
        let made = links.link("one").await.unwrap().unwrap();
        assert_eq!((made.index, made.kind.as_deref()), (index, Some("macvlan")));
        assert_eq!((made.mac, made.mtu, made.up), (Some(MAC), 1400, false));
        assert_eq!(made.peer_index, Some(parent));
        let shown = ip_in(&netns, "-d link show one");
        assert!(shown.contains(word) && !shown.contains("NOARP"), "{shown}");
        links.delete_link(index).await.unwrap();
    }
    let shown = {
        links.create_macvlan(&Macvlan { arp: false, ..child(parent, "one") }).await.unwrap();
        ip_in(&netns, "-d link show one")
    };
    assert!(shown.contains("NOARP"), "{shown}");
    let taken = links.create_macvlan(&child(parent, "one")).await.unwrap_err();
    assert!(taken.is_exists(), "{taken}");
}

#[tokio::test]
async fn a_child_is_born_elsewhere_and_moves() {
    let (here, links, parent) = parent().await;
    let home = Netns::create().unwrap();
    let home_links = Netlink::in_netns(&home).unwrap();
    let born = Macvlan { netns: Some(home.clone()), ..child(parent, "one") };
    let index = links.create_macvlan(&born).await.unwrap();
    assert_eq!(links.link("one").await.unwrap(), None);
    let there = home_links.link("one").await.unwrap().unwrap();
    assert_eq!((there.index, there.peer_index), (index, Some(parent)));
    assert!(there.peer_netnsid.is_some(), "its parent is elsewhere");
    home_links.set_up(index).await.unwrap();
    home_links.set_netns(index, &here).await.unwrap();
    assert_eq!(home_links.link("one").await.unwrap(), None);
    let moved = links.link("one").await.unwrap().unwrap();
    assert_eq!((moved.mac, moved.up, moved.peer_netnsid), (Some(MAC), false, None));
}

#[tokio::test]
async fn no_two_children_with_one_mac_are_up() {
    let (_netns, links, parent) = parent().await;
    let one = links.create_macvlan(&child(parent, "one")).await.unwrap();
    let two = links.create_macvlan(&child(parent, "two")).await.unwrap();
    links.set_up(one).await.unwrap();
    let busy = links.set_up(two).await.unwrap_err();
    assert!(busy.is_busy(), "{busy}");
    links.set_down(one).await.unwrap();
    links.set_up(two).await.unwrap();
}

#[tokio::test]
async fn a_link_that_is_taken_can_be_no_parent() {
    let (netns, links, parent) = parent().await;
    ip_in(&netns, "link add br0 type bridge");
    ip_in(&netns, "link set eth0 master br0");
    let port = links.create_macvlan(&child(parent, "one")).await.unwrap_err();
    assert!(port.is_busy(), "{port}");
}

#[tokio::test]
async fn a_parent_that_one_child_has_for_itself() {
    let (netns, links, parent) = parent().await;
    ip_in(&netns, "link add link eth0 name whole type macvlan mode passthru");
    let passthru = links.create_macvlan(&child(parent, "one")).await.unwrap_err();
    assert!(passthru.is_invalid(), "{passthru}");
}

#[tokio::test]
async fn a_card_lets_in_what_a_socket_asks_for_as_long_as_it_does() {
    let (netns, _links, parent) = parent().await;
    let filter = net::Filter::nothing();
    let socket = net::PacketSocket::open_in(&netns, parent, &filter, net::Sees::Incoming).unwrap();
    let flags = || ip_in(&netns, "-d link show eth0");
    assert!(flags().contains("allmulti 0"), "{}", flags());
    socket.add_membership(Membership::AllMulticast).unwrap();
    assert!(flags().contains("allmulti 1"), "{}", flags());
    socket.drop_membership(Membership::AllMulticast).unwrap();
    assert!(flags().contains("allmulti 0"), "{}", flags());
    let admitted =
        || netns.run(|| run("bridge fdb show dev eth0")).unwrap().contains(&MAC.to_string());
    socket.add_membership(Membership::Unicast(MAC)).unwrap();
    assert!(admitted());
    socket.drop_membership(Membership::Unicast(MAC)).unwrap();
    assert!(!admitted());
    socket.drop_membership(Membership::Unicast(MAC)).unwrap();
}
