//! The MTU that a DHCP server names (option 26), on a container's interface.
//!
//! Only the container's end has it. The bridge keeps its own, which no end of a link there may exceed.

use dhcp::v4::Lease;
use net::sysctl::{Ipv6Settings, ipv6_of};

use super::ids::EndpointId;
use super::sandbox::Sandbox;
use super::{Engine, container_link};
use crate::store::NetworkRecord;

/// The smallest with which there is IPv6 (RFC 8200 §5): on a link with less the kernel turns it off.
const LEAST_OF_IPV6: u32 = 1280;

impl Engine {
    /// Gives a container's link the MTU of its lease before it is in a sandbox.
    pub(super) async fn apply_mtu_outside(
        &self,
        id: &EndpointId,
        network: &NetworkRecord,
        lease: &Lease,
    ) -> net::Result<()> {
        if let Some(mtu) = self.mtu(network, lease).await?
            && let Some(link) = self.0.host.link(&container_link(id)).await?
            && link.mtu != mtu
        {
            self.0.host.set_mtu(link.index, mtu).await?;
        }
        Ok(())
    }

    /// Gives a container's interface the MTU of its lease. `of_ipv6`: what a router says, which the kernel forgets
    /// with each change.
    pub(super) async fn apply_mtu(
        &self,
        network: &NetworkRecord,
        sandbox: &mut Sandbox,
        lease: &Lease,
        of_ipv6: Option<u16>,
    ) -> net::Result<()> {
        let Some(mtu) = self.mtu(network, lease).await?.filter(|mtu| *mtu != sandbox.mtu) else {
            return Ok(());
        };
        tracing::info!(
            interface = sandbox.interface, mtu, said = ?lease.options.mtu(), "the MTU changes"
        );
        sandbox.links.set_mtu(sandbox.ifindex, mtu).await?;
        sandbox.mtu = mtu;
        if let Some(of_ipv6) = of_ipv6 {
            let settings =
                Ipv6Settings { mtu: Some(mtu.min(of_ipv6.into())), ..Ipv6Settings::default() };
            ipv6_of(&sandbox.netns, &sandbox.interface, settings).await?;
        }
        Ok(())
    }

    /// What a container's interface is to have; none: it is left as it is.
    async fn mtu(&self, network: &NetworkRecord, lease: &Lease) -> net::Result<Option<u32>> {
        let options = &network.options;
        if !options.applied.mtu {
            return Ok(None);
        }
        let uplink = self.0.host.link(&options.interface).await?;
        Ok(uplink.map(|uplink| fitting(lease.options.mtu(), uplink.mtu, options.ipv6.is_some())))
    }
}

/// What a server says, made to fit: `most` is the MTU of the bridge or the parent, and what an interface has of which
/// the server says nothing.
fn fitting(said: Option<u16>, most: u32, ipv6: bool) -> u32 {
    let least = if ipv6 { LEAST_OF_IPV6 } else { 0 };
    said.map_or(most, |said| u32::from(said).max(least).min(most))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_mtu_is_no_more_than_the_bridges_and_enough_for_ipv6() {
        for (said, most, ipv6, mtu) in [
            (None, 1500, false, 1500),
            (Some(1400), 1500, false, 1400),
            (Some(9000), 1500, false, 1500),
            (Some(9000), 9000, true, 9000),
            (Some(576), 1500, false, 576),
            (Some(576), 1500, true, 1280),
            // A bridge that is too narrow itself.
            (Some(576), 1000, true, 1000),
        ] {
            assert_eq!(fitting(said, most, ipv6), mtu, "{said:?} {most} {ipv6}");
        }
    }
}
