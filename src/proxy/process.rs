//! The few system calls that the standard library has no safe form of.
#![allow(unsafe_code, reason = "fork, and descriptors by their numbers; each use says why it is sound")]

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Which side of a fork this is.
pub(crate) enum Fork {
    /// The process that asked, with the number of the new one.
    Parent(libc::pid_t),
    /// The new process.
    Child,
}

/// Copies this process. Must be called while it has one thread only: the copy has just the caller's.
pub(crate) fn fork() -> io::Result<Fork> {
    // SAFETY: no other thread exists, so that no lock is held in the copy by a thread that it does not have.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Fork::Child),
        pid => Ok(Fork::Parent(pid)),
    }
}

/// Waits for a child of ours to end.
pub(crate) fn wait_for(pid: libc::pid_t) {
    // SAFETY: a null pointer is what the call takes where nobody asks for the status.
    while unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) } == -1
        && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted
    {}
}

/// Closes every descriptor but the standard streams and `kept`. What is closed must belong to nobody in this process:
/// so only behind a fork, for a process that needs just these.
pub(crate) fn close_others(kept: &[RawFd]) -> io::Result<()> {
    let mut open = Vec::new();
    for entry in std::fs::read_dir("/proc/self/fd")? {
        open.extend(entry?.file_name().to_str().and_then(|name| name.parse::<RawFd>().ok()));
    }
    for descriptor in open.into_iter().filter(|descriptor| *descriptor > 2 && !kept.contains(descriptor)) {
        // SAFETY: the caller owns none of them; that of the listing itself is closed already, and closing it again
        // fails without harm, since nothing has been opened in between.
        unsafe { libc::close(descriptor) };
    }
    Ok(())
}

/// Goes on when the terminal or the platform asks the process group to end: the runtime may still have a last word to
/// say to its API, and we end when it does.
pub(crate) fn ignore_signals() {
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT] {
        // SAFETY: ignoring a signal installs no handler.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
}

/// A process that stays this one, even when its number is another's by now (Linux 5.3; Lambda has 5.10 or newer).
#[derive(Debug)]
pub(crate) struct Process(OwnedFd);

impl Process {
    /// This very process, as its copies and successors will know it.
    pub(crate) fn own() -> io::Result<Self> {
        // SAFETY: the call takes two numbers and gives a new descriptor, which is ours alone.
        let descriptor = unsafe { libc::syscall(libc::SYS_pidfd_open, libc::getpid(), 0) };
        match RawFd::try_from(descriptor) {
            // SAFETY: as above.
            Ok(descriptor @ 0..) => Ok(Self(unsafe { OwnedFd::from_raw_fd(descriptor) })),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Whether it has ended can be read from its descriptor (pidfd_open(2)).
    pub(crate) fn end(&self) -> io::Result<AsyncFd<OwnedFd>> {
        let descriptor = self.0.try_clone()?;
        // SAFETY: the descriptor is open, and is the returned value's own until that is dropped.
        Ok(unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE)? })
    }

    /// Kills it.
    pub(crate) fn kill(&self) -> io::Result<()> {
        let information = std::ptr::null::<libc::siginfo_t>();
        // SAFETY: without information of our own the call reads no memory.
        let done =
            unsafe { libc::syscall(libc::SYS_pidfd_send_signal, self.0.as_raw_fd(), libc::SIGKILL, information, 0) };
        if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

impl AsRawFd for Process {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// Sets disk space aside.
pub(crate) fn allocate(file: &File, offset: u64, length: u64) -> io::Result<()> {
    let number = |bytes: u64| libc::off_t::try_from(bytes).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge));
    let (offset, length) = (number(offset)?, number(length)?);
    // SAFETY: the descriptor is the file's, and stays open during the call.
    match unsafe { libc::fallocate(file.as_fd().as_raw_fd(), 0, offset, length) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
