//! Fills /tmp.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;

const MEGABYTE: u64 = 1 << 20;
/// Bytes of one allocation, from the largest: if there is no room for a large one, there may be room for smaller ones.
const STEPS: [u64; 3] = [64 * MEGABYTE, MEGABYTE, 64 * 1024];

/// Takes up to `megabytes` of /tmp until the file is dropped. The file has no name, so the kernel frees it however the
/// process ends.
///
/// # Errors
/// /tmp cannot be written, or its file system cannot allocate space.
pub(crate) fn fill(megabytes: u32) -> io::Result<File> {
    let wanted = u64::from(megabytes) * MEGABYTE;
    let file = OpenOptions::new().write(true).custom_flags(libc::O_TMPFILE | libc::O_CLOEXEC).open("/tmp")?;
    let mut filled = 0;
    for step in STEPS {
        while filled < wanted {
            let length = step.min(wanted - filled);
            match super::process::allocate(&file, filled, length) {
                Ok(()) => filled += length,
                Err(error) if is_full(&error) => break,
                Err(error) => return Err(error),
            }
        }
    }
    Ok(file)
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOSPC | libc::EDQUOT | libc::EFBIG))
}
