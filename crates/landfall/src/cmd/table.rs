//! The status as a table for people.

use std::fmt::Write;

use comfy_table::{Cell, ContentArrangement, Table, presets};
use jiff::Timestamp;

use super::humane;
use crate::engine::api::{EndpointStatus, Status};

const HEADERS: [&str; 9] = [
    "CONTAINER",
    "NETWORK",
    "INTERFACE",
    "MAC",
    "ADDRESS",
    "SERVER",
    "STATE",
    "RENEWS IN",
    "EXPIRES IN",
];

/// What stands where there is nothing to show.
const NOTHING: &str = "-";

/// The endpoints by name, a line each, and a note for each whose address is not the one that
/// Docker shows. Cells wrap where the table would be wider than `width`, if given.
pub(super) fn render(status: &Status, now: Timestamp, width: Option<u16>, headers: bool) -> String {
    let mut endpoints: Vec<_> = status.endpoints.iter().collect();
    endpoints.sort_by_cached_key(|endpoint| (name(endpoint), endpoint.id.clone()));

    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if let Some(width) = width {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    }
    if headers {
        table.set_header(HEADERS);
    }
    table.add_rows(endpoints.iter().map(|endpoint| row(endpoint, now)));
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let mut text = String::new();
    for line in table.lines() {
        text += line.trim_end();
        text.push('\n');
    }
    if endpoints.is_empty() {
        text.clear();
        if headers {
            text += &nobody(status);
        }
    }
    for endpoint in endpoints {
        if let (Some(shown), Some(real)) = (endpoint.docker_shows, endpoint.address) {
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "note: Docker still shows {shown} for {}, which has {real} since its lease \
                 changed; a restart of the container puts that right",
                name(endpoint),
            );
        }
    }
    text
}

fn nobody(status: &Status) -> String {
    let networks = match status.networks.len() {
        0 => "no network".to_owned(),
        1 => "1 network".to_owned(),
        many => format!("{many} networks"),
    };
    format!("No containers ({networks}).\n")
}

fn row(endpoint: &EndpointStatus, now: Timestamp) -> Vec<Cell> {
    let lease = |time: Option<Timestamp>| match (endpoint.address, time) {
        (None, _) => NOTHING.to_owned(),
        (Some(_), None) => "never".to_owned(),
        (Some(_), Some(time)) => humane::until(time, now),
    };
    [
        name(endpoint),
        endpoint.network.short().to_owned(),
        endpoint.interface.as_deref().map_or(NOTHING.to_owned(), plain),
        endpoint.mac.to_string(),
        endpoint.address.map_or(NOTHING.to_owned(), |address| address.to_string()),
        endpoint.server.map_or(NOTHING.to_owned(), |server| server.to_string()),
        plain(&endpoint.state),
        lease(endpoint.renews_at),
        lease(endpoint.expires_at),
    ]
    .map(Cell::new)
    .into()
}

/// The host name and the container's short id, as far as they are known. The host name that Docker
/// gives by itself is the short id already.
fn name(endpoint: &EndpointStatus) -> String {
    let id = endpoint.container.as_ref().map(|id| id.chars().take(12).collect::<String>());
    let (host, id) = (endpoint.host_name.as_deref().map(plain), id.as_deref().map(plain));
    match (host, id) {
        (Some(host), Some(id)) if host != id => format!("{host} ({id})"),
        (Some(name), _) | (None, Some(name)) => name,
        (None, None) => format!("endpoint {}", endpoint.id.short()),
    }
}

/// Text that a container chose must not steer the terminal.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}
