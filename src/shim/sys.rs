//! System calls, made directly: they neither change errno nor call a function that this library stands in front of.

use core::mem::{size_of, zeroed};
use core::ptr::null_mut;

use libc::{c_int, c_long, c_void, sockaddr, socklen_t};

/// The number of a system call and up to six arguments. Returns the result, or the negative number of an error.
///
/// # Safety
/// The arguments must be valid for the call.
#[cfg(target_arch = "x86_64")]
unsafe fn call(number: c_long, arguments: [usize; 6]) -> isize {
    let [a, b, c, d, e, f] = arguments;
    let result;
    // SAFETY: the kernel's calling convention (syscall(2)); the caller answers for the arguments.
    unsafe {
        core::arch::asm!(
            "syscall", inlateout("rax") number as isize => result,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e, in("r9") f,
            lateout("rcx") _, lateout("r11") _, options(nostack)
        );
    }
    result
}

/// The number of a system call and up to six arguments. Returns the result, or the negative number of an error.
///
/// # Safety
/// The arguments must be valid for the call.
#[cfg(target_arch = "aarch64")]
unsafe fn call(number: c_long, arguments: [usize; 6]) -> isize {
    let [a, b, c, d, e, f] = arguments;
    let result;
    // SAFETY: the kernel's calling convention (syscall(2)); the caller answers for the arguments.
    unsafe {
        core::arch::asm!(
            "svc 0", in("x8") number, inlateout("x0") a => result,
            in("x1") b, in("x2") c, in("x3") d, in("x4") e, in("x5") f, options(nostack)
        );
    }
    result
}

/// How long a call is repeated that signals interrupt, for example those of a profiler.
const MAX_REPEATS_MS: u64 = 1_000;

/// Makes a call again if a signal has interrupted it. The call must do nothing in that case.
///
/// # Safety
/// The arguments must be valid for the call.
unsafe fn call_repeatedly(number: c_long, arguments: [usize; 6]) -> isize {
    let mut first_ms = None;
    loop {
        // SAFETY: the caller's promise.
        let result = unsafe { call(number, arguments) };
        if result != -(libc::EINTR as isize) {
            return result;
        }
        let Some(now_ms) = read_clock_ms(libc::CLOCK_MONOTONIC) else { return result };
        if now_ms.saturating_sub(*first_ms.get_or_insert(now_ms)) > MAX_REPEATS_MS {
            return result;
        }
    }
}

/// A descriptor that is closed when it is dropped.
pub struct Socket(c_int);

impl Socket {
    /// Creates a stream socket of the Unix family, which no program that is executed inherits.
    pub fn unix() -> Option<Self> {
        let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC;
        // SAFETY: the call takes numbers only.
        let made = unsafe { call(libc::SYS_socket, [libc::AF_UNIX as usize, kind as usize, 0, 0, 0, 0]) };
        c_int::try_from(made).ok().filter(|socket| *socket >= 0).map(Self)
    }

    /// Limits how long each of the following calls waits.
    pub fn limit_waits(&self, microseconds: i64) -> Option<()> {
        let limit = libc::timeval { tv_sec: microseconds / 1_000_000, tv_usec: microseconds % 1_000_000 };
        for option in [libc::SO_RCVTIMEO, libc::SO_SNDTIMEO] {
            let arguments = [
                self.0 as usize,
                libc::SOL_SOCKET as usize,
                option as usize,
                &raw const limit as usize,
                size_of::<libc::timeval>(),
                0,
            ];
            // SAFETY: the call reads the structure, which outlives it.
            (unsafe { call(libc::SYS_setsockopt, arguments) } == 0).then_some(())?;
        }
        Some(())
    }

    /// Connects to an abstract socket.
    pub fn connect_abstract(&self, name: &[u8]) -> Option<()> {
        // SAFETY: a structure of numbers, for which zeros are valid.
        let mut address: libc::sockaddr_un = unsafe { zeroed() };
        address.sun_family = libc::AF_UNIX as libc::sa_family_t;
        // The first byte of an abstract name is 0.
        for (room, byte) in address.sun_path.get_mut(1..=name.len())?.iter_mut().zip(name) {
            *room = byte.cast_signed() as libc::c_char;
        }
        let length = size_of::<libc::sa_family_t>() + 1 + name.len();
        // SAFETY: the call reads `length` bytes of the structure, which outlives it.
        let done = unsafe {
            call_repeatedly(libc::SYS_connect, [self.0 as usize, &raw const address as usize, length, 0, 0, 0])
        };
        (done == 0).then_some(())
    }

    /// Sends all bytes at once.
    pub fn send(&self, bytes: &[u8]) -> Option<()> {
        let flags = libc::MSG_NOSIGNAL as usize;
        // SAFETY: the call reads the bytes, which outlive it.
        let sent = unsafe {
            call_repeatedly(libc::SYS_sendto, [self.0 as usize, bytes.as_ptr() as usize, bytes.len(), flags, 0, 0])
        };
        (usize::try_from(sent) == Ok(bytes.len())).then_some(())
    }

    /// Receives exactly as many bytes as there is room for.
    pub fn receive(&self, room: &mut [u8]) -> Option<()> {
        let flags = libc::MSG_WAITALL as usize;
        let arguments = [self.0 as usize, room.as_mut_ptr() as usize, room.len(), flags, 0, 0];
        // SAFETY: the call writes at most as many bytes as the room has, which outlives it.
        let received = unsafe { call_repeatedly(libc::SYS_recvfrom, arguments) };
        (usize::try_from(received) == Ok(room.len())).then_some(())
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // SAFETY: this value owns the descriptor.
        unsafe { call(libc::SYS_close, [self.0 as usize, 0, 0, 0, 0, 0]) };
    }
}

/// Returns the time since the epoch in milliseconds.
pub fn now_ms() -> Option<u64> {
    read_clock_ms(libc::CLOCK_REALTIME)
}

fn read_clock_ms(clock: libc::clockid_t) -> Option<u64> {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call fills in the structure, which outlives it.
    let done = unsafe { call(libc::SYS_clock_gettime, [clock as usize, &raw mut now as usize, 0, 0, 0, 0]) };
    let (seconds, nanoseconds) = (u64::try_from(now.tv_sec).ok()?, u64::try_from(now.tv_nsec).ok()?);
    (done == 0).then_some(seconds.checked_mul(1000)?.checked_add(nanoseconds / 1_000_000)?)
}

/// Whether a program may read this many bytes, 8 to 4096, at this place. The kernel tries it, and does nothing else: it
/// reads eight bytes as a set of signals before it refuses what to do with them (rt_sigprocmask(2)). That takes 0.15 µs,
/// so it is not asked about the frames of the callers, where most programs have their addresses.
pub fn is_readable(place: *const c_void, bytes: usize) -> bool {
    const SET_BYTES: usize = 8;
    const SMALLEST_PAGE: usize = 4096;
    const FRAMES_BYTES: usize = 8192;
    let try_at = |at: usize| {
        let arguments = [c_int::MAX as usize, at, 0, SET_BYTES, 0, 0];
        // SAFETY: the kernel checks the address, and refuses the first argument, so it changes nothing.
        at != 0 && unsafe { call(libc::SYS_rt_sigprocmask, arguments) } != -(libc::EFAULT as isize)
    };
    let first = place.addr();
    let frame = 0_u8;
    if first.wrapping_sub((&raw const frame).addr()) < FRAMES_BYTES {
        return true;
    }
    let Some(last) = first.checked_add(bytes).and_then(|end| end.checked_sub(SET_BYTES)) else { return false };
    try_at(first) && (first / SMALLEST_PAGE == (last + SET_BYTES - 1) / SMALLEST_PAGE || try_at(last))
}

/// Returns the family of a socket.
pub fn family(socket: c_int) -> Option<c_int> {
    option(socket, libc::SOL_SOCKET, libc::SO_DOMAIN)
}

/// Whether a descriptor is a TCP socket that has not been connected and does not listen.
pub fn is_new_tcp(socket: c_int) -> bool {
    // TCP_CLOSE of the kernel's net/tcp_states.h.
    const CLOSED: u8 = 7;
    option::<u8>(socket, libc::IPPROTO_TCP, libc::TCP_INFO) == Some(CLOSED)
}

/// Whether an IPv6 socket refuses IPv4 addresses.
pub fn is_only_ipv6(socket: c_int) -> bool {
    option::<c_int>(socket, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY).is_none_or(|only| only != 0)
}

/// Whether the program has bound a socket to a network device.
pub fn has_own_device(socket: c_int) -> bool {
    // SO_BINDTOIFINDEX of the kernel's asm-generic/socket.h, since Linux 5.1. Before 5.7, only a privileged program
    // could bind it (socket(7)).
    const BOUND_DEVICE: c_int = 62;
    option::<c_int>(socket, libc::SOL_SOCKET, BOUND_DEVICE).is_some_and(|device| device != 0)
}

/// Whether a descriptor is non-blocking.
pub fn is_nonblocking(descriptor: c_int) -> bool {
    // SAFETY: the call takes numbers only.
    let flags = unsafe { call(libc::SYS_fcntl, [descriptor as usize, libc::F_GETFL as usize, 0, 0, 0, 0]) };
    flags & libc::O_NONBLOCK as isize != 0
}

/// Reads a socket option, or the beginning of a longer one.
fn option<T: Copy + Default>(socket: c_int, level: c_int, name: c_int) -> Option<T> {
    let mut value = T::default();
    let mut length = size_of::<T>() as socklen_t;
    let arguments =
        [socket as usize, level as usize, name as usize, &raw mut value as usize, &raw mut length as usize, 0];
    // SAFETY: the call writes at most `length` bytes into the value; both outlive it. A number can have any bits.
    let done = unsafe { call(libc::SYS_getsockopt, arguments) };
    (done == 0 && length as usize == size_of::<T>()).then_some(value)
}

/// Returns the local address of a socket, as far as it fits.
pub fn local_address(socket: c_int) -> Option<libc::sockaddr_in6> {
    // SAFETY: a structure of numbers, for which zeros are valid.
    let mut address: libc::sockaddr_in6 = unsafe { zeroed() };
    let mut length = size_of::<libc::sockaddr_in6>() as socklen_t;
    let arguments = [socket as usize, &raw mut address as usize, &raw mut length as usize, 0, 0, 0];
    // SAFETY: the call writes at most `length` bytes into the structure; both outlive it.
    let done = unsafe { call(libc::SYS_getsockname, arguments) };
    (done == 0).then_some(address)
}

/// Sets errno.
pub fn set_errno(error: c_int) {
    // SAFETY: the function returns the address of this thread's errno (errno(3)), which is always valid.
    unsafe { *libc::__errno_location() = error };
}

/// Finds the next definition of a function after this library's: libc's, or another library's in front of it.
pub fn next(name: &core::ffi::CStr) -> *mut c_void {
    // SAFETY: the name ends with 0. The function reports a missing one by a null pointer.
    unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) }
}

/// A null pointer to an address, for calls without one.
pub const NO_ADDRESS: *mut sockaddr = null_mut();
