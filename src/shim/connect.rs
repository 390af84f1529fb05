//! Stands in front of what opens TCP connections.

use libc::{c_int, c_uint, c_void, mmsghdr, msghdr, size_t, sockaddr, socklen_t, ssize_t};

use crate::ask::ask;
use crate::destination::{Destination, loopback};
use crate::real::{self, Connect, SendMMsg, SendMsg, SendTo};
use crate::rules::Rules;
use crate::state::{ADDRESSES, rules};
use crate::sys;
use crate::wire::{Answer, HostSet, Question};

/// connect(2).
///
/// # Safety
/// As for libc's function.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn connect(socket: c_int, address: *const sockaddr, length: socklen_t) -> c_int {
    // SAFETY: the caller's promise.
    match unsafe { named(address, length) } {
        // SAFETY: the caller's promise.
        None => unsafe { really_connect(socket, address, length) },
        // SAFETY: the caller's promise.
        Some((rules, hosts, to)) => unsafe { connect_named(rules, hosts, to, socket, address, length) },
    }
}

/// sendto(2), which can open a connection (`MSG_FASTOPEN`, tcp(7)).
///
/// # Safety
/// As for libc's function.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn sendto(
    socket: c_int,
    bytes: *const c_void,
    count: size_t,
    flags: c_int,
    address: *const sockaddr,
    length: socklen_t,
) -> ssize_t {
    // SAFETY: the type is that of the function.
    let Some(real) = (unsafe { real::SENDTO.get::<SendTo>() }) else { return missing() };
    // SAFETY: the caller's promise.
    if flags & libc::MSG_FASTOPEN != 0 && unsafe { named(address, length) }.is_some() {
        // SAFETY: the caller's promise.
        if unsafe { connect(socket, address, length) } != 0 {
            return -1;
        }
        // SAFETY: the caller's promise; the socket is connected, so the call needs no address.
        return unsafe { real(socket, bytes, count, flags & !libc::MSG_FASTOPEN, sys::NO_ADDRESS, 0) };
    }
    // SAFETY: the caller's promise.
    unsafe { real(socket, bytes, count, flags, address, length) }
}

/// sendmsg(2), which can open a connection (`MSG_FASTOPEN`, tcp(7)).
///
/// # Safety
/// As for libc's function.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn sendmsg(socket: c_int, message: *const msghdr, flags: c_int) -> ssize_t {
    // SAFETY: the type is that of the function.
    let Some(real) = (unsafe { real::SENDMSG.get::<SendMsg>() }) else { return missing() };
    if flags & libc::MSG_FASTOPEN != 0 && sys::is_readable(message.cast(), size_of::<msghdr>()) {
        // SAFETY: the message can be read.
        let mut sent = unsafe { message.read() };
        let (address, length) = (sent.msg_name.cast::<sockaddr>().cast_const(), sent.msg_namelen);
        // SAFETY: the caller's promise.
        if unsafe { named(address, length) }.is_some() {
            // SAFETY: the caller's promise.
            if unsafe { connect(socket, address, length) } != 0 {
                return -1;
            }
            (sent.msg_name, sent.msg_namelen) = (core::ptr::null_mut(), 0);
            // SAFETY: the caller's promise; the socket is connected, so the call needs no address.
            return unsafe { real(socket, &raw const sent, flags & !libc::MSG_FASTOPEN) };
        }
    }
    // SAFETY: the caller's promise.
    unsafe { real(socket, message, flags) }
}

/// sendmmsg(2), whose first message can open a connection (`MSG_FASTOPEN`, tcp(7)).
///
/// # Safety
/// As for libc's function.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn sendmmsg(socket: c_int, messages: *mut mmsghdr, count: c_uint, flags: c_int) -> c_int {
    // SAFETY: the type is that of the function.
    let Some(real) = (unsafe { real::SENDMMSG.get::<SendMMsg>() }) else { return missing() };
    let opens = flags & libc::MSG_FASTOPEN != 0 && count > 0;
    if opens && sys::is_readable(messages.cast_const().cast(), size_of::<mmsghdr>()) {
        // SAFETY: the first message can be read.
        let first = unsafe { (&raw const (*messages).msg_hdr).read() };
        let (address, length) = (first.msg_name.cast::<sockaddr>().cast_const(), first.msg_namelen);
        // SAFETY: the caller's promise.
        if unsafe { named(address, length) }.is_some() {
            // SAFETY: the caller's promise.
            if unsafe { connect(socket, address, length) } != 0 {
                return -1;
            }
            // TCP ignores the addresses of messages on a socket that is connected (send(2)).
            // SAFETY: the caller's promise.
            return unsafe { real(socket, messages, count, flags & !libc::MSG_FASTOPEN) };
        }
    }
    // SAFETY: the caller's promise.
    unsafe { real(socket, messages, count, flags) }
}

/// Returns the hosts that name a destination, if there are any.
///
/// # Safety
/// As for connect(2).
unsafe fn named(address: *const sockaddr, length: socklen_t) -> Option<(&'static Rules, HostSet, Destination)> {
    let rules = rules()?;
    // SAFETY: the caller's promise.
    let to = unsafe { Destination::read(address, length) }?;
    if to.is_exempt() {
        return None;
    }
    let hosts = rules.with_port(rules.of_address(to.address) | ADDRESSES.hosts(to.address), to.port);
    (!hosts.is_empty()).then_some((rules, hosts, to))
}

/// Connects a socket to a destination that a fault names.
///
/// # Safety
/// As for connect(2).
unsafe fn connect_named(
    rules: &Rules,
    hosts: HostSet,
    to: Destination,
    socket: c_int,
    address: *const sockaddr,
    length: socklen_t,
) -> c_int {
    let family = if to.is_ipv6_socket { libc::AF_INET6 } else { libc::AF_INET };
    let is_only_ipv6 = to.is_ipv6_socket && sys::is_only_ipv6(socket);
    let cannot_connect = sys::family(socket) != Some(family) || is_only_ipv6 && to.is_ipv4();
    let is_bound = || has_own_address(socket) || sys::has_own_device(socket);
    let answer = if is_over(rules) || cannot_connect || !sys::is_new_tcp(socket) || is_bound() {
        Answer::Pass
    } else {
        let (address, port) = (to.address.to_be_bytes(), to.port);
        let is_nonblocking = sys::is_nonblocking(socket);
        ask(rules, Question::Connect { hosts, address, port, is_nonblocking, is_only_ipv6 })
    };
    match answer {
        // SAFETY: the caller's promise.
        Answer::Pass => unsafe { really_connect(socket, address, length) },
        Answer::Fail(error) => {
            sys::set_errno(error);
            -1
        }
        Answer::Through(port) => {
            let (address, length) = loopback(port, to.is_ipv6_socket, is_only_ipv6);
            // SAFETY: the structure has `length` bytes.
            unsafe { really_connect(socket, (&raw const address).cast(), length) }
        }
    }
}

/// Whether the faults have expired.
pub fn is_over(rules: &Rules) -> bool {
    sys::now_ms().is_none_or(|now| now >= rules.until_ms)
}

/// Whether the program has chosen the local address of a socket, from which the loopback address may not be reachable.
fn has_own_address(socket: c_int) -> bool {
    let Some(local) = sys::local_address(socket) else { return true };
    match i32::from(local.sin6_family) {
        // The address of the IPv4 structure is in this place.
        libc::AF_INET => local.sin6_flowinfo != 0,
        _ => local.sin6_addr.s6_addr != [0; 16],
    }
}

/// # Safety
/// As for connect(2).
unsafe fn really_connect(socket: c_int, address: *const sockaddr, length: socklen_t) -> c_int {
    // SAFETY: the type is that of the function.
    match unsafe { real::CONNECT.get::<Connect>() } {
        // SAFETY: the caller's promise.
        Some(real) => unsafe { real(socket, address, length) },
        None => missing(),
    }
}

/// Fails because libc has no such function, which no libc lacks.
pub fn missing<T: From<i8>>() -> T {
    sys::set_errno(libc::ENOSYS);
    T::from(-1)
}
