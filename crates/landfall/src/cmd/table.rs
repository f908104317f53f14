//! The status as a table for people.

use std::fmt::Write;
use std::iter;

use comfy_table::{Table, presets};
use jiff::Timestamp;

use super::humane;
use crate::engine::api::{EndpointStatus, HELD, OFF, Status, WARM};

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

/// Columns that a narrow terminal does without, the first of them first. An address that is broken
/// over two lines helps nobody, so cells are never wrapped.
const DISPENSABLE: [&str; 4] = ["NETWORK", "SERVER", "INTERFACE", "MAC"];

/// What stands where there is nothing to show.
const NOTHING: &str = "-";

/// The endpoints by name, a line for each address, and a note for each whose address is not the one that
/// Docker shows. Where the table would be wider than `width`, if given, IPv6 addresses, which are long, get lines of
/// their own below the endpoint's; then columns are left out.
/// Without `headers` there are no notes either.
pub(super) fn render(status: &Status, now: Timestamp, width: Option<u16>, headers: bool) -> String {
    let mut endpoints: Vec<_> = status.endpoints.iter().collect();
    endpoints.sort_by_cached_key(|endpoint| (name(endpoint), endpoint.id.clone()));
    if endpoints.is_empty() {
        return if headers { nobody(status) } else { String::new() };
    }

    let form = form(&endpoints, now, width, headers);
    let mut text = String::new();
    let lines = form.table.lines().map(|line| line.trim_end().to_owned() + "\n");
    if form.below {
        let of_rows = endpoints.iter().map(|endpoint| ipv6(endpoint));
        let below = iter::repeat_n(Vec::new(), usize::from(headers)).chain(of_rows);
        for (line, below) in lines.zip(below) {
            text += &line;
            text.extend(below.iter().map(|address| format!("  {address}\n")));
        }
    } else {
        text.extend(lines);
    }
    if !headers {
        return text;
    }
    // Writing to a string cannot fail.
    if let [_, ..] = form.left_out {
        let _ = writeln!(
            text,
            "note: a wider terminal shows {} as well, and --json shows all",
            form.left_out.join(", ")
        );
    }
    for endpoint in endpoints {
        if let (None, Some(again)) = (endpoint.address, endpoint.renews_at) {
            let _ = writeln!(
                text,
                "note: the DHCP server would have {} do without IPv4 (option 108); it is asked again in {}",
                name(endpoint),
                humane::until(again, now),
            );
        }
        if let Some(shown) = endpoint.docker_shows {
            let has = endpoint.address.map_or("none now".to_owned(), |real| format!("{real} now"));
            let _ = writeln!(
                text,
                "note: Docker still shows {shown} for {}, which has {has}; restart the container \
                 to put that right",
                name(endpoint),
            );
        }
        if let Some(shown) = endpoint.ipv6.as_ref().and_then(|ipv6| ipv6.docker_shows) {
            let _ = writeln!(
                text,
                "note: Docker still shows {shown} for {}, which does not have it any more; restart \
                 the container to put that right",
                name(endpoint),
            );
        }
    }
    text
}

/// How the table fits.
struct Form {
    table: Table,
    /// Whether IPv6 addresses are not in it, but below its lines.
    below: bool,
    left_out: &'static [&'static str],
}

/// The first that is no wider than it may be; else the narrowest.
fn form(endpoints: &[&EndpointStatus], now: Timestamp, width: Option<u16>, headers: bool) -> Form {
    let made = |below: bool, left_out: &'static [&'static str]| {
        let between = match (headers, below) {
            (_, true) => None,
            (true, false) => Some("\n"),
            (false, false) => Some(","),
        };
        let rows: Vec<_> = endpoints.iter().map(|endpoint| row(endpoint, now, between)).collect();
        Form { table: table(&rows, left_out, headers), below, left_out }
    };
    let fits = |form: &Form| width.is_none_or(|width| table_width(&form.table) <= width.into());
    let mut form = made(false, &[]);
    let mut left_out = 0;
    while !fits(&form)
        && let Some(hidden) = DISPENSABLE.get(..left_out)
    {
        form = made(true, hidden);
        left_out += 1;
    }
    form
}

fn table(rows: &[[String; 9]], without: &[&str], headers: bool) -> Table {
    let shown = |cells: [String; 9]| {
        let cells = HEADERS.into_iter().zip(cells);
        cells.filter(|(header, _)| !without.contains(header)).map(|(_, cell)| cell)
    };
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if headers {
        table.set_header(shown(HEADERS.map(str::to_owned)));
    }
    for row in rows {
        table.add_row(shown(row.clone()));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table
}

/// Without the space after the last column.
fn table_width(table: &Table) -> usize {
    let columns = table.column_max_content_widths();
    columns.iter().map(|&content| usize::from(content) + 2).sum::<usize>().saturating_sub(2)
}

fn nobody(status: &Status) -> String {
    let networks = match status.networks.len() {
        0 => "no network".to_owned(),
        1 => "1 network".to_owned(),
        many => format!("{many} networks"),
    };
    format!("No containers ({networks}).\n")
}

/// The cells, in the order of [`HEADERS`]. `between`: what stands between an endpoint's addresses; none: its IPv6 addresses
/// are not among them.
fn row(endpoint: &EndpointStatus, now: Timestamp, between: Option<&str>) -> [String; 9] {
    let lease = |time: Option<Timestamp>| match (endpoint.address, time) {
        (None, _) => NOTHING.to_owned(),
        (Some(_), None) => "never".to_owned(),
        (Some(_), Some(time)) => humane::until(time, now),
    };
    let mut addresses: Vec<String> = endpoint.address.iter().map(ToString::to_string).collect();
    if between.is_some() {
        addresses.extend(ipv6(endpoint));
    }
    if addresses.is_empty() {
        addresses.push(NOTHING.to_owned());
    }
    [
        name(endpoint),
        endpoint.network.short().to_owned(),
        endpoint.interface.as_deref().map_or(NOTHING.to_owned(), plain),
        endpoint.mac.to_string(),
        addresses.join(between.unwrap_or_default()),
        endpoint.server.map_or(NOTHING.to_owned(), |server| server.to_string()),
        // Its client is bound, but the container that could use the lease has ended, or is yet to come.
        match endpoint.held_until {
            Some(_) => HELD.to_owned(),
            None if endpoint.spare => WARM.to_owned(),
            None => plain(state(endpoint)),
        },
        lease(endpoint.renews_at),
        lease(endpoint.expires_at),
    ]
}

/// That of DHCPv4; where there is no IPv4, that of IPv6.
fn state(endpoint: &EndpointStatus) -> &str {
    match &endpoint.ipv6 {
        Some(ipv6) if endpoint.state == OFF => &ipv6.state,
        _ => &endpoint.state,
    }
}

fn ipv6(endpoint: &EndpointStatus) -> Vec<String> {
    let all = endpoint.ipv6.iter().flat_map(|ipv6| &ipv6.addresses);
    all.map(|address| address.address.to_string()).collect()
}

/// The host name and the container's short id, as far as they are known. The host name that Docker
/// gives by itself is the short id already.
pub(super) fn name(endpoint: &EndpointStatus) -> String {
    let id = endpoint.container.as_ref().map(|id| id.chars().take(12).collect::<String>());
    let (host, id) = (endpoint.host_name.as_deref().map(plain), id.as_deref().map(plain));
    match (host, id) {
        (Some(host), Some(id)) if host != id => format!("{host} ({id})"),
        (Some(name), _) | (None, Some(name)) => name,
        (None, None) => format!("endpoint {}", endpoint.id.short()),
    }
}

/// Text that a container chose must not steer the terminal.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::sample;

    fn shown(width: Option<u16>, headers: bool) -> String {
        render(&sample::status(), sample::now(), width, headers)
    }

    #[test]
    fn as_wide_as_it_must_be() {
        insta::assert_snapshot!(shown(None, true), @r"
        CONTAINER              NETWORK       INTERFACE  MAC                ADDRESS                      SERVER       STATE      RENEWS IN  EXPIRES IN
        c0ffee2b3c4d           0c4e2a1889b1  eth1       02:1f:3a:00:00:09  10.9.0.200/16                10.9.0.1     REBINDING  now        40s
        db (77aa2b3c4d5e)      b3ac5f6d0c4e  eth0       02:1f:3a:00:00:07  192.168.7.121/24             192.168.7.1  BOUND      never      never
                                                                           2001:db8:7:0:1f:3aff:fe00:7
                                                                           2001:db8:7::1:21
        endpoint 5f4e3d2c1b0a  b3ac5f6d0c4e  -          02:1f:3a:00:00:08  -                            -            SELECTING  -          -
        mail (88bb2b3c4d5e)    b3ac5f6d0c4e  -          02:1f:3a:00:00:0a  192.168.7.22/24              192.168.7.1  HELD       4m 12s     1h 59m
        web (1a2b3c4d5e6f)     b3ac5f6d0c4e  eth0       02:00:00:00:00:42  192.168.7.20/24              192.168.7.1  BOUND      4m 12s     1h 59m
        note: Docker still shows 192.168.7.21/24 for db (77aa2b3c4d5e), which has 192.168.7.121/24 now; restart the container to put that right
        note: Docker still shows 2001:db8:7::1:20/128 for db (77aa2b3c4d5e), which does not have it any more; restart the container to put that right
        ");
    }

    #[test]
    fn rows_only() {
        let rows = shown(None, false);
        let names: Vec<_> = rows.lines().map(|row| row.split("  ").next().unwrap()).collect();
        assert_eq!(
            names,
            [
                "c0ffee2b3c4d",
                "db (77aa2b3c4d5e)",
                "endpoint 5f4e3d2c1b0a",
                "mail (88bb2b3c4d5e)",
                "web (1a2b3c4d5e6f)",
            ]
        );
    }

    #[test]
    fn in_a_narrow_terminal() {
        insta::assert_snapshot!(shown(Some(80), true), @r"
        CONTAINER              ADDRESS           STATE      RENEWS IN  EXPIRES IN
        c0ffee2b3c4d           10.9.0.200/16     REBINDING  now        40s
        db (77aa2b3c4d5e)      192.168.7.121/24  BOUND      never      never
          2001:db8:7:0:1f:3aff:fe00:7
          2001:db8:7::1:21
        endpoint 5f4e3d2c1b0a  -                 SELECTING  -          -
        mail (88bb2b3c4d5e)    192.168.7.22/24   HELD       4m 12s     1h 59m
        web (1a2b3c4d5e6f)     192.168.7.20/24   BOUND      4m 12s     1h 59m
        note: a wider terminal shows NETWORK, SERVER, INTERFACE, MAC as well, and --json shows all
        note: Docker still shows 192.168.7.21/24 for db (77aa2b3c4d5e), which has 192.168.7.121/24 now; restart the container to put that right
        note: Docker still shows 2001:db8:7::1:20/128 for db (77aa2b3c4d5e), which does not have it any more; restart the container to put that right
        ");
    }

    #[test]
    fn no_wider_than_the_terminal() {
        let all = shown(None, true);
        let rows = |text: &str| {
            let rows = text.lines().take_while(|line| !line.starts_with("note:"));
            rows.map(str::to_owned).collect::<Vec<_>>()
        };
        let widest = rows(&all).iter().map(String::len).max().unwrap();
        let width = |columns| u16::try_from(columns).unwrap();
        assert_eq!(shown(Some(width(widest)), true), all);
        let mut status = sample::status();
        let longest = "2001:db8:1234:5678:9abc:def0:1234:5678".parse().unwrap();
        for address in
            status.endpoints.iter_mut().flat_map(|e| &mut e.ipv6).flat_map(|v6| &mut v6.addresses)
        {
            address.address = longest;
        }
        for columns in [widest - 1, 100, 90, 80] {
            let text = render(&status, sample::now(), Some(width(columns)), true);
            let too_wide = rows(&text).into_iter().find(|line| line.len() > columns);
            assert_eq!(too_wide, None, "{columns} columns: {text}");
        }
    }

    #[test]
    fn whoever_does_without_ipv4_for_a_while_is_named() {
        let mut status = sample::status();
        let starting = &mut status.endpoints[3];
        starting.renews_at = Some("2026-11-22T08:30:00Z".parse().unwrap());
        let text = render(&status, sample::now(), None, true);
        let note = "note: the DHCP server would have endpoint 5f4e3d2c1b0a do without IPv4 (option 108); \
                    it is asked again in 30m";
        assert!(text.contains(note), "{text}");
    }

    #[test]
    fn without_ipv4_the_state_is_that_of_ipv6() {
        let mut status = sample::status();
        let moved = &mut status.endpoints[1];
        moved.state = OFF.to_owned();
        moved.address = None;
        let text = render(&status, sample::now(), None, false);
        let row = text.lines().find(|row| row.starts_with("db ")).unwrap();
        assert!(row.contains("CONFIGURED") && !row.contains(OFF), "{row}");
    }

    #[test]
    fn without_containers() {
        let mut status = sample::status();
        status.endpoints.clear();
        assert_eq!(render(&status, sample::now(), None, true), "No containers (2 networks).\n");
        assert_eq!(render(&status, sample::now(), None, false), "");
        status.networks.clear();
        assert_eq!(render(&status, sample::now(), None, true), "No containers (no network).\n");
    }

    #[test]
    fn a_name_does_not_steer_the_terminal() {
        let mut status = sample::status();
        status.endpoints[0].host_name = Some("\u{1b}[2Jweb\nx".to_owned());
        status.endpoints[0].interface = Some("\u{1b}[2J".to_owned());
        let text = render(&status, sample::now(), None, true);
        assert!(!text.contains('\u{1b}'), "{text:?}");
        assert!(text.contains("?[2Jweb?x"), "{text}");
    }
}
