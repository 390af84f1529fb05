//! What the shim may need of the C library of a process: the functions here, under their names in glibc 2.26 of Amazon Linux 2.
//!
//! `infra/layer.py` builds two libraries of this, and links the shim with them instead of a real glibc, so that no glibc of
//! another version or architecture is needed. The linker reads only the names, and refuses a shim that needs another one.
//! The shim then names libraries and functions without a version, which every glibc resolves.
#![no_std]
#![no_builtins]

macro_rules! define {
    ($($name:ident)*) => {
        $(
            #[unsafe(no_mangle)]
            extern "C" fn $name() {}
        )*
    };
}

// `libc.so.6`. The compiler itself calls those that are not in the shim's sources.
#[cfg(c)]
define!(__errno_location __h_errno_location getauxval memcmp memcpy memset strlen);

// `libdl.so.2`. Newer versions have the function in `libc.so.6`, and this library still.
#[cfg(dl)]
define!(dlsym);

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {
        core::hint::spin_loop();
    }
}
