#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    hostile::store_record::run(bytes);
});
