//! What the process keeps: the rules, and the addresses of the names that they name.

use core::cell::UnsafeCell;
use core::ffi::{CStr, c_char, c_int};
use core::sync::atomic::{AtomicBool, Ordering};

use crate::addresses::Addresses;
use crate::real;
use crate::rules::Rules;
use crate::wire::SHIM_VARIABLE;

/// The addresses of the names that the rules name.
pub static ADDRESSES: Addresses = Addresses::EMPTY;

static RULES: Once = Once { rules: UnsafeCell::new(Rules::EMPTY), is_ready: AtomicBool::new(false) };

/// Rules that are written once, before they are ready.
struct Once {
    rules: UnsafeCell<Rules>,
    is_ready: AtomicBool,
}

// SAFETY: the rules are written only by `start`, which the loader calls once, before `is_ready` is set; after that they
// are only read.
unsafe impl Sync for Once {}

/// Returns the rules, if there are any.
pub fn rules() -> Option<&'static Rules> {
    // SAFETY: see `Sync`.
    RULES.is_ready.load(Ordering::Acquire).then(|| unsafe { &*RULES.rules.get() })
}

/// The loader calls this when the library is loaded, before the program starts. glibc passes the arguments of `main`.
#[used]
#[cfg_attr(not(test), unsafe(link_section = ".init_array"))]
static START: unsafe extern "C" fn(c_int, *const *const c_char, *const *const c_char) = start;

unsafe extern "C" fn start(_: c_int, _: *const *const c_char, mut environment: *const *const c_char) {
    // SAFETY: the environment is a list of pointers that ends with a null pointer (environ(7)).
    let next = || unsafe {
        let variable = *environment;
        environment = environment.add(1);
        // SAFETY: each variable ends with 0.
        (!variable.is_null()).then(|| CStr::from_ptr(variable).to_bytes())
    };
    let mut variables = core::iter::from_fn(next);
    let text = variables.find_map(|variable| variable.strip_prefix(SHIM_VARIABLE.as_bytes())?.strip_prefix(b"="));
    let Some(text) = text else { return };
    real::find_all();
    // SAFETY: see `Sync`: nothing reads the rules before they are ready.
    let rules = unsafe { &mut *RULES.rules.get() };
    if rules.read(text).is_some() {
        RULES.is_ready.store(true, Ordering::Release);
    }
}
