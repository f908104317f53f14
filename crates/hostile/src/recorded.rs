//! What was recorded of real servers, routers, engines and earlier versions: where a search for what breaks something
//! begins.

use std::fs;
use std::path::Path;

/// Ethernet, IP and UDP.
const UDP4: usize = 14 + 20 + 8;
const UDP6: usize = 14 + 40 + 8;
/// Ethernet and IPv6.
const ICMP6: usize = 14 + 40;

/// The inputs to begin with for one of the modules, by its name; none for those that take whatever comes.
///
/// # Panics
///
/// If this is not run in the source tree.
pub fn inputs(module: &str) -> Vec<Vec<u8>> {
    match module {
        "frame_decode" => frames("").collect(),
        "dhcp4_decode" => behind(UDP4, ["ack", "nak"]).collect(),
        "dhcp6_decode" => behind(UDP6, ["advertise", "reply"]).collect(),
        // Its first two bytes choose the addresses.
        "nd_decode" => {
            behind(ICMP6, ["advertisement"]).map(|message| [vec![0, 0], message].concat()).collect()
        }
        "plugin_body" => lines("landfall/src/docker/tests/recorded", '{'),
        "store_record" => lines("landfall/src/store/fixtures", '{'),
        _ => Vec::new(),
    }
}

/// What lies `offset` bytes into the frames of these kinds.
fn behind<const N: usize>(offset: usize, kinds: [&str; N]) -> impl Iterator<Item = Vec<u8>> {
    kinds.into_iter().flat_map(frames).map(move |mut frame| frame.split_off(offset))
}

/// The recorded frames whose name ends in `kind`.
fn frames(kind: &str) -> impl Iterator<Item = Vec<u8>> + use<> {
    let end = format!("{kind}.hex");
    files("wire/tests/codec/captured")
        .into_iter()
        .filter(move |(name, _)| name.ends_with(&end))
        .map(|(name, text)| {
            let digits: Vec<u32> = text.chars().filter_map(|digit| digit.to_digit(16)).collect();
            assert!(digits.len() > 2 * UDP6, "{name} is a frame");
            digits.chunks_exact(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
        })
}

/// From where `start` is, each line of the files in this folder that has it.
fn lines(folder: &str, start: char) -> Vec<Vec<u8>> {
    let of = |text: &str| -> Vec<Vec<u8>> {
        text.lines()
            .filter_map(|line| Some(line.as_bytes()[line.find(start)?..].to_vec()))
            .collect()
    };
    files(folder).iter().flat_map(|(_, text)| of(text)).collect()
}

/// The files of a folder of the workspace's crates, by their names.
fn files(folder: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("crates").join(folder);
    let mut files: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("a folder's entry"))
        .filter(|entry| entry.path().is_file())
        .map(|entry| {
            let text = fs::read_to_string(entry.path()).expect("text");
            (entry.file_name().to_string_lossy().into_owned(), text)
        })
        .collect();
    files.sort();
    files
}
