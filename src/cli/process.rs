//! Facts about this process that the standard library does not provide. This is the only unsafe code of the command
//! line.
#![allow(unsafe_code)]

use std::ffi::{OsStr, OsString};
use std::sync::atomic::{AtomicBool, Ordering};

static STDOUT_WAS_CLOSED: AtomicBool = AtomicBool::new(false);

/// Checks standard output before `main`, as an initializer of the executable: the standard library replaces a closed
/// standard stream with `/dev/null`, where every write succeeds.
#[used]
#[cfg_attr(not(target_vendor = "apple"), unsafe(link_section = ".init_array"))]
#[cfg_attr(target_vendor = "apple", unsafe(link_section = "__DATA,__mod_init_func"))]
static CHECK_STDOUT: extern "C" fn() = check_stdout;

extern "C" fn check_stdout() {
    // SAFETY: F_GETFD only reads a flag of a descriptor, and fails if there is no such descriptor.
    let flags = unsafe { libc::fcntl(libc::STDOUT_FILENO, libc::F_GETFD) };
    STDOUT_WAS_CLOSED.store(flags == -1, Ordering::Relaxed);
}

/// Removes the empty variables of AWS's tools from the environment. A pipeline often sets one to nothing, and AWS's library panics at
/// an empty endpoint. It must be called before there is a second thread.
pub fn unset_empty_variables() {
    for name in empty_variables(std::env::vars_os()) {
        // SAFETY: this is the only thread, so no other one can read the environment at the same time.
        unsafe { std::env::remove_var(name) }
    }
}

fn empty_variables(variables: impl Iterator<Item = (OsString, OsString)>) -> Vec<OsString> {
    let is_of_aws = |name: &OsStr| name.to_str().is_some_and(|name| name.starts_with("AWS_"));
    variables.filter(|(name, value)| value.is_empty() && is_of_aws(name)).map(|(name, _)| name).collect()
}

/// Whether this process was started without a standard output.
pub(super) fn stdout_was_closed() -> bool {
    STDOUT_WAS_CLOSED.load(Ordering::Relaxed)
}

/// Whether this process was started to ignore a signal, as `nohup` and the background jobs of a script are.
pub(super) fn is_ignored(signal: i32) -> bool {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: without a new action, sigaction only fills in the current one, which it has done if it returns 0.
    unsafe {
        libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) == 0
            && action.assume_init().sa_sigaction == libc::SIG_IGN
    }
}

/// Whether this process may read from the terminal that is its standard input: one in the background would be stopped
/// by the attempt.
pub(super) fn may_read_terminal() -> bool {
    // SAFETY: both calls only read numbers; tcgetpgrp returns -1 if standard input is not a terminal.
    unsafe { libc::tcgetpgrp(libc::STDIN_FILENO) == libc::getpgrp() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_variable_of_aws_is_as_if_unset() {
        let variables = [
            ("AWS_ENDPOINT_URL", ""),
            ("AWS_ENDPOINT_URL_SFN", ""),
            ("AWS_REGION", ""),
            ("AWS_PROFILE", "lab"),
            ("SNAPBACK_STACK", ""),
        ];
        let empty = empty_variables(variables.iter().map(|(name, value)| (name.into(), value.into())));
        assert_eq!(empty, ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_SFN", "AWS_REGION"]);
    }
}
