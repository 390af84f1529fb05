//! The functions that this library stands in front of.

use core::ffi::CStr;
use core::mem::transmute_copy;
use core::sync::atomic::{AtomicPtr, Ordering};

use libc::{addrinfo, c_char, c_int, c_uint, c_void, hostent, mmsghdr, msghdr, size_t, sockaddr, socklen_t, ssize_t};

use crate::sys;

/// connect(2).
pub type Connect = unsafe extern "C" fn(c_int, *const sockaddr, socklen_t) -> c_int;
/// sendto(2).
pub type SendTo = unsafe extern "C" fn(c_int, *const c_void, size_t, c_int, *const sockaddr, socklen_t) -> ssize_t;
/// sendmsg(2).
pub type SendMsg = unsafe extern "C" fn(c_int, *const msghdr, c_int) -> ssize_t;
/// sendmmsg(2).
pub type SendMMsg = unsafe extern "C" fn(c_int, *mut mmsghdr, c_uint, c_int) -> c_int;
/// getaddrinfo(3).
pub type GetAddrInfo = unsafe extern "C" fn(*const c_char, *const c_char, *const addrinfo, *mut *mut addrinfo) -> c_int;
/// gethostbyname(3).
pub type GetHostByName = unsafe extern "C" fn(*const c_char) -> *mut hostent;
/// gethostbyname2(3).
pub type GetHostByName2 = unsafe extern "C" fn(*const c_char, c_int) -> *mut hostent;
/// `gethostbyname_r(3)`.
pub type GetHostByNameR =
    unsafe extern "C" fn(*const c_char, *mut hostent, *mut c_char, size_t, *mut *mut hostent, *mut c_int) -> c_int;
/// `gethostbyname2_r(3)`.
pub type GetHostByName2R = unsafe extern "C" fn(
    *const c_char,
    c_int,
    *mut hostent,
    *mut c_char,
    size_t,
    *mut *mut hostent,
    *mut c_int,
) -> c_int;

/// A function by its name, found at its first use.
pub struct Real {
    name: &'static CStr,
    found: AtomicPtr<c_void>,
}

impl Real {
    const fn new(name: &'static CStr) -> Self {
        Self { name, found: AtomicPtr::new(core::ptr::null_mut()) }
    }

    /// Returns the function; `None` if libc has none.
    ///
    /// # Safety
    /// `F` must be the type of the function with this name.
    pub unsafe fn get<F: Copy>(&self) -> Option<F> {
        const { assert!(size_of::<F>() == size_of::<*mut c_void>()) };
        let mut found = self.found.load(Ordering::Relaxed);
        if found.is_null() {
            found = sys::next(self.name);
            self.found.store(found, Ordering::Relaxed);
        }
        // SAFETY: the pointer is to a function of this type, as the caller promises.
        (!found.is_null()).then(|| unsafe { transmute_copy(&found) })
    }
}

/// connect.
pub static CONNECT: Real = Real::new(c"connect");
/// sendto.
pub static SENDTO: Real = Real::new(c"sendto");
/// sendmsg.
pub static SENDMSG: Real = Real::new(c"sendmsg");
/// sendmmsg.
pub static SENDMMSG: Real = Real::new(c"sendmmsg");
/// getaddrinfo.
pub static GETADDRINFO: Real = Real::new(c"getaddrinfo");
/// gethostbyname.
pub static GETHOSTBYNAME: Real = Real::new(c"gethostbyname");
/// gethostbyname2.
pub static GETHOSTBYNAME2: Real = Real::new(c"gethostbyname2");
/// `gethostbyname_r`.
pub static GETHOSTBYNAME_R: Real = Real::new(c"gethostbyname_r");
/// `gethostbyname2_r`.
pub static GETHOSTBYNAME2_R: Real = Real::new(c"gethostbyname2_r");

/// Finds all functions, so that no later call has to.
pub fn find_all() {
    for real in [
        &CONNECT,
        &SENDTO,
        &SENDMSG,
        &SENDMMSG,
        &GETADDRINFO,
        &GETHOSTBYNAME,
        &GETHOSTBYNAME2,
        &GETHOSTBYNAME_R,
        &GETHOSTBYNAME2_R,
    ] {
        real.found.store(sys::next(real.name), Ordering::Relaxed);
    }
}
