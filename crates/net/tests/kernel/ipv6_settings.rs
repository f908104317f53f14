//! Settings of IPv6 on an interface in another namespace, and the way to a link-local address.

use std::net::{Ipv6Addr, SocketAddrV6, UdpSocket};
use std::time::{Duration, Instant};

use ipnet::Ipv6Net;
use net::sysctl::{AddressGeneration, Ipv6Settings, ipv6_of};
use net::{AddressFlags, Lifetime, LinkWatch, Netlink, Netns};

use crate::common::{Sniffer, in_fresh_netns, mac, operational, run, source, veth};

/// What the kernel would make of the MAC address 02:00:00:00:00:01.
const BY_MAC: &str = "fe80::ff:fe00:1/64";
const OF_ITS_OWN: &str = "fe80::1234/64";

/// A container: a namespace with an interface that is up and has no IPv6.
struct Container {
    netns: Netns,
    links: Netlink,
    eth0: u32,
    /// Hears what is on the wire.
    sniffer: Sniffer,
}

impl Container {
    async fn new() -> Self {
        Self::with("eth0").await
    }

    async fn with(name: &str) -> Self {
        let netlink = Netlink::here().unwrap();
        let netns = Netns::create().unwrap();
        for netns in [&netns, &Netns::current().unwrap()] {
            net::sysctl::disable_ipv6_of_new_links(netns).unwrap();
        }
        let mut watch = LinkWatch::here().unwrap();
        let (port, eth0) = netlink.create_veth(&veth("lf-1", name, Some(&netns))).await.unwrap();
        operational(&mut watch, &netlink, port).await;
        let links = Netlink::in_netns(&netns).unwrap();
        Self { netns, links, eth0, sniffer: Sniffer::on(port) }
    }

    async fn set(&self, settings: Ipv6Settings) {
        ipv6_of(&self.netns, "eth0", settings).await.unwrap();
    }

    fn shown(&self, name: &str) -> String {
        let file = format!("/proc/sys/net/ipv6/conf/eth0/{name}");
        self.netns.run(|| std::fs::read_to_string(file).unwrap()).unwrap().trim().to_owned()
    }

    /// IPv6 is on, and no link-local address is there.
    async fn turned_on(&self) {
        self.set(Ipv6Settings {
            disable: Some(false),
            accept_ra: Some(0),
            addr_gen_mode: Some(AddressGeneration::NoLinkLocal),
            ..Ipv6Settings::default()
        })
        .await;
    }

    async fn put(&self, address: &str) {
        let (address, flags) = (address.parse().unwrap(), AddressFlags::NO_DAD);
        let put = self.links.replace_address_v6(self.eth0, address, Lifetime::FOREVER, flags);
        put.await.unwrap();
    }

    async fn addresses(&self) -> Vec<String> {
        let listed = self.links.addresses(Some(self.eth0)).await.unwrap();
        let mut listed: Vec<_> = listed.iter().map(|found| found.address.to_string()).collect();
        listed.sort();
        listed
    }

    /// What the container says within some time: ICMPv6 types, with the source addresses.
    async fn says(&self, within: Duration) -> Vec<(u8, Ipv6Addr)> {
        let mut said = Vec::new();
        let listen = async {
            loop {
                let frame = self.sniffer.next().await;
                if source(&frame) != mac("02:00:00:00:00:01") || frame[12..14] != [0x86, 0xdd] {
                    continue;
                }
                let kind = match frame[20] {
                    58 => frame[54],
                    0 => frame[62], // a report
                    _ => continue,
                };
                said.push((kind, Ipv6Addr::from(<[u8; 16]>::try_from(&frame[22..38]).unwrap())));
            }
        };
        let _: Result<(), _> = tokio::time::timeout(within, listen).await;
        said
    }
}

const REPORT: u8 = 143;

#[test]
fn what_is_set_is_set_and_the_rest_stays() {
    in_fresh_netns(|| async {
        let container = Container::new().await;
        let names = [
            "accept_ra",
            "autoconf",
            "use_tempaddr",
            "addr_gen_mode",
            "dad_transmits",
            "hop_limit",
            "disable_ipv6",
            "mtu",
            "accept_ra_defrtr",
            "accept_ra_pinfo",
        ];
        let all = || names.map(|name| container.shown(name));
        let before = all();
        container.set(Ipv6Settings::default()).await;
        assert_eq!(all(), before);
        container
            .set(Ipv6Settings {
                disable: Some(false),
                accept_ra: Some(0),
                autoconf: Some(false),
                use_tempaddr: Some(0),
                addr_gen_mode: Some(AddressGeneration::NoLinkLocal),
                dad_transmits: Some(0),
                hop_limit: Some(32),
                mtu: Some(1400),
            })
            .await;
        let now = ["0", "0", "0", "1", "0", "32", "0", "1400"].map(str::to_owned);
        assert_eq!(all()[..8], now);
        assert_eq!(all()[8..], before[8..]);
        container.set(Ipv6Settings { hop_limit: Some(64), ..Ipv6Settings::default() }).await;
        assert_eq!(container.shown("hop_limit"), "64");
        assert_eq!(container.shown("mtu"), "1400");
        container.set(Ipv6Settings { disable: Some(true), ..Ipv6Settings::default() }).await;
        assert_eq!(container.shown("disable_ipv6"), "1");
        // Of this namespace nothing was changed.
        let here = std::fs::read_to_string("/proc/sys/net/ipv6/conf/lf-1/hop_limit").unwrap();
        assert_eq!(here.trim(), "64");
    });
}

#[test]
fn names_with_dots_are_names_and_paths_are_not() {
    in_fresh_netns(|| async {
        let container = Container::with("eth0.5..7").await;
        let hop_limit =
            |hop_limit| Ipv6Settings { hop_limit: Some(hop_limit), ..Ipv6Settings::default() };
        ipv6_of(&container.netns, "eth0.5..7", hop_limit(9)).await.unwrap();
        let shown = container.netns.run(|| {
            std::fs::read_to_string("/proc/sys/net/ipv6/conf/eth0.5..7/hop_limit").unwrap()
        });
        assert_eq!(shown.unwrap().trim(), "9");
        for name in [
            "",
            ".",
            "..",
            "../conf/lo",
            "all",
            "default",
            "a b",
            "a:b",
            "a\0",
            "lo/",
            "sixteen-letters.",
            "/",
        ] {
            let error = ipv6_of(&container.netns, name, hop_limit(9)).await.unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EINVAL), "{name}: {error}");
        }
        let error = ipv6_of(&container.netns, "eth7", hop_limit(9)).await.unwrap_err();
        assert!(error.is_not_found(), "{error}");
        assert!(error.to_string().contains("interface \"eth7\""), "{error}");
        let settings = Ipv6Settings { mtu: Some(1000), ..Ipv6Settings::default() };
        let error = ipv6_of(&container.netns, "eth0.5..7", settings).await.unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EINVAL), "{error}");
        let text = "write 1000 to sysctl net/ipv6/conf/eth0.5..7/mtu";
        assert!(error.to_string().starts_with(text), "{error}");
    });
}

#[test]
fn a_link_local_address_is_there_in_milliseconds() {
    in_fresh_netns(|| async {
        for (address, back) in [(BY_MAC, true), (OF_ITS_OWN, false)] {
            let container = Container::new().await;
            container.turned_on().await;
            assert_eq!(container.says(Duration::from_millis(300)).await, [], "IPv6 is on");
            assert_eq!(container.addresses().await, [] as [&str; 0]);
            let begin = Instant::now();
            container.put(address).await;
            let own = address.parse::<Ipv6Net>().unwrap().addr();
            let usable = || {
                let from = SocketAddrV6::new(own, 0, 0, container.eth0);
                let all_routers =
                    SocketAddrV6::new("ff02::2".parse().unwrap(), 9, 0, container.eth0);
                UdpSocket::bind(from).and_then(|socket| socket.send_to(b"", all_routers)).is_ok()
            };
            while !container.netns.run(usable).unwrap() {
                tokio::time::sleep(Duration::from_micros(100)).await;
            }
            let took = begin.elapsed();
            assert!(took < Duration::from_millis(200), "{took:?}");
            if back {
                container
                    .set(Ipv6Settings {
                        addr_gen_mode: Some(AddressGeneration::Eui64),
                        ..Ipv6Settings::default()
                    })
                    .await;
            }
            let said = container.says(Duration::from_millis(1500)).await;
            assert!(said.iter().all(|what| *what == (REPORT, own)), "{said:?}");
            assert!((1..=6).contains(&said.len()), "{said:?}");
            assert_eq!(container.addresses().await, [address]);
            container.links.delete_link(container.eth0).await.unwrap();
        }
    });
}

#[test]
fn a_second_link_local_address_comes_where_the_kernel_makes_its_own() {
    in_fresh_netns(|| async {
        let container = Container::new().await;
        container.turned_on().await;
        container.put(OF_ITS_OWN).await;
        let addr_gen_mode = Some(AddressGeneration::Eui64);
        container.set(Ipv6Settings { addr_gen_mode, ..Ipv6Settings::default() }).await;
        assert_eq!(container.addresses().await, [OF_ITS_OWN, BY_MAC]);
    });
}

#[test]
fn a_link_that_was_down_has_an_address_again_only_if_the_kernel_makes_it() {
    in_fresh_netns(|| async {
        for (mode, wanted) in
            [(AddressGeneration::NoLinkLocal, &[][..]), (AddressGeneration::Eui64, &[BY_MAC])]
        {
            let container = Container::new().await;
            container.turned_on().await;
            container.put(BY_MAC).await;
            container
                .set(Ipv6Settings { addr_gen_mode: Some(mode), ..Ipv6Settings::default() })
                .await;
            container.links.set_down(container.eth0).await.unwrap();
            assert_eq!(container.addresses().await, [] as [&str; 0]);
            container.links.set_up(container.eth0).await.unwrap();
            tokio::time::sleep(Duration::from_millis(200)).await;
            assert_eq!(container.addresses().await, wanted, "{mode:?}");
            container.links.delete_link(container.eth0).await.unwrap();
        }
    });
}

#[test]
fn without_ipv6_on_the_link_there_is_nothing_to_set() {
    in_fresh_netns(|| async {
        let container = Container::new().await;
        container.netns.run(|| run("ip link set eth0 mtu 1279")).unwrap();
        let settings = Ipv6Settings { accept_ra: Some(0), ..Ipv6Settings::default() };
        let error = ipv6_of(&container.netns, "eth0", settings).await.unwrap_err();
        assert!(error.is_not_found(), "{error}");
    });
}
