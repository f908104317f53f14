//! Namespaces for tests, and iproute2 as the independent witness.

use std::future::Future;
use std::process::Command;
use std::time::Duration;

use net::{Netns, Peer, Veth};
use wire::MacAddr;

/// Runs a test in a network namespace of its own, on a thread and a tokio runtime of its own.
/// A test that hangs fails after a minute.
pub(crate) fn in_fresh_netns<F: Future<Output = ()>>(body: impl FnOnce() -> F + Send) {
    let netns = Netns::create().expect("these tests make network namespaces and need root");
    netns
        .run(|| {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap()
                .block_on(async { tokio::time::timeout(Duration::from_secs(60), body()).await })
                .expect("the test hangs")
        })
        .unwrap();
}

/// Runs a program in the namespace of the calling thread and returns what it prints.
pub(crate) fn run(command: &str) -> String {
    let mut words = command.split_whitespace();
    let output = Command::new(words.next().unwrap())
        .args(words)
        .output()
        .unwrap_or_else(|e| panic!("{command}: {e} (these tests need Debian's iproute2)"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

pub(crate) fn mac(text: &str) -> MacAddr {
    text.parse().unwrap()
}

/// A veth pair as Landfall makes one for a bridge, the peer in a namespace.
pub(crate) fn veth(name: &str, peer_netns: Option<&Netns>) -> Veth {
    Veth {
        name: name.into(),
        mac: mac("fe:00:00:00:00:01"),
        mtu: 1500,
        master: None,
        up: true,
        peer: Peer {
            name: "inner".into(),
            mac: Some(mac("02:00:00:00:00:01")),
            mtu: None,
            netns: peer_netns.cloned(),
            up: true,
            arp: true,
        },
    }
}
