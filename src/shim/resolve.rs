//! Stands in front of what resolves names: notes the addresses of those that a fault names, or fails.

use core::ffi::CStr;

use libc::{addrinfo, c_char, c_int, hostent, size_t};

use crate::ask::ask;
use crate::connect::is_over;
use crate::destination::{Destination, is_exempt};
use crate::real::{self, GetAddrInfo, GetHostByName, GetHostByName2, GetHostByName2R, GetHostByNameR};
use crate::rules::Purpose;
use crate::state::{ADDRESSES, rules};
use crate::wire::{Answer, HostSet, Question};

// The library's own numbers (netdb.h), which the libc crate does not have.
const HOST_NOT_FOUND: c_int = 1;
const TRY_AGAIN: c_int = 2;
const NO_RECOVERY: c_int = 3;

unsafe extern "C" {
    /// Returns the address of this thread's `h_errno` (gethostbyname(3)).
    safe fn __h_errno_location() -> *mut c_int;
}

/// getaddrinfo(3).
///
/// # Safety
/// As for libc's function.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn getaddrinfo(
    name: *const c_char,
    service: *const c_char,
    hints: *const addrinfo,
    results: *mut *mut addrinfo,
) -> c_int {
    // SAFETY: the type is that of the function.
    let Some(real) = (unsafe { real::GETADDRINFO.get::<GetAddrInfo>() }) else { return libc::EAI_FAIL };
    // SAFETY: the caller's promise.
    let Lookup { failure, hosts } = unsafe { look_up(name) };
    if let Some(failure) = failure {
        return failure;
    }
    // SAFETY: the caller's promise.
    let result = unsafe { real(name, service, hints, results) };
    if result == 0 && !hosts.is_empty() {
        // SAFETY: the call has succeeded, so there is a list, which ends with a null pointer (getaddrinfo(3)).
        let mut next = unsafe { *results };
        // SAFETY: as above.
        while let Some(entry) = unsafe { next.as_ref() } {
            // SAFETY: the entry describes a valid address.
            if let Some(to) = unsafe { Destination::read(entry.ai_addr, entry.ai_addrlen) } {
                note(to.address, hosts);
            }
            next = entry.ai_next;
        }
    }
    result
}

/// gethostbyname(3).
///
/// # Safety
/// As for libc's function.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn gethostbyname(name: *const c_char) -> *mut hostent {
    // SAFETY: the type is that of the function.
    let real = unsafe { real::GETHOSTBYNAME.get::<GetHostByName>() };
    // SAFETY: the caller's promise.
    unsafe { by_name(name, || real.map(|real| real(name))) }
}

/// gethostbyname2(3).
///
/// # Safety
/// As for libc's function.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn gethostbyname2(name: *const c_char, family: c_int) -> *mut hostent {
    // SAFETY: the type is that of the function.
    let real = unsafe { real::GETHOSTBYNAME2.get::<GetHostByName2>() };
    // SAFETY: the caller's promise.
    unsafe { by_name(name, || real.map(|real| real(name, family))) }
}

/// `gethostbyname_r(3)`.
///
/// # Safety
/// As for libc's function.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn gethostbyname_r(
    name: *const c_char,
    host: *mut hostent,
    room: *mut c_char,
    size: size_t,
    result: *mut *mut hostent,
    error: *mut c_int,
) -> c_int {
    // SAFETY: the type is that of the function.
    let real = unsafe { real::GETHOSTBYNAME_R.get::<GetHostByNameR>() };
    // SAFETY: the caller's promise.
    unsafe { by_name_r(name, result, error, || real.map(|real| real(name, host, room, size, result, error))) }
}

/// `gethostbyname2_r(3)`.
///
/// # Safety
/// As for libc's function.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn gethostbyname2_r(
    name: *const c_char,
    family: c_int,
    host: *mut hostent,
    room: *mut c_char,
    size: size_t,
    result: *mut *mut hostent,
    error: *mut c_int,
) -> c_int {
    // SAFETY: the type is that of the function.
    let real = unsafe { real::GETHOSTBYNAME2_R.get::<GetHostByName2R>() };
    // SAFETY: the caller's promise.
    unsafe { by_name_r(name, result, error, || real.map(|real| real(name, family, host, room, size, result, error))) }
}

/// # Safety
/// The name must be one for libc's functions, and `real` must return a result of one.
unsafe fn by_name(name: *const c_char, real: impl FnOnce() -> Option<*mut hostent>) -> *mut hostent {
    // SAFETY: the caller's promise.
    let Lookup { failure, hosts } = unsafe { look_up(name) };
    let found = match failure {
        Some(failure) => Err(h_errno(failure)),
        None => real().ok_or(NO_RECOVERY),
    };
    match found {
        Ok(found) => {
            // SAFETY: the caller's promise.
            unsafe { note_all(found, hosts) };
            found
        }
        Err(error) => {
            // SAFETY: the function returns a valid address.
            unsafe { *__h_errno_location() = error };
            core::ptr::null_mut()
        }
    }
}

/// # Safety
/// The pointers must be those for libc's functions, and `real` must return a result of one.
unsafe fn by_name_r(
    name: *const c_char,
    result: *mut *mut hostent,
    error: *mut c_int,
    real: impl FnOnce() -> Option<c_int>,
) -> c_int {
    // SAFETY: the caller's promise.
    let Lookup { failure, hosts } = unsafe { look_up(name) };
    let failed = match failure {
        Some(failure) => h_errno(failure),
        None => match real() {
            Some(code) => {
                if code == 0 {
                    // SAFETY: the caller's promise: the call has filled in the result.
                    unsafe { note_all(*result, hosts) };
                }
                return code;
            }
            None => NO_RECOVERY,
        },
    };
    // SAFETY: the caller's promise.
    unsafe { (*result, *error) = (core::ptr::null_mut(), failed) };
    // The same results as libc's: a name that does not exist is no failure of the call.
    if failed == HOST_NOT_FOUND { 0 } else { libc::EAGAIN }
}

fn h_errno(failure: c_int) -> c_int {
    if failure == libc::EAI_AGAIN { TRY_AGAIN } else { HOST_NOT_FOUND }
}

/// What the rules say about a name.
struct Lookup {
    /// The code of getaddrinfo(3) with which it must fail.
    failure: Option<c_int>,
    /// The hosts to which its addresses belong.
    hosts: HostSet,
}

/// # Safety
/// The name must be null, or end with 0.
unsafe fn look_up(name: *const c_char) -> Lookup {
    let mut lookup = Lookup { failure: None, hosts: HostSet::default() };
    let Some(rules) = rules().filter(|_| !name.is_null()) else { return lookup };
    // SAFETY: the caller's promise.
    let name = unsafe { CStr::from_ptr(name) }.to_bytes();
    let hosts = rules.of_name(name, Purpose::Resolve);
    if !hosts.is_empty() && !is_over(rules) {
        lookup.failure = match ask(rules, Question::Resolve { hosts }) {
            Answer::Fail(code) => Some(code),
            Answer::Pass | Answer::Through(_) => None,
        };
    }
    lookup.hosts = rules.of_name(name, Purpose::Connect);
    lookup
}

/// Notes the addresses of a result.
///
/// # Safety
/// The pointer must be null, or one to a result of libc's functions.
unsafe fn note_all(found: *const hostent, hosts: HostSet) {
    // SAFETY: the caller's promise.
    let Some(found) = (unsafe { found.as_ref() }).filter(|_| !hosts.is_empty()) else { return };
    let mut next = found.h_addr_list;
    // SAFETY: the list ends with a null pointer (gethostbyname(3)).
    while let Some(bytes) = unsafe { (*next).as_ref() } {
        let bytes: *const c_char = bytes;
        let address = match found.h_addrtype {
            libc::AF_INET => {
                // SAFETY: an IPv4 address has four bytes, which need not be aligned.
                let ipv4 = unsafe { bytes.cast::<[u8; 4]>().read() };
                u128::from(0xffff_u16) << 32 | u128::from(u32::from_be_bytes(ipv4))
            }
            // SAFETY: an IPv6 address has 16 bytes, which need not be aligned.
            libc::AF_INET6 => u128::from_be_bytes(unsafe { bytes.cast::<[u8; 16]>().read() }),
            _ => return,
        };
        note(address, hosts);
        // SAFETY: as above.
        next = unsafe { next.add(1) };
    }
}

fn note(address: u128, hosts: HostSet) {
    if !is_exempt(address) {
        ADDRESSES.note(address, hosts);
    }
}
