//! CreateEndpoint and Join alone, against the server's own time to answer.

use std::time::{Duration, SystemTime};

use lab::{Capture, DhcpSummary};

use crate::Result;
use crate::disk::Disk;
use crate::driver::{Driver, id};
use crate::figure::{Effort, Figure, Samples, Section, TIMES};
use crate::site::Site;

/// Option 53.
const DISCOVER: u8 = 1;
const OFFER: u8 = 2;
const REQUEST: u8 = 3;
const ACK: u8 = 5;

/// The server is a few links away: it has answered, and the capture has read it, long before this.
const SOON: Duration = Duration::from_secs(5);

/// Calls CreateEndpoint and Join one after the other, and removes the endpoint again.
pub(crate) fn measure(site: &Site, effort: Effort) -> Result<Section> {
    let driver = Driver::new(site.landfall.plugin_socket());
    let network = id(0x5a);
    driver.create_network(&network, site.lan.bridge(), &[])?;
    let capture = Capture::start(site.lan.router_ns(), "eth0")?;
    let [mut nothing, mut write, mut create, mut join, mut server] =
        [const { Samples(Vec::new()) }; 5];
    let mut disk = Disk::new(&site.beside_state)?;
    let warm_up = effort.of(10, 2);
    for n in 0..warm_up + effort.of(300, 20) {
        let (endpoint_id, mac) =
            (id(0x5a_0000 + n), format!("02:5a:00:00:{:02x}:{:02x}", n >> 8, n & 255));
        let [mut created, mut joined] = [const { Samples(Vec::new()) }; 2];
        let mark = capture.mark();
        let endpoint = created.time(|| driver.create_endpoint(&network, &endpoint_id, &mac))?;
        let key = format!("/run/docker/netns/{}", endpoint_id.get(..12).unwrap_or_default());
        joined.time(|| driver.join(&endpoint, &key))?;
        let answered = answering_time(&capture, mark, &mac)?;
        driver.remove_endpoint(&endpoint)?;
        // What one such call and one such write cost at this moment, whatever they are for.
        nothing.time(|| driver.capabilities())?;
        write.time(|| disk.write())?;
        if n >= warm_up {
            server.push(answered);
            create.0.extend(created.0);
            join.0.extend(joined.0);
        }
    }
    driver.delete_network(&network)?;
    let whole = Samples(create.0.iter().zip(&join.0).map(|(c, j)| c + j).collect());
    let share = whole.less(&server);
    let name = "Landfall's own share of CreateEndpoint + Join";
    Ok(Section {
        title: "CreateEndpoint and Join alone",
        how: "Calls on the plugin socket, one after the other, a connection each. The server's time is from DISCOVER to \
              OFFER and from REQUEST to ACK, by the kernel's time stamps at the server's interface; all else is \
              Landfall's share, its durable writes included."
            .to_owned(),
        head: TIMES.to_vec(),
        rows: vec![
            create.row("CreateEndpoint"),
            join.row("Join"),
            server.row("the server's answers"),
            share.row("Landfall's own share"),
            nothing.row("for comparison: a call that does nothing"),
            write.row("for comparison: one durable write of 4 KiB on the same disk"),
        ],
        figures: vec![
            Figure::median("CreateEndpoint", "ms", &create),
            Figure::median("Join", "ms", &join),
            Figure::median("the server's answers", "ms", &server),
            Figure::median("a call that does nothing", "ms", &nothing),
            Figure::median("a durable write", "ms", &write),
            Figure::median(format!("{name}, p50"), "ms", &share).at_most(5.0),
            Figure::new(format!("{name}, p99"), "ms", share.percentile(99.0)).at_most(20.0),
        ],
    })
}

/// How long the server took for its two answers to a MAC among the frames since `mark`.
fn answering_time(capture: &Capture, mark: usize, mac: &str) -> Result<Duration> {
    let of = |kind: u8| {
        let about = |m: DhcpSummary| m.kind == kind && m.mac == mac;
        let what = format!("message {kind} about {mac}");
        capture.wait_after(mark, &what, SOON, |frame| frame.dhcp().is_some_and(about))
    };
    let between = |asked: SystemTime, answered: SystemTime| answered.duration_since(asked);
    let offered = between(of(DISCOVER)?.at, of(OFFER)?.at)?;
    let acknowledged = between(of(REQUEST)?.at, of(ACK)?.at)?;
    Ok(offered + acknowledged)
}
