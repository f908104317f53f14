#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    hostile::ipv6_client::run(bytes);
});
