//! Any text in `SNAPBACK_FAULTS` is either refused, or its configuration stays the same when it is written and read
//! again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use snapback::model::invocation::ProxyConfig;

fuzz_target!(|text: &str| {
    let Ok(mut config) = ProxyConfig::parse(text) else { return };
    let written = config.to_text();
    config.ignored.clear();
    assert_eq!(ProxyConfig::parse(&written).as_ref(), Ok(&config), "{written}");
});
