//! Names: what a server may call a host or a domain, and lists of domains: compressed in DHCPv4
//! (RFC 3397), plain in DHCPv6 (RFC 8415 §10).

/// Longest domain name in text, without the final dot (RFC 1035 §2.3.4: 255 bytes on the wire).
const LONGEST_NAME: usize = 253;
/// Longest label (RFC 1035 §2.3.4).
const LONGEST_LABEL: usize = 63;
/// Most names taken from a search list. Two bytes of a compressed list can stand for a name of
/// 253, so it is the number of names that bounds the memory.
const MOST_NAMES: usize = 32;

/// The two high bits of a pointer (RFC 1035 §4.1.4).
const POINTER: u8 = 0xc0;

/// A host or domain name in option data, without trailing NULs (RFC 2132 §2) and final dot.
pub(crate) fn name(data: &[u8]) -> Option<String> {
    let data = without_trailing_nuls(data);
    let data = data.strip_suffix(b".").unwrap_or(data);
    let text = std::str::from_utf8(data).ok()?;
    is_name(text.as_bytes().split(|byte| *byte == b'.')).then(|| text.to_owned())
}

/// The names of a search list in order (RFC 3397 §2), at most 32; those left out that
/// [`name`] would not take. `None` when the structure is broken.
pub(crate) fn search_list(data: &[u8]) -> Option<Vec<String>> {
    let mut names = Vec::new();
    let mut start = 0;
    for _ in 0..MOST_NAMES {
        if start >= data.len() {
            break;
        }
        let (labels, next) = compressed_name(data, start)?;
        if is_name(labels.iter().copied()) {
            names.push(String::from_utf8_lossy(&labels.join(&b'.')).into_owned());
        }
        start = next;
    }
    Some(names)
}

/// The same without compression (RFC 8415 §10), a final name without its end included.
pub(crate) fn plain_list(mut data: &[u8]) -> Option<Vec<String>> {
    let mut names = Vec::new();
    while !data.is_empty() && names.len() < MOST_NAMES {
        let (name, rest) = plain_name(data)?;
        names.extend(name);
        data = rest;
    }
    Some(names)
}

/// A name of labels without compression, and what follows it. The end (an empty label) may be
/// missing, as in a name that is to be completed (RFC 4704 §4.2). The name is `None` when
/// [`name`] would not take it; all is `None` when the structure is broken.
pub(crate) fn plain_name(data: &[u8]) -> Option<(Option<String>, &[u8])> {
    let mut labels = Vec::new();
    let mut length = 0;
    let mut rest = data;
    while let Some((count, after)) = rest.split_first() {
        if *count == 0 {
            rest = after;
            break;
        }
        let count = Some(usize::from(*count)).filter(|count| *count <= LONGEST_LABEL)?;
        let (label, after) = after.split_at_checked(count)?;
        length += count + 1;
        if length > LONGEST_NAME + 1 {
            return None;
        }
        labels.push(label);
        rest = after;
    }
    let text = || String::from_utf8_lossy(&labels.join(&b'.')).into_owned();
    Some((is_name(labels.iter().copied()).then(text), rest))
}

/// `name` as labels without compression. One with a dot in it is qualified and has an end; one
/// without is to be completed by who reads it and has none (RFC 4704 §4.2). `None` for what is no
/// name.
pub(crate) fn labels(name: &str) -> Option<Vec<u8>> {
    let bare = name.strip_suffix('.').unwrap_or(name);
    if !is_name(bare.as_bytes().split(|byte| *byte == b'.')) {
        return None;
    }
    let mut out = Vec::with_capacity(bare.len() + 2);
    for label in bare.split('.') {
        // At most LONGEST_LABEL.
        out.push(label.len() as u8);
        out.extend_from_slice(label.as_bytes());
    }
    if name.contains('.') {
        out.push(0);
    }
    Some(out)
}

/// Option data that is text: some servers count C's end of a string with it.
pub(crate) fn without_trailing_nuls(mut data: &[u8]) -> &[u8] {
    while let [rest @ .., 0] = data {
        data = rest;
    }
    data
}

/// Whether labels consist of letters, digits, hyphens and underscores and make a name of allowed
/// length. Such a name can stand in a configuration file without quotes.
fn is_name<'a>(labels: impl Iterator<Item = &'a [u8]>) -> bool {
    let mut length = 0;
    for label in labels {
        length += label.len() + 1;
        let harmless = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if label.is_empty() || label.len() > LONGEST_LABEL || !label.iter().all(harmless) {
            return false;
        }
    }
    // Each label counts with a dot, of which the last one is not there.
    (1..=LONGEST_NAME + 1).contains(&length)
}

/// The labels of the name at `start`, and where the next name starts.
///
/// A pointer must lead to before the place that the last one led to (at first: the name's start),
/// so that a chain of them ends whatever the data.
fn compressed_name(data: &[u8], start: usize) -> Option<(Vec<&[u8]>, usize)> {
    let mut labels = Vec::new();
    let mut length = 0;
    let mut at = start;
    let mut earliest = start;
    let mut next = None;
    loop {
        match *data.get(at)? {
            0 => return Some((labels, next.unwrap_or(at + 1))),
            count if usize::from(count) <= LONGEST_LABEL => {
                let label = data.get(at + 1..)?.get(..usize::from(count))?;
                length += label.len() + 1;
                if length > LONGEST_NAME + 1 {
                    return None;
                }
                labels.push(label);
                at += 1 + label.len();
            }
            high if high & POINTER == POINTER => {
                let target = u16::from_be_bytes([high & !POINTER, *data.get(at + 1)?]).into();
                if target >= earliest {
                    return None;
                }
                next.get_or_insert(at + 2);
                (at, earliest) = (target, target);
            }
            _ => return None,
        }
    }
}
