//! Every reader on whatever options: for the tests here and for `crates/hostile`.

use std::hint::black_box;

use wire::dhcp6::Options;

/// Reads all that there is to read, and what is nested in it. How deep it goes is up to the caller
/// of the codec: here two levels, which is as deep as the RFC goes.
pub(crate) fn read_all(options: Options<'_>) {
    read_level(options);
    for ia in options.ia_na().chain(options.ia_ta()).chain(options.ia_pd()) {
        read_level(ia.options);
        for address in ia.options.addresses() {
            read_level(address.options);
        }
        for prefix in ia.options.prefixes() {
            assert!(prefix.length <= 128);
            read_level(prefix.options);
        }
    }
}

fn read_level(options: Options<'_>) {
    black_box(format!("{options:?}"));
    black_box((options.client_id(), options.server_id(), options.status().code));
    let message = options.status().message();
    assert!(message.is_none_or(|text| (1..=255).contains(&text.len()) && text.is_ascii()));
    black_box((options.preference(), options.elapsed_time(), options.rapid_commit()));
    black_box((options.reconfigure_accept(), options.addr_reg_enable()));
    black_box((options.option_request().count(), options.user_class().count()));
    for class in options.vendor_classes() {
        black_box((class.enterprise, class.classes().count()));
    }
    for server in options.dns_servers() {
        assert!(!server.is_unspecified() && !server.is_multicast() && !server.is_loopback());
    }
    let domains = options.domain_list();
    assert!(domains.len() <= 32 && domains.iter().all(|name| is_harmless(name)));
    let name = options.client_fqdn().and_then(|fqdn| fqdn.name);
    assert!(name.is_none_or(|name| is_harmless(&name)));
    let bounds = |seconds: Option<u32>| seconds.is_none_or(|s| (60..=86_400).contains(&s));
    assert!(bounds(options.sol_max_rt()) && bounds(options.inf_max_rt()));
    black_box((options.information_refresh_time(), options.is_empty(), options.is_whole()));
}

/// Fit to stand in a configuration file without quotes.
fn is_harmless(name: &str) -> bool {
    let harmless = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=253).contains(&name.len()) && name.bytes().all(harmless)
}
