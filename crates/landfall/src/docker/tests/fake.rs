//! An engine that does what the test says, and tells what it was asked.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use ipnet::Ipv4Net;
use tokio::sync::Semaphore;

use crate::docker::driver::{Driver, Reply};
use crate::engine::api::{
    AddressRequest, Attachment, Health, JoinRequest, Joined, NewEndpoint, NewNetwork, Pool,
    PoolRequest,
};
use crate::engine::ids::{EndpointId, NetworkId};
use crate::engine::pool::PoolId;

/// What every call comes to.
#[derive(Clone)]
pub(super) enum Does {
    /// Success, with what [`Fake`] holds.
    Answer,
    /// An error with this text.
    Refuse(&'static str),
    Panic,
    /// Nothing, ever.
    Hang,
}

#[derive(Clone)]
pub(super) struct Fake {
    pub(super) does: Does,
    pub(super) attachment: Attachment,
    pub(super) joined: Joined,
    pub(super) pool: Pool,
    /// What it was asked, as debug text.
    asked: Arc<Mutex<Vec<String>>>,
    /// A permit for each call that has begun.
    pub(super) begun: Arc<Semaphore>,
    /// A permit for each call that was dropped before it was done.
    pub(super) dropped: Arc<Semaphore>,
}

impl Fake {
    pub(super) fn new(does: Does) -> Self {
        Fake {
            does,
            attachment: Attachment {
                mac: Some("02:1f:00:00:00:07".parse().unwrap()),
                address: Some("192.168.7.20/24".parse().unwrap()),
                address6: None,
            },
            joined: Joined {
                link: "lf-7a-2".to_owned(),
                prefix: "eth".to_owned(),
                name: None,
                gateway: Some("192.168.7.1".parse().unwrap()),
                routes: Vec::new(),
            },
            pool: Pool {
                id: "bridge:br0:192.168.7.0/24".parse().unwrap(),
                gateway: Some("192.168.7.1".parse().unwrap()),
            },
            asked: Arc::default(),
            begun: Arc::new(Semaphore::new(0)),
            dropped: Arc::new(Semaphore::new(0)),
        }
    }

    /// What it was asked since the last time.
    pub(super) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }

    async fn act<T>(&self, asked: String, answer: T) -> Result<T, String> {
        self.asked.lock().unwrap().push(asked);
        let mut under_way = UnderWay { dropped: Some(&self.dropped) };
        self.begun.add_permits(1);
        let result = match self.does {
            Does::Answer => Ok(answer),
            Does::Refuse(text) => Err(text.to_owned()),
            Does::Panic => panic!("as the script says"),
            Does::Hang => std::future::pending().await,
        };
        under_way.dropped = None;
        result
    }
}

struct UnderWay<'a> {
    dropped: Option<&'a Semaphore>,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if let Some(dropped) = self.dropped {
            dropped.add_permits(1);
        }
    }
}

impl Driver for Fake {
    type Error = String;

    fn create_network(&self, new: NewNetwork) -> impl Reply<(), Self> {
        self.act(format!("{new:?}"), ())
    }

    fn delete_network(&self, id: &NetworkId) -> impl Reply<(), Self> {
        self.act(format!("delete network {id:?}"), ())
    }

    fn create_endpoint(&self, new: NewEndpoint) -> impl Reply<Attachment, Self> {
        self.act(format!("{new:?}"), self.attachment.clone())
    }

    fn join(&self, request: JoinRequest) -> impl Reply<Joined, Self> {
        self.act(format!("{request:?}"), self.joined.clone())
    }

    fn leave(&self, network: &NetworkId, endpoint: &EndpointId) -> impl Reply<(), Self> {
        self.act(format!("leave {network:?} {endpoint:?}"), ())
    }

    fn delete_endpoint(&self, network: &NetworkId, endpoint: &EndpointId) -> impl Reply<(), Self> {
        self.act(format!("delete endpoint {network:?} {endpoint:?}"), ())
    }

    fn endpoint_info(
        &self,
        network: &NetworkId,
        endpoint: &EndpointId,
    ) -> Vec<(&'static str, String)> {
        self.asked.lock().unwrap().push(format!("info {network:?} {endpoint:?}"));
        match self.does {
            Does::Answer => vec![("address", self.attachment.address.unwrap().to_string())],
            Does::Panic => panic!("as the script says"),
            Does::Refuse(_) | Does::Hang => Vec::new(),
        }
    }

    fn choose_way_out(&self, network: &NetworkId, endpoint: &EndpointId, chosen: bool) {
        let asked = format!("way out {network:?} {endpoint:?} {chosen}");
        self.asked.lock().unwrap().push(asked);
    }

    fn request_pool(&self, request: PoolRequest) -> impl Reply<Pool, Self> {
        self.act(format!("{request:?}"), self.pool.clone())
    }

    fn release_pool(&self, pool: &PoolId) -> impl Reply<(), Self> {
        self.act(format!("release pool {pool}"), ())
    }

    fn networks_of(&self, _: &PoolId) -> Vec<NetworkId> {
        Vec::new()
    }

    fn request_address(&self, request: AddressRequest) -> impl Reply<Ipv4Net, Self> {
        self.act(format!("{request:?}"), self.attachment.address.unwrap())
    }

    fn release_address(&self, pool: &PoolId, address: Ipv4Addr) -> impl Reply<(), Self> {
        self.act(format!("release address {address} of {pool}"), ())
    }

    fn health(&self) -> Health {
        Health { healthy: true, instance_id: "7a2c".to_owned(), ..Health::default() }
    }
}
