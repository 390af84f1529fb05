//! Whatever stands in `SNAPBACK_FAULTS`: it is refused, or what is read of it means the same when it is written and read
//! again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use snapback::model::invocation::Orders;

fuzz_target!(|text: &str| {
    let Ok(mut orders) = Orders::parse(text) else { return };
    let written = orders.to_text();
    orders.left_out.clear();
    assert_eq!(Orders::parse(&written).as_ref(), Ok(&orders), "{written}");
});
