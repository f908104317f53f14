//! Links read, made, changed and removed.

use net::{LinkWatch, Netlink, Netns};

use crate::common::{bridge, in_fresh_netns, mac, operational, run, veth};

#[test]
fn a_veth_is_born_complete_in_two_namespaces() {
    in_fresh_netns(|| async {
        let netlink = Netlink::here().unwrap();
        let bridge = bridge(&netlink, "br0").await;
        let inside = Netns::create().unwrap();
        let mut wanted = veth("outer", "inner", Some(&inside));
        wanted.master = Some(bridge);
        wanted.peer.mtu = Some(1400);
        wanted.peer.arp = false;
        let (outer, inner) = netlink.create_veth(&wanted).await.unwrap();

        let outer = netlink.link_by_index(outer).await.unwrap().unwrap();
        assert_eq!(outer.name, "outer");
        assert_eq!(outer.kind.as_deref(), Some("veth"));
        assert_eq!(outer.mac, Some(wanted.mac));
        assert_eq!(outer.mtu, 1500);
        assert_eq!(outer.master, Some(bridge));
        assert!(outer.up && outer.carrier);
        assert_eq!(outer.peer_index, Some(inner));
        assert!(outer.peer_netnsid.is_some(), "the peer is in another namespace");

        let there = Netlink::in_netns(&inside).unwrap();
        let peer = there.link_by_index(inner).await.unwrap().unwrap();
        assert_eq!(peer.name, "inner");
        assert_eq!(peer.mac, wanted.peer.mac);
        assert_eq!(peer.mtu, 1400);
        assert!(peer.up && peer.carrier);
        assert_eq!(netlink.link("inner").await.unwrap(), None, "and is not here");

        let mut watch = LinkWatch::here().unwrap();
        operational(&mut watch, &netlink, outer.index).await;
        let outside = run("ip link show outer");
        assert!(outside.contains("master br0") && !outside.contains("NOARP"), "{outside}");
        let inside = inside.run(|| run("ip link show inner")).unwrap();
        assert!(inside.contains("NOARP") && inside.contains("UP,LOWER_UP"), "{inside}");
    });
}

#[test]
fn a_peer_in_the_same_namespace_may_stay_down() {
    in_fresh_netns(|| async {
        let netlink = Netlink::here().unwrap();
        let mut wanted = veth("outer", "inner", None);
        wanted.peer.up = false;
        wanted.peer.mac = None;
        let (outer, inner) = netlink.create_veth(&wanted).await.unwrap();
        let peer = netlink.link_by_index(inner).await.unwrap().unwrap();
        assert!(!peer.up);
        assert_eq!(peer.peer_index, Some(outer));
        assert_eq!(peer.peer_netnsid, None);
        assert!(peer.mac.unwrap().is_unicast());
        let outer = netlink.link_by_index(outer).await.unwrap().unwrap();
        assert!(outer.up && !outer.carrier);
    });
}

#[test]
fn a_veth_that_cannot_be_finished_is_removed_again() {
    in_fresh_netns(|| async {
        let netlink = Netlink::here().unwrap();
        run("ip link add no-bridge type veth peer name other");
        let no_bridge = netlink.link("no-bridge").await.unwrap().unwrap().index;
        let mut wanted = veth("outer", "inner", None);
        wanted.master = Some(no_bridge);
        let error = netlink.create_veth(&wanted).await.unwrap_err();
        assert!(error.to_string().contains("(outer)"), "the error names the link: {error}");
        assert_eq!(netlink.link("outer").await.unwrap(), None);
        assert_eq!(netlink.link("inner").await.unwrap(), None);
    });
}

#[test]
fn a_taken_name_is_told_and_its_holder_untouched() {
    in_fresh_netns(|| async {
        let netlink = Netlink::here().unwrap();
        for taken in ["outer", "inner"] {
            run(&format!("ip link add {taken} type bridge"));
            let before = netlink.link(taken).await.unwrap();
            let error = netlink.create_veth(&veth("outer", "inner", None)).await.unwrap_err();
            assert!(error.is_exists(), "{error}");
            assert_eq!(netlink.link(taken).await.unwrap(), before);
            assert!(netlink.delete_link_named(taken).await.unwrap());
            assert_eq!(netlink.links().await.unwrap().len(), 1, "only lo is left");
        }
    });
}

#[test]
fn single_changes_reach_the_link() {
    in_fresh_netns(|| async {
        let netlink = Netlink::here().unwrap();
        let bridge = bridge(&netlink, "br0").await;
        let (index, peer) = netlink.create_veth(&veth("outer", "inner", None)).await.unwrap();
        let now = || async { netlink.link_by_index(index).await.unwrap().unwrap() };

        netlink.set_mac(index, mac("fe:12:34:56:78:9a")).await.unwrap();
        assert_eq!(now().await.mac, Some(mac("fe:12:34:56:78:9a")));
        netlink.set_mtu(index, 1280).await.unwrap();
        assert_eq!(now().await.mtu, 1280);
        netlink.set_master(index, Some(bridge)).await.unwrap();
        assert_eq!(now().await.master, Some(bridge));
        netlink.set_master(index, None).await.unwrap();
        assert_eq!(now().await.master, None);
        netlink.set_down(peer).await.unwrap();
        assert!(now().await.up && !now().await.carrier);
        netlink.set_up(peer).await.unwrap();
        assert!(now().await.carrier);
        netlink.set_down(index).await.unwrap();
        assert!(!now().await.up);
        netlink.rename(index, "renamed").await.unwrap();
        assert_eq!(netlink.link("renamed").await.unwrap(), Some(now().await));
        netlink.delete_link(index).await.unwrap();
        assert_eq!(netlink.link_by_index(index).await.unwrap(), None);
        assert_eq!(netlink.link_by_index(peer).await.unwrap(), None, "the peer goes with it");
    });
}

#[test]
fn what_is_not_there_is_not_found() {
    in_fresh_netns(|| async {
        let netlink = Netlink::here().unwrap();
        let too_long = "a-name-of-17-byte";
        assert_eq!(netlink.link("nowhere").await.unwrap(), None);
        assert_eq!(netlink.link(too_long).await.unwrap(), None);
        assert_eq!(netlink.link_by_index(4711).await.unwrap(), None);
        assert!(!netlink.delete_link_named("nowhere").await.unwrap());
        assert!(!netlink.delete_link_named(too_long).await.unwrap());
        for error in [
            netlink.set_up(4711).await.unwrap_err(),
            netlink.set_mtu(4711, 1500).await.unwrap_err(),
            netlink.delete_link(4711).await.unwrap_err(),
            netlink.set_master(4711, None).await.unwrap_err(),
        ] {
            assert!(error.is_not_found(), "{error}");
            assert!(error.to_string().contains("4711"), "{error}");
        }
    });
}

#[test]
fn a_refusal_says_where_what_and_why() {
    in_fresh_netns(|| async {
        let inside = Netns::create().unwrap();
        let netlink = Netlink::in_netns(&inside).unwrap();
        let (outer, _) = netlink.create_veth(&veth("outer", "inner", None)).await.unwrap();
        let error = netlink.set_mtu(outer, 60).await.unwrap_err();
        let text = error.to_string();
        assert_eq!(error.raw_os_error(), Some(22), "EINVAL: {text}");
        assert!(text.starts_with(&format!("set MTU 60 on link {outer} (outer) in ")), "{text}");
        assert!(text.contains(&format!("network namespace {}", inside.inode().unwrap())), "{text}");
        assert!(text.contains("mtu less than device minimum"), "the kernel's words: {text}");
    });
}

#[test]
fn more_than_a_thousand_links_are_listed() {
    in_fresh_netns(|| async {
        let netlink = Netlink::here().unwrap();
        let pairs = 550;
        for i in 0..pairs {
            let mut wanted = veth(&format!("a{i}"), &format!("b{i}"), None);
            (wanted.up, wanted.peer.up) = (false, false);
            netlink.create_veth(&wanted).await.unwrap();
        }
        let mut names: Vec<_> =
            netlink.links().await.unwrap().into_iter().map(|link| link.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 2 * pairs + 1, "with lo");
    });
}

#[test]
fn one_connection_serves_many_tasks_at_once() {
    in_fresh_netns(|| async {
        let netlink = Netlink::here().unwrap();
        // The kernel runs one dump at a time on a socket, and answers EBUSY to another.
        let tasks: Vec<_> = (0..50)
            .map(|i| {
                let netlink = netlink.clone();
                tokio::spawn(async move {
                    let mut wanted = veth(&format!("a{i}"), &format!("b{i}"), None);
                    wanted.peer.up = false;
                    let (index, _) = netlink.create_veth(&wanted).await.unwrap();
                    let listed = netlink.links().await.unwrap();
                    assert!(listed.iter().any(|link| link.index == index));
                    assert!(netlink.addresses(None).await.unwrap().iter().any(|a| a.ifindex == 1));
                    netlink.delete_link(index).await.unwrap();
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(netlink.links().await.unwrap().len(), 1, "only lo is left");
    });
}
