//! Virtual links of any kind, as they are by default.

use rtnetlink::packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::link::{InfoKind, LinkAttribute, LinkInfo, LinkMessage};

use crate::{Netlink, Result};

impl Netlink {
    /// Makes a link of a kind ("bridge", "dummy"; "macvlan" on the link with the index `parent`)
    /// with the kernel's defaults, down. The kernel loads the kind's module if it has one.
    ///
    /// # Errors
    /// EOPNOTSUPP when the kernel does not know the kind; [`crate::Error::is_exists`] when the
    /// name is taken; [`crate::Error::is_denied`] without CAP_NET_ADMIN.
    pub async fn add_link(&self, name: &str, kind: &str, parent: Option<u32>) -> Result<()> {
        let mut message = LinkMessage::default();
        message.attributes.push(LinkAttribute::IfName(name.to_owned()));
        message.attributes.extend(parent.map(LinkAttribute::Link));
        let kind_info = LinkInfo::Kind(InfoKind::Other(kind.to_owned()));
        message.attributes.push(LinkAttribute::LinkInfo(vec![kind_info]));
        let tried = format!("make {name}, a link of the kind {kind}");
        self.change(RouteNetlinkMessage::NewLink(message), NLM_F_CREATE | NLM_F_EXCL, &tried).await
    }
}

#[cfg(test)]
mod tests {
    use nix::errno::Errno;

    use crate::{Netlink, Netns};

    #[tokio::test]
    async fn links_of_a_kind() {
        let netns = Netns::create().unwrap();
        let links = Netlink::in_netns(&netns).unwrap();
        links.add_link("one", "bridge", None).await.unwrap();
        let one = links.link("one").await.unwrap().unwrap();
        assert_eq!((one.kind.as_deref(), one.up), (Some("bridge"), false));
        links.add_link("two", "macvlan", Some(one.index)).await.unwrap();
        let two = links.link("two").await.unwrap().unwrap();
        assert_eq!((two.kind.as_deref(), two.peer_index), (Some("macvlan"), Some(one.index)));

        let taken = links.add_link("one", "bridge", None).await.unwrap_err();
        assert!(taken.is_exists(), "{taken}");
        let unknown = links.add_link("three", "wormhole", None).await.unwrap_err();
        assert_eq!(unknown.raw_os_error(), Some(Errno::EOPNOTSUPP as i32), "{unknown}");
        assert_eq!(links.link("three").await.unwrap(), None);
    }
}
