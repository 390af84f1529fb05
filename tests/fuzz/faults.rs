//! Whatever stands in `SNAPBACK_FAULTS`: it is refused, or it means the same when it is written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use snapback::model::invocation::Orders;

fuzz_target!(|text: &str| {
    let Ok(orders) = Orders::parse(text) else { return };
    let written = orders.to_text();
    assert_eq!(Orders::parse(&written).as_ref(), Ok(&orders), "{written}");
});
