//! What this front door asks of the engine.

use std::fmt::Display;
use std::future::Future;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use crate::engine::api::{
    AddressRequest, Attachment, Health, JoinRequest, Joined, NewEndpoint, NewNetwork, Pool,
    PoolRequest,
};
use crate::engine::ids::{EndpointId, NetworkId};
use crate::engine::pool::PoolId;
use crate::engine::{self, Engine};

/// The engine as Docker's calls see it. A trait, so that the tests of the wire put an engine with
/// a script behind the real sockets; each function does what [`Engine`]'s of that name does.
pub(crate) trait Driver: Clone + Send + Sync + 'static {
    /// Why the engine refuses, in words for the user.
    type Error: Display + Send;

    /// See [`Engine::create_network`].
    fn create_network(&self, new: NewNetwork) -> impl Reply<(), Self>;
    /// See [`Engine::delete_network`].
    fn delete_network(&self, id: &NetworkId) -> impl Reply<(), Self>;
    /// See [`Engine::create_endpoint`].
    fn create_endpoint(&self, new: NewEndpoint) -> impl Reply<Attachment, Self>;
    /// See [`Engine::join`].
    fn join(&self, request: JoinRequest) -> impl Reply<Joined, Self>;
    /// See [`Engine::leave`].
    fn leave(&self, network: &NetworkId, endpoint: &EndpointId) -> impl Reply<(), Self>;
    /// See [`Engine::delete_endpoint`].
    fn delete_endpoint(&self, network: &NetworkId, endpoint: &EndpointId) -> impl Reply<(), Self>;
    /// See [`Engine::endpoint_info`].
    fn endpoint_info(
        &self,
        network: &NetworkId,
        endpoint: &EndpointId,
    ) -> Vec<(&'static str, String)>;
    /// See [`Engine::choose_way_out`].
    fn choose_way_out(&self, network: &NetworkId, endpoint: &EndpointId, chosen: bool);
    /// See [`Engine::health`].
    fn health(&self) -> Health;
    /// See [`Engine::request_pool`].
    fn request_pool(&self, request: PoolRequest) -> impl Reply<Pool, Self>;
    /// See [`Engine::release_pool`].
    fn release_pool(&self, pool: &PoolId) -> impl Reply<(), Self>;
    /// See [`Engine::networks_of`].
    fn networks_of(&self, pool: &PoolId) -> Vec<NetworkId>;
    /// See [`Engine::request_address`].
    fn request_address(&self, request: AddressRequest) -> impl Reply<Ipv4Net, Self>;
    /// See [`Engine::release_address`].
    fn release_address(&self, pool: &PoolId, address: Ipv4Addr) -> impl Reply<(), Self>;
}

/// A call of the engine under way; dropping it undoes the call.
pub(crate) trait Reply<T, D: Driver>: Future<Output = Result<T, D::Error>> + Send {}

impl<T, D: Driver, F: Future<Output = Result<T, D::Error>> + Send> Reply<T, D> for F {}

impl Driver for Engine {
    type Error = engine::Error;

    fn create_network(&self, new: NewNetwork) -> impl Reply<(), Self> {
        Engine::create_network(self, new)
    }

    fn delete_network(&self, id: &NetworkId) -> impl Reply<(), Self> {
        Engine::delete_network(self, id)
    }

    fn create_endpoint(&self, new: NewEndpoint) -> impl Reply<Attachment, Self> {
        Engine::create_endpoint(self, new)
    }

    fn join(&self, request: JoinRequest) -> impl Reply<Joined, Self> {
        Engine::join(self, request)
    }

    fn leave(&self, network: &NetworkId, endpoint: &EndpointId) -> impl Reply<(), Self> {
        Engine::leave(self, network, endpoint)
    }

    fn delete_endpoint(&self, network: &NetworkId, endpoint: &EndpointId) -> impl Reply<(), Self> {
        Engine::delete_endpoint(self, network, endpoint)
    }

    fn endpoint_info(
        &self,
        network: &NetworkId,
        endpoint: &EndpointId,
    ) -> Vec<(&'static str, String)> {
        Engine::endpoint_info(self, network, endpoint)
    }

    fn choose_way_out(&self, network: &NetworkId, endpoint: &EndpointId, chosen: bool) {
        Engine::choose_way_out(self, network, endpoint, chosen);
    }

    fn health(&self) -> Health {
        Engine::health(self)
    }

    fn request_pool(&self, request: PoolRequest) -> impl Reply<Pool, Self> {
        Engine::request_pool(self, request)
    }

    fn release_pool(&self, pool: &PoolId) -> impl Reply<(), Self> {
        Engine::release_pool(self, pool)
    }

    fn networks_of(&self, pool: &PoolId) -> Vec<NetworkId> {
        Engine::networks_of(self, pool)
    }

    fn request_address(&self, request: AddressRequest) -> impl Reply<Ipv4Net, Self> {
        Engine::request_address(self, request)
    }

    fn release_address(&self, pool: &PoolId, address: Ipv4Addr) -> impl Reply<(), Self> {
        Engine::release_address(self, pool, address)
    }
}
