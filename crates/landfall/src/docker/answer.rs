//! What the engine gets back: JSON under the plugin protocol's media type, never an empty body.

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::collections::BTreeMap;

use crate::engine::api::{Attachment, Joined, StaticRoute};

const MEDIA_TYPE: HeaderValue =
    HeaderValue::from_static("application/vnd.docker.plugins.v1.2+json");

/// A call's answer, with status 200.
pub(super) struct Answer<T>(pub(super) T);

impl<T: Serialize> IntoResponse for Answer<T> {
    fn into_response(self) -> Response {
        match serde_json::to_string(&self.0) {
            Ok(body) => respond(StatusCode::OK, body),
            Err(error) => Failure::Bug(format!("cannot write the answer: {error}")).into_response(),
        }
    }
}

fn respond(status: StatusCode, body: String) -> Response {
    (status, [(CONTENT_TYPE, MEDIA_TYPE)], body).into_response()
}

/// Why a call has no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum Failure {
    /// The engine says no; the text is for the user.
    #[error("{0}")]
    Refused(String),
    /// The same of a call of the IPAM driver's.
    #[error("{0}")]
    NoAddress(String),
    /// The request is not one of the protocol's.
    #[error("bad request: {0}")]
    Malformed(String),
    /// The body is larger than any that an engine sends.
    #[error("bad request: the body is larger than {} bytes", super::body::MAX_BODY)]
    TooLarge,
    /// No such call.
    #[error("Landfall has no {0:.80}: it is a network and IPAM driver")]
    UnknownPath(String),
    /// Calls are posted.
    #[error("bad request: calls of the plugin protocol are POST requests")]
    NotPost,
    /// The daemon stops before the call was finished.
    #[error("Landfall is stopping, and has undone what it had begun: try again once it runs")]
    Stopping,
    /// A fault of Landfall's own.
    #[error("this is a fault in Landfall, please report it: {0}")]
    Bug(String),
}

impl Failure {
    /// A refusal becomes `remote: TEXT` at the user's terminal if its status is 200, else
    /// `NetworkDriver.CreateEndpoint: TEXT`. The engine has written "failed to create endpoint web
    /// on network lan" before it in either case, so the name of the call would only say it again:
    /// 200. What is wrong with the talk between the two daemons concerns their maintainers, for
    /// whom the call's name matters: 4xx and 5xx. The engine does the same after either, and does
    /// not try again.
    fn status(&self) -> StatusCode {
        match self {
            Failure::Refused(_) | Failure::NoAddress(_) => StatusCode::OK,
            Failure::Malformed(_) => StatusCode::BAD_REQUEST,
            Failure::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Failure::UnknownPath(_) => StatusCode::NOT_FOUND,
            Failure::NotPost => StatusCode::METHOD_NOT_ALLOWED,
            Failure::Stopping => StatusCode::SERVICE_UNAVAILABLE,
            Failure::Bug(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        // Without status 200 it is `Err` for either driver.
        let field = if matches!(self, Failure::NoAddress(_)) { "Error" } else { "Err" };
        let body = serde_json::json!({ field: self.to_string() }).to_string();
        let mut response = respond(self.status(), body);
        // The guard logs it.
        response.extensions_mut().insert(self);
        response
    }
}

/// `{}`.
#[derive(Serialize)]
pub(super) struct Done {}

/// To `Plugin.Activate`, which asks what kinds of plugin this is.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Activated {
    pub(super) implements: [&'static str; 2],
}

/// To `GetCapabilities`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Capabilities {
    pub(super) scope: &'static str,
    pub(super) connectivity_scope: &'static str,
}

/// To `AllocateNetwork`: the options that swarm hands to the nodes.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Allocated {
    pub(super) options: BTreeMap<String, String>,
}

/// To `EndpointOperInfo`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct OperInfo {
    pub(super) value: BTreeMap<&'static str, String>,
}

/// To `CreateEndpoint`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Created {
    interface: Interface,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Interface {
    address: String,
    #[serde(rename = "AddressIPv6", skip_serializing_if = "String::is_empty")]
    address_ipv6: String,
    mac_address: String,
}

impl Created {
    /// A field that was set in the request must come back empty, else the engine reports "driver
    /// modified interface": these say whether the address and the MAC were.
    pub(super) fn new(attachment: &Attachment, address_given: bool, mac_given: bool) -> Self {
        let address = attachment.address.filter(|_| !address_given);
        Created {
            interface: Interface {
                address: address.map(|address| address.to_string()).unwrap_or_default(),
                address_ipv6: attachment.address6.map(|a| a.to_string()).unwrap_or_default(),
                mac_address: match attachment.mac {
                    Some(mac) if !mac_given => mac.to_string(),
                    _ => String::new(),
                },
            },
        }
    }
}

/// To `Join`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct JoinAnswer {
    interface_name: InterfaceName,
    #[serde(skip_serializing_if = "Option::is_none")]
    gateway: Option<String>,
    static_routes: Vec<Route>,
    disable_gateway_service: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct InterfaceName {
    src_name: String,
    dst_prefix: String,
    /// Heeded by no engine up to 29.7 (`SetNames(SrcName, DstPrefix, "")` in its remote driver).
    #[serde(skip_serializing_if = "Option::is_none")]
    dst_name: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Route {
    destination: String,
    route_type: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_hop: Option<String>,
}

impl From<Joined> for JoinAnswer {
    /// Without a gateway the engine would put the container on `docker_gwbridge` as well and give
    /// it a way out by NAT, behind the LAN's back; `DisableGatewayService` keeps it from that.
    /// Since engine 25 the price is DNS: a sandbox with no gateway at all has its names answered
    /// from Docker's own networks only, and nothing is forwarded to the servers outside. On older
    /// engines, and for a container that has a gateway on another network, names resolve as ever.
    fn from(joined: Joined) -> Self {
        JoinAnswer {
            disable_gateway_service: joined.gateway.is_none(),
            interface_name: InterfaceName {
                src_name: joined.link,
                dst_prefix: joined.prefix,
                dst_name: joined.name,
            },
            gateway: joined.gateway.map(|router| router.to_string()),
            static_routes: joined.routes.into_iter().map(Route::from).collect(),
        }
    }
}

impl From<StaticRoute> for Route {
    fn from(route: StaticRoute) -> Self {
        /// Through a router, which must be reachable on a link by then.
        const NEXT_HOP: u8 = 0;
        /// On the endpoint's own link.
        const CONNECTED: u8 = 1;
        Route {
            destination: route.destination.to_string(),
            route_type: if route.via.is_some() { NEXT_HOP } else { CONNECTED },
            next_hop: route.via.map(|router| router.to_string()),
        }
    }
}
