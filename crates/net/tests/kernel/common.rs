//! Namespaces, links and frames for tests, and iproute2 as the independent witness.

use std::future::Future;
use std::net::Ipv6Addr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::Command;
use std::time::Duration;

use net::{
    Filter, LinkChange, LinkWatch, Netlink, Netns, PacketSocket, Peer, PortState, Sees, Veth,
};
use nix::sys::socket::MsgFlags;
use socket2::{Domain, SockAddr, Socket, Type};
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

/// A veth pair as Landfall makes one for a bridge: the outer end up, its MAC high.
pub(crate) fn veth(name: &str, peer: &str, peer_netns: Option<&Netns>) -> Veth {
    Veth {
        name: name.into(),
        mac: mac("fe:00:00:00:00:01"),
        mtu: 1500,
        master: None,
        up: true,
        peer: Peer {
            name: peer.into(),
            mac: Some(mac("02:00:00:00:00:01")),
            mtu: None,
            netns: peer_netns.cloned(),
            up: true,
            arp: true,
        },
    }
}

/// A wire between two links of this namespace, over which frames pass.
pub(crate) async fn wire(netlink: &Netlink, name: &str, other: &str) -> (u32, u32) {
    let mut watch = LinkWatch::here().unwrap();
    let ends = netlink.create_veth(&veth(name, other, None)).await.unwrap();
    for end in [ends.0, ends.1] {
        operational(&mut watch, netlink, end).await;
    }
    ends
}

/// Waits until frames pass over a link.
pub(crate) async fn operational(watch: &mut LinkWatch, netlink: &Netlink, index: u32) {
    while !netlink.link_by_index(index).await.unwrap().unwrap().operational {
        watch.next().await.unwrap();
    }
}

/// A bridge in the namespace of the calling thread, up, that forwards at once.
pub(crate) async fn bridge(netlink: &Netlink, name: &str) -> u32 {
    run(&format!("ip link add {name} type bridge"));
    run(&format!("ip link set {name} up"));
    netlink.link(name).await.unwrap().unwrap().index
}

/// A machine on a bridge: a namespace that `eth0` connects to the bridge.
pub(crate) struct Station {
    pub(crate) netns: Netns,
    pub(crate) eth0: u32,
    /// The bridge port it is plugged into.
    pub(crate) port: u32,
}

impl Station {
    /// Plugs a machine with that MAC address into a bridge. Both have no IPv6, and so are silent.
    pub(crate) async fn on(bridge: u32, name: &str, address: &str) -> Self {
        let netns = Netns::create().unwrap();
        net::sysctl::disable_ipv6_of_new_links(&netns).unwrap();
        let mut veth = veth(name, "eth0", Some(&netns));
        veth.master = Some(bridge);
        veth.peer.mac = Some(mac(address));
        let mut watch = LinkWatch::here().unwrap();
        let (port, eth0) = Netlink::here().unwrap().create_veth(&veth).await.unwrap();
        // The kernel lets a port forward a little after its link came up, from a work queue.
        forwarding(&mut watch, port).await;
        Self { netns, eth0, port }
    }

    pub(crate) fn socket(&self, filter: &Filter) -> PacketSocket {
        PacketSocket::open_in(&self.netns, self.eth0, filter, Sees::Incoming).unwrap()
    }
}

/// Waits until a bridge port forwards.
pub(crate) async fn forwarding(watch: &mut LinkWatch, port: u32) {
    port_state(watch, port, PortState::Forwarding).await;
}

/// Waits until a bridge port comes into a state.
pub(crate) async fn port_state(watch: &mut LinkWatch, port: u32, wanted: PortState) {
    loop {
        if let LinkChange::PortState { index, state, .. } = watch.next().await.unwrap()
            && (index, state) == (port, wanted)
        {
            return;
        }
    }
}

/// An Ethernet frame with a UDP datagram over IPv4, checksums right.
#[derive(Debug, Clone)]
pub(crate) struct Udp {
    pub(crate) to: MacAddr,
    pub(crate) from: MacAddr,
    pub(crate) source: ([u8; 4], u16),
    pub(crate) destination: ([u8; 4], u16),
    /// IPv4 options, a multiple of 4 bytes.
    pub(crate) options: Vec<u8>,
    /// Flags and fragment offset.
    pub(crate) fragment: u16,
    pub(crate) payload: Vec<u8>,
}

impl Udp {
    /// What a DHCP client sends first: broadcast from 0.0.0.0:68 to port 67.
    pub(crate) fn like_discover(from: MacAddr) -> Self {
        Self {
            to: MacAddr::BROADCAST,
            from,
            source: ([0; 4], 68),
            destination: ([255; 4], 67),
            options: Vec::new(),
            fragment: 0,
            payload: b"\x01\x01\x06\x00 from a client".to_vec(),
        }
    }

    /// What a server answers.
    pub(crate) fn like_offer(from: MacAddr, to: MacAddr) -> Self {
        Self {
            to,
            from,
            source: ([10, 0, 0, 1], 67),
            destination: ([10, 0, 0, 2], 68),
            payload: b"\x02\x01\x06\x00 from a server".to_vec(),
            ..Self::like_discover(from)
        }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let udp_len = 8 + self.payload.len() as u16;
        let header_len = 20 + self.options.len();
        let mut ip = vec![0x40 | (header_len / 4) as u8, 0];
        ip.extend((header_len as u16 + udp_len).to_be_bytes());
        ip.extend([0, 1]);
        ip.extend(self.fragment.to_be_bytes());
        ip.extend([64, 17, 0, 0]);
        ip.extend(self.source.0);
        ip.extend(self.destination.0);
        ip.extend(&self.options);
        let sum = checksum(&ip);
        ip[10..12].copy_from_slice(&sum.to_be_bytes());

        let mut udp = Vec::new();
        udp.extend(self.source.1.to_be_bytes());
        udp.extend(self.destination.1.to_be_bytes());
        udp.extend(udp_len.to_be_bytes());
        udp.extend([0, 0]);
        udp.extend(&self.payload);
        let mut pseudo = Vec::new();
        pseudo.extend(self.source.0);
        pseudo.extend(self.destination.0);
        pseudo.extend([0, 17]);
        pseudo.extend(udp_len.to_be_bytes());
        pseudo.extend(&udp);
        let sum = checksum(&pseudo);
        udp[6..8].copy_from_slice(&sum.to_be_bytes());

        let mut frame = Vec::new();
        frame.extend(self.to.0);
        frame.extend(self.from.0);
        frame.extend([8, 0]);
        frame.extend(ip);
        frame.extend(udp);
        frame
    }
}

/// An Ethernet frame with IPv6, whose transport checksum is left out: no filter looks at it.
#[derive(Debug, Clone)]
pub(crate) struct Ipv6 {
    pub(crate) to: MacAddr,
    pub(crate) from: MacAddr,
    pub(crate) source: [u8; 16],
    pub(crate) destination: [u8; 16],
    pub(crate) next_header: u8,
    pub(crate) hop_limit: u8,
    pub(crate) payload: Vec<u8>,
}

impl Ipv6 {
    /// ICMPv6 of that type to all nodes, from this link.
    pub(crate) fn icmp(from: MacAddr, kind: u8, rest: &[u8]) -> Self {
        Self {
            to: mac("33:33:00:00:00:01"),
            from,
            source: "fe80::1".parse::<Ipv6Addr>().unwrap().octets(),
            destination: "ff02::1".parse::<Ipv6Addr>().unwrap().octets(),
            next_header: 58,
            hop_limit: 255,
            payload: [&[kind, 0, 0, 0], rest].concat(),
        }
    }

    /// A neighbour solicitation (135) or advertisement (136) about an address.
    pub(crate) fn neighbour(from: MacAddr, kind: u8, target: Ipv6Addr) -> Self {
        Self::icmp(from, kind, &[&[0; 4], &target.octets()[..]].concat())
    }

    /// A router's advertisement of itself.
    pub(crate) fn router(from: MacAddr) -> Self {
        Self::icmp(from, 134, &[64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0])
    }

    /// What a DHCPv6 server sends to a client, from that port to that port.
    pub(crate) fn udp(from: MacAddr, to: MacAddr, ports: (u16, u16), payload: &[u8]) -> Self {
        let length = (8 + payload.len() as u16).to_be_bytes();
        let header = [ports.0.to_be_bytes(), ports.1.to_be_bytes(), length, [0, 0]].concat();
        Self {
            to,
            next_header: 17,
            hop_limit: 64,
            payload: [&header[..], payload].concat(),
            ..Self::icmp(from, 0, &[])
        }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut frame = [self.to.0, self.from.0].concat();
        frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
        frame.extend((self.payload.len() as u16).to_be_bytes());
        frame.extend([self.next_header, self.hop_limit]);
        frame.extend(self.source);
        frame.extend(self.destination);
        frame.extend(&self.payload);
        frame
    }
}

/// The frame with an IEEE 802.1Q tag.
pub(crate) fn tagged(bytes: &[u8], control_information: u16) -> Vec<u8> {
    let tag = [[0x81, 0], control_information.to_be_bytes()].concat();
    [&bytes[..12], &tag, &bytes[12..]].concat()
}

/// The Internet checksum (RFC 1071).
pub(crate) fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = bytes
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// An ARP request: who has `target`?
pub(crate) fn arp_request(from: MacAddr, sender: [u8; 4], target: [u8; 4]) -> Vec<u8> {
    let mut frame = Vec::new();
    frame.extend(MacAddr::BROADCAST.0);
    frame.extend(from.0);
    frame.extend([0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1]);
    frame.extend(from.0);
    frame.extend(sender);
    frame.extend([0; 6]);
    frame.extend(target);
    frame
}

/// Receives one frame.
pub(crate) async fn frame(socket: &PacketSocket) -> Vec<u8> {
    let mut buffer = vec![0; 2048];
    let received = socket.recv(&mut buffer).await.unwrap();
    buffer.truncate(received.len);
    buffer
}

/// Sees every frame on a link, in both directions: what no filter of the crate lets through.
pub(crate) struct Sniffer(tokio::io::unix::AsyncFd<OwnedFd>);

impl Sniffer {
    pub(crate) fn on(ifindex: u32) -> Self {
        let socket = Socket::new(Domain::PACKET, Type::RAW.nonblocking(), None).unwrap();
        // SAFETY: `sockaddr_storage` is large enough for the `sockaddr_ll` that is written to its
        // beginning, and is all zero otherwise.
        let ((), address) = unsafe {
            SockAddr::try_init(|storage, length| {
                let address = storage.cast::<libc::sockaddr_ll>();
                (*address).sll_family = libc::AF_PACKET as u16;
                (*address).sll_protocol = (libc::ETH_P_ALL as u16).to_be();
                (*address).sll_ifindex = ifindex as i32;
                *length = size_of::<libc::sockaddr_ll>() as u32;
                Ok(())
            })
        }
        .unwrap();
        socket.bind(&address).unwrap();
        // SAFETY: the `OwnedFd` moves in and keeps its descriptor.
        Self(unsafe { tokio::io::unix::AsyncFd::register(socket.into()) }.unwrap())
    }

    pub(crate) async fn next(&self) -> Vec<u8> {
        let mut buffer = vec![0; 2048];
        loop {
            let mut ready = self.0.readable().await.unwrap();
            match nix::sys::socket::recv(
                self.0.get_ref().as_raw_fd(),
                &mut buffer,
                MsgFlags::MSG_DONTWAIT,
            ) {
                Ok(length) => return buffer[..length].to_vec(),
                Err(nix::Error::EAGAIN) => ready.clear_ready(),
                Err(error) => panic!("sniffing: {error}"),
            }
        }
    }
}

pub(crate) fn source(frame: &[u8]) -> MacAddr {
    MacAddr(frame[6..12].try_into().unwrap())
}
