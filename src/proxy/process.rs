//! The few system calls that the standard library has no safe form of.
#![allow(unsafe_code, reason = "fork, and descriptors by their numbers; each use says why it is sound")]

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

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

/// Whether this process was started with SIGPIPE ignored. The standard library ignores it in any case before `main`.
static IGNORED_SIGPIPE: AtomicBool = AtomicBool::new(false);

/// The linker puts this among what the C library calls before `main`, and so before the standard library's own start.
#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = note_sigpipe;

extern "C" fn note_sigpipe() {
    // SAFETY: an all-zero sigaction is a value of that type, the call fills it in, and changes nothing where no new
    // action is given.
    let handler = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(libc::SIGPIPE, std::ptr::null(), &raw mut action);
        action.sa_sigaction
    };
    IGNORED_SIGPIPE.store(handler == libc::SIG_IGN, Ordering::Relaxed);
}

/// Lets a command that replaces this process have SIGPIPE as it would have it without us: the standard library resets it.
pub(crate) fn keep_sigpipe(command: &mut Command) {
    if IGNORED_SIGPIPE.load(Ordering::Relaxed) {
        let ignore = || {
            // SAFETY: ignoring a signal installs no handler.
            unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
            Ok(())
        };
        // SAFETY: the closure makes one system call, and touches no memory.
        unsafe { command.pre_exec(ignore) };
    }
}

/// A process that stays this one, even when its number is another's by now (Linux 5.3; Lambda has 5.10 or newer).
#[derive(Debug)]
pub(crate) struct Process {
    descriptor: OwnedFd,
    pid: u32,
}

impl Process {
    /// This very process, as its copies and successors will know it.
    pub(crate) fn own() -> io::Result<Self> {
        let pid = std::process::id();
        // SAFETY: the call takes two numbers and gives a new descriptor, which is ours alone.
        let descriptor = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        match RawFd::try_from(descriptor) {
            // SAFETY: as above.
            Ok(descriptor @ 0..) => Ok(Self { descriptor: unsafe { OwnedFd::from_raw_fd(descriptor) }, pid }),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// The environment that its program was started with (proc_pid_environ(5)).
    pub(crate) fn environment(&self) -> io::Result<Vec<u8>> {
        let environment = std::fs::read(format!("/proc/{}/environ", self.pid))?;
        // If it is still there, its number was not yet another's.
        self.signal(0).map(|()| environment)
    }

    /// Whether it has ended can be read from its descriptor (pidfd_open(2)).
    pub(crate) fn end(&self) -> io::Result<AsyncFd<OwnedFd>> {
        let descriptor = self.descriptor.try_clone()?;
        // SAFETY: the descriptor is open, and is the returned value's own until that is dropped.
        Ok(unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE)? })
    }

    /// Kills it.
    pub(crate) fn kill(&self) -> io::Result<()> {
        self.signal(libc::SIGKILL)
    }

    fn signal(&self, signal: libc::c_int) -> io::Result<()> {
        let information = std::ptr::null::<libc::siginfo_t>();
        let descriptor = self.descriptor.as_raw_fd();
        // SAFETY: without information of our own the call reads no memory.
        let done = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, descriptor, signal, information, 0) };
        if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

impl AsRawFd for Process {
    fn as_raw_fd(&self) -> RawFd {
        self.descriptor.as_raw_fd()
    }
}

/// Moves up to `length` bytes between a socket and a pipe without copying them (splice(2)), and does not wait on the
/// pipe; whether it waits on the socket is the socket's own setting.
pub(crate) fn splice(from: &impl AsFd, to: &impl AsFd, length: usize) -> io::Result<usize> {
    let (from, to) = (from.as_fd().as_raw_fd(), to.as_fd().as_raw_fd());
    let anywhere = std::ptr::null_mut();
    // SAFETY: both descriptors are open during the call; a null pointer stands for "no offset", which is what sockets and
    // pipes need, so the call writes to no memory of this process.
    let moved = unsafe { libc::splice(from, anywhere, to, anywhere, length, libc::SPLICE_F_NONBLOCK) };
    usize::try_from(moved).map_err(|_| io::Error::last_os_error())
}

/// Asks for a pipe that holds so many bytes (`F_SETPIPE_SZ`, fcntl(2)). One that stays smaller works as well.
pub(crate) fn enlarge_pipe(pipe: &impl AsFd, bytes: libc::c_int) {
    // SAFETY: the descriptor is open during the call, which takes a number.
    unsafe { libc::fcntl(pipe.as_fd().as_raw_fd(), libc::F_SETPIPE_SZ, bytes) };
}

/// Limits what the kernel keeps of a socket's unsent and unread bytes (`SO_SNDBUF`, socket(7)). It takes twice the number.
pub(crate) fn limit_send_buffer(socket: &impl AsFd, bytes: libc::c_int) {
    let size = libc::socklen_t::try_from(size_of_val(&bytes)).unwrap_or_default();
    let option = (&raw const bytes).cast();
    // SAFETY: the descriptor is open during the call, which reads `size` bytes at `option`.
    unsafe {
        libc::setsockopt(socket.as_fd().as_raw_fd(), libc::SOL_SOCKET, libc::SO_SNDBUF, option, size);
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
