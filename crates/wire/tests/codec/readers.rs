//! Every reader of options, for the tests here and for `crates/hostile`.

use std::hint::black_box;

use wire::dhcp4::Options;

/// Reads all there is to read; what counts is that it ends, without a panic.
pub(crate) fn read_all(options: &Options) {
    black_box(options.message_type());
    black_box(options.server_id());
    black_box(options.requested_address());
    black_box(options.lease_time());
    black_box(options.renewal_time());
    black_box(options.rebinding_time());
    black_box(options.subnet_mask());
    black_box(options.prefix_len());
    black_box(options.routers());
    black_box(options.dns_servers());
    black_box(options.ntp_servers());
    black_box(options.broadcast_address());
    black_box(options.domain_name());
    black_box(options.host_name());
    black_box(options.search_list());
    black_box(options.mtu());
    black_box(options.max_message_size());
    black_box(options.parameter_request_list());
    black_box(options.message());
    black_box(options.client_id());
    black_box(options.classless_routes());
    black_box(options.ipv6_only_preferred());
}
