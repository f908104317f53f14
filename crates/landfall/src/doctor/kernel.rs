//! The kernel: new enough, and with what links and filters are made of, tried in a namespace that
//! is thrown away.

use std::fs;

use net::{Netlink, Netns, Peer, PortTable, Veth};
use wire::MacAddr;

use super::report::{Finding, check};

/// The oldest kernel that the crate `net` works with.
const OLDEST: (u32, u32) = (4, 20);

/// What was tried, and what came of it.
#[derive(Debug)]
struct Feature {
    name: &'static str,
    /// What the kernel must have been built with, or have as a module.
    option: &'static str,
    /// What is lost without it; `None`: everything.
    loss: Option<&'static str>,
    failure: Option<String>,
}

/// Looks at this machine's. `may`: doctor may make links and namespaces.
pub(super) async fn examine(may: bool) -> Vec<Finding> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let features = if may { features().await } else { Ok(Vec::new()) };
    judge(release.trim(), features)
}

async fn features() -> net::Result<Vec<Feature>> {
    let netns = Netns::create()?;
    let links = Netlink::in_netns(&netns)?;
    let feature = |name, option, loss, result: net::Result<()>| Feature {
        name,
        option,
        loss,
        failure: result.err().map(|error| error.to_string()),
    };
    let bridge = links.add_link("bridge", "bridge", None).await;
    let (veth, ends) = match links.create_veth(&veth()).await {
        Ok((outer, _)) => (Ok(()), Some(outer)),
        Err(error) => (Err(error), None),
    };
    let mut all = vec![
        feature("bridge", "CONFIG_BRIDGE", None, bridge),
        feature("veth", "CONFIG_VETH", None, veth),
    ];
    if let Some(outer) = ends {
        let macvlan = links.add_link("macvlan", "macvlan", Some(outer)).await;
        let clsact = links.guard_dhcp(outer).await;
        all.push(feature(
            "macvlan",
            "CONFIG_MACVLAN",
            Some("nothing but networks on a parent interface needs it"),
            macvlan,
        ));
        all.push(feature(
            "clsact",
            "CONFIG_NET_SCH_INGRESS, CONFIG_NET_CLS_BPF",
            Some("a container that plays DHCP server cannot be kept quiet"),
            clsact,
        ));
    }
    all.push(feature(
        "BPF",
        "CONFIG_BPF_SYSCALL",
        Some("the daemon wakes for each ARP question on the LAN"),
        PortTable::new(16).map(drop),
    ));
    Ok(all)
}

fn veth() -> Veth {
    Veth {
        name: "outer".to_owned(),
        mac: MacAddr([0xfe, 0, 0, 0, 0, 1]),
        mtu: 1500,
        master: None,
        up: false,
        peer: Peer {
            name: "inner".to_owned(),
            mac: None,
            mtu: None,
            netns: None,
            up: false,
            arp: false,
        },
    }
}

fn judge(release: &str, features: net::Result<Vec<Feature>>) -> Vec<Finding> {
    let subject = format!("Linux {release}");
    if version(release).is_some_and(|found| found < OLDEST) {
        return vec![
            Finding::error(check::KERNEL, subject, "too old")
                .advise(format!("Landfall needs {}.{} or later", OLDEST.0, OLDEST.1)),
        ];
    }
    let features = match features {
        Ok(features) => features,
        Err(error) => {
            let seen = format!("what it can do was not tried: {error}");
            return vec![Finding::note(check::KERNEL, subject, seen)];
        }
    };
    let works: Vec<&str> =
        features.iter().filter(|feature| feature.failure.is_none()).map(|f| f.name).collect();
    let seen = if works.is_empty() {
        "new enough".to_owned()
    } else {
        format!("new enough; tried and working: {}", works.join(", "))
    };
    let mut findings = vec![Finding::ok(check::KERNEL, &subject, seen)];
    for Feature { name, option, loss, failure } in features {
        let Some(failure) = failure else { continue };
        let seen = format!("no {name}: {failure}");
        findings.push(match loss {
            None => Finding::error(check::KERNEL, &subject, seen)
                .advise(format!("load the module, or use a kernel with {option}")),
            Some(loss) => {
                Finding::note(check::KERNEL, &subject, seen).advise(format!("{loss} ({option})"))
            }
        });
    }
    findings
}

/// `6.18` of `6.18.44-amd64`.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|byte: char| !byte.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::super::report::Report;
    use super::*;

    #[test]
    fn what_is_said_of_a_kernel() {
        let feature = |name, loss, failure: Option<&str>| Feature {
            name,
            option: "CONFIG_IT",
            loss,
            failure: failure.map(str::to_owned),
        };
        let said = |release, features| Report::new(judge(release, Ok(features))).text();
        let mut all = said("4.19.0-27-amd64", vec![]) + &said("6.18.44", vec![]);
        let refused = Some("make link: Operation not supported");
        all += &said(
            "5.10.0",
            vec![
                feature("bridge", None, None),
                feature("veth", None, refused),
                feature("BPF", Some("it costs more"), refused),
            ],
        );
        insta::assert_snapshot!(all);
    }

    #[test]
    fn versions() {
        assert_eq!(version("6.18.44-fc"), Some((6, 18)));
        assert_eq!(version("5.4"), Some((5, 4)));
        assert_eq!(version(""), None);
    }

    /// On the machines that the tests run on all of it is there.
    #[tokio::test]
    async fn what_this_kernel_has() {
        let names: Vec<_> =
            features().await.unwrap().into_iter().map(|f| (f.name, f.failure)).collect();
        let wanted = ["bridge", "veth", "macvlan", "clsact", "BPF"].map(|name| (name, None));
        assert_eq!(names, wanted);
    }
}
