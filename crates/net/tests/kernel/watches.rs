//! Link changes as they happen.

use net::{Link, LinkChange, LinkWatch, Netlink, Netns, PortState};

use crate::common::{bridge, in_fresh_netns, run, veth};

/// Waits for a link to be as it should.
async fn until(watch: &mut LinkWatch, wanted: impl Fn(&Link) -> bool) -> Link {
    loop {
        match watch.next().await.unwrap() {
            LinkChange::Changed(link) if wanted(&link) => return link,
            LinkChange::Removed { index, name } => panic!("link {index} ({name}) was removed"),
            LinkChange::Resync => panic!("nothing was lost here"),
            _ => {}
        }
    }
}

async fn until_removed(watch: &mut LinkWatch) -> (u32, String) {
    loop {
        if let LinkChange::Removed { index, name } = watch.next().await.unwrap() {
            return (index, name);
        }
    }
}

#[test]
fn a_link_is_followed_through_its_life() {
    in_fresh_netns(|| async {
        let netlink = Netlink::here().unwrap();
        let mut watch = LinkWatch::here().unwrap();
        run("ip link add first type bridge");
        let link = until(&mut watch, |link| link.name == "first").await;
        assert!(!link.up);
        assert_eq!(link.kind.as_deref(), Some("bridge"));
        netlink.set_up(link.index).await.unwrap();
        assert_eq!(until(&mut watch, |link| link.up).await.index, link.index);
        netlink.set_mtu(link.index, 1234).await.unwrap();
        until(&mut watch, |link| link.mtu == 1234).await;
        netlink.rename(link.index, "second").await.unwrap();
        until(&mut watch, |link| link.name == "second").await;
        netlink.delete_link(link.index).await.unwrap();
        assert_eq!(until_removed(&mut watch).await, (link.index, "second".to_owned()));
    });
}

#[test]
fn a_port_that_leaves_its_bridge_is_not_removed() {
    in_fresh_netns(|| async {
        let netlink = Netlink::here().unwrap();
        let bridge = bridge(&netlink, "br0").await;
        let (port, _) = netlink.create_veth(&veth("port", "inner", None)).await.unwrap();
        let mut watch = LinkWatch::here().unwrap();
        netlink.set_master(port, Some(bridge)).await.unwrap();
        until(&mut watch, |link| link.index == port && link.master == Some(bridge)).await;
        netlink.set_master(port, None).await.unwrap();
        // Panics if told that it was removed.
        until(&mut watch, |link| link.index == port && link.master.is_none()).await;
    });
}

#[test]
fn a_link_that_moves_to_another_namespace_is_removed_here() {
    in_fresh_netns(|| async {
        let netlink = Netlink::here().unwrap();
        let elsewhere = Netns::create().unwrap();
        let (_, inner) = netlink.create_veth(&veth("outer", "inner", None)).await.unwrap();
        let mut here = LinkWatch::here().unwrap();
        let mut there = LinkWatch::in_netns(&elsewhere).unwrap();
        // As an engine does it with a container's end.
        let mover = rtnetlink::LinkUnspec::new_with_index(inner)
            .setns_by_fd(std::os::fd::AsRawFd::as_raw_fd(&std::os::fd::AsFd::as_fd(&elsewhere)))
            .build();
        let (connection, handle, _) = rtnetlink::new_connection().unwrap();
        tokio::spawn(connection);
        handle.link().set(mover).execute().await.unwrap();
        assert_eq!(until_removed(&mut here).await, (inner, "inner".to_owned()));
        until(&mut there, |link| link.name == "inner").await;
    });
}

#[test]
fn spanning_tree_is_seen_to_open_a_port() {
    in_fresh_netns(|| async {
        let netlink = Netlink::here().unwrap();
        run("ip link add br0 type bridge stp_state 1 forward_delay 200");
        run("ip link set br0 up");
        let bridge = netlink.link("br0").await.unwrap().unwrap().index;
        let mut watch = LinkWatch::here().unwrap();
        let mut wanted = veth("port", "inner", None);
        wanted.master = Some(bridge);
        let (port, _) = netlink.create_veth(&wanted).await.unwrap();
        let mut states = Vec::new();
        while states.last() != Some(&PortState::Forwarding) {
            if let LinkChange::PortState { index, master, state } = watch.next().await.unwrap() {
                assert_eq!((index, master), (port, Some(bridge)));
                if states.last() != Some(&state) {
                    states.push(state);
                }
            }
        }
        let wanted =
            [PortState::Disabled, PortState::Listening, PortState::Learning, PortState::Forwarding];
        assert!(wanted.ends_with(&states) && states.len() >= 3, "{states:?}");
        let port = netlink.link_by_index(port).await.unwrap().unwrap();
        assert_eq!(port.port_state, Some(PortState::Forwarding));
    });
}

#[test]
fn lost_notices_are_told_and_later_ones_arrive() {
    in_fresh_netns(|| async {
        let netlink = Netlink::here().unwrap();
        let (index, _) = netlink.create_veth(&veth("outer", "inner", None)).await.unwrap();
        let mut watch = LinkWatch::here().unwrap();
        for i in 0..10_000 {
            netlink.set_mtu(index, 1400 + i % 2).await.unwrap();
        }
        let mut before = 0;
        while watch.next().await.unwrap() != LinkChange::Resync {
            before += 1;
        }
        assert!(before < 10_000);
        netlink.set_mtu(index, 1300).await.unwrap();
        loop {
            if let LinkChange::Changed(link) = watch.next().await.unwrap()
                && link.mtu == 1300
            {
                break;
            }
        }
    });
}
