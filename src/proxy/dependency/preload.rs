//! What the runtime's environment gets, so that the shim is loaded into its processes.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::Read;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::model::invocation::ProxyConfig;

use super::hosts::{faults, rules};
use super::wire::SHIM_VARIABLE;

/// The shim's file, next to the proxy's own.
const SHIM_FILE: &str = "snapback-shim.so";
/// The variable with the libraries to load first (ld.so(8)).
const PRELOAD_VARIABLE: &str = "LD_PRELOAD";
/// The beginning of a 64-bit ELF file with the lowest byte first, up to its version (elf(5)).
const ELF: [u8; 7] = [0x7f, b'E', b'L', b'F', 2, 1, 1];
/// The machine of a shared object (elf(5), `e_machine`): the one that this program is for.
const MACHINE: u8 = if cfg!(target_arch = "aarch64") { 183 } else { 62 };

/// How the files of the sanitizers' runtimes begin, those of GCC and of Clang.
const SANITIZERS: [&str; 6] = ["libasan.so", "libhwasan.so", "liblsan.so", "libtsan.so", "libubsan.so", "libclang_rt."];

/// The variables of the runtime.
#[derive(Debug)]
pub(crate) struct Preload {
    libraries: OsString,
    rules: String,
}

/// Opens the socket for the shim's questions; `None` if the configuration has no fault that needs the shim.
///
/// # Errors
/// The shim cannot be loaded. The message says why.
pub(crate) fn prepare(config: &ProxyConfig) -> Result<Option<(Preload, UnixListener)>, String> {
    if faults(config).next().is_none() {
        return Ok(None);
    }
    let shim = shim_file()?;
    // A name without a file, so nothing remains of it. It is free, because it is random.
    let name = format!("snapback-{:016x}", RandomState::new().hash_one(std::process::id()));
    let listener = SocketAddr::from_abstract_name(&name).and_then(|address| UnixListener::bind_addr(&address));
    let listener = listener.map_err(|error| format!("cannot open a socket for the shim: {error}"))?;
    let own = std::env::var_os(PRELOAD_VARIABLE).unwrap_or_default();
    let libraries = insert(shim.as_os_str(), own.as_bytes());
    Ok(Some((Preload { libraries, rules: rules(config, &name) }, listener)))
}

impl Preload {
    pub(crate) fn apply(&self, runtime: &mut Command) {
        runtime.env(PRELOAD_VARIABLE, &self.libraries).env(SHIM_VARIABLE, &self.rules);
    }
}

/// Returns the libraries to load with the shim in front of them, but after sanitizers, which end a program in which
/// another library is in front of them.
fn insert(shim: &OsStr, own: &[u8]) -> OsString {
    // What separates libraries (ld.so(8)).
    let is_separator = |byte: &u8| b": ".contains(byte);
    let (mut place, mut at) = (0, 0);
    for library in own.split(is_separator) {
        at += library.len();
        if is_sanitizer(library) {
            place = at;
        }
        at += 1;
    }
    let (before, after) = own.split_at(place);
    let after = after.strip_prefix(b":").or_else(|| after.strip_prefix(b" ")).unwrap_or(after);
    let parts = [before, shim.as_bytes(), after];
    let parts: Vec<&[u8]> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    OsString::from_vec(parts.join(&b':'))
}

/// Whether a library is the runtime of a sanitizer, such as `libasan.so.8` and `libclang_rt.asan-x86_64.so`.
fn is_sanitizer(library: &[u8]) -> bool {
    let name = library.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    SANITIZERS.iter().any(|beginning| name.starts_with(beginning.as_bytes()))
}

fn shim_file() -> Result<PathBuf, String> {
    let own = std::env::current_exe().map_err(|error| format!("cannot find {SHIM_FILE}: {error}"))?;
    let shim = own.with_file_name(SHIM_FILE);
    check(&shim).map_err(|why| format!("{}: {why}", shim.display()))?;
    Ok(shim)
}

/// Checks what would make the loader skip the file, with a line in the log for every process of the function.
fn check(shim: &Path) -> Result<(), String> {
    if shim.as_os_str().as_bytes().iter().any(|byte| b": ".contains(byte)) {
        return Err(format!("a colon or a blank cannot be in {PRELOAD_VARIABLE}"));
    }
    let mut head = [0; 20];
    File::open(shim).and_then(|mut file| file.read_exact(&mut head)).map_err(|error| error.to_string())?;
    if !head.starts_with(&ELF) || head[18] != MACHINE {
        return Err("not a library for this machine".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shim_is_first_except_after_sanitizers() {
        for (own, expected) in [
            ("", "/s.so"),
            ("/own.so", "/s.so:/own.so"),
            ("/own.so /more.so", "/s.so:/own.so /more.so"),
            ("libasan.so.8", "libasan.so.8:/s.so"),
            ("/usr/lib/libasan.so.8:/own.so", "/usr/lib/libasan.so.8:/s.so:/own.so"),
            (
                "libclang_rt.asan-x86_64.so libubsan.so.1 /own.so",
                "libclang_rt.asan-x86_64.so libubsan.so.1:/s.so:/own.so",
            ),
            ("/opt/libartisan.so", "/s.so:/opt/libartisan.so"),
        ] {
            assert_eq!(insert(OsStr::new("/s.so"), own.as_bytes()), OsString::from(expected), "{own}");
        }
    }
}
