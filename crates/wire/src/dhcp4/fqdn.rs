//! The client's name as it is to stand in the DNS (RFC 4702).

use crate::names::labels;

/// S: the server is to tell the DNS which address belongs to the name (RFC 4702 §2.1).
const FLAG_S: u8 = 1;
/// E: the name is in labels, and not in the old ASCII form.
const FLAG_E: u8 = 4;
/// Both RCODE fields: a client's are 0 (RFC 4702 §2.2).
const RCODES: [u8; 2] = [0, 0];

/// The data of option 81 for a client whose server is to update the DNS. `None` for what is no name. One
/// without a dot is to be completed by the server.
pub fn fqdn_wish(name: &str) -> Option<Vec<u8>> {
    let mut data = vec![FLAG_S | FLAG_E];
    data.extend(RCODES);
    data.extend(labels(name)?);
    Some(data)
}
