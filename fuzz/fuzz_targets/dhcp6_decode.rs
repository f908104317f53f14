#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    hostile::dhcp6_decode::run(bytes);
});
