//! Finds the processes of a group, and ends them.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Returns the living processes of the group.
pub fn group(leader: u32) -> Vec<u32> {
    let belongs =
        |process: &u32| matches!(stat(*process), (Some(state), _, Some(group)) if state != 'Z' && group == leader);
    all().filter(belongs).collect()
}

/// Returns the proxy of the group.
pub fn proxy(leader: u32) -> Option<u32> {
    // Skip the leader: it was the wrapper, with the same program, before it became the runtime.
    group(leader).into_iter().find(|process| *process != leader && program(*process).ends_with("snapback-proxy"))
}

/// Returns all proxies among the descendants of this process.
pub fn proxies_below(ancestor: u32) -> Vec<u32> {
    let below = |process: &u32| {
        std::iter::successors(Some(*process), |process| parent(*process)).any(|process| process == ancestor)
    };
    all().filter(|process| program(*process).ends_with("snapback-proxy")).filter(below).collect()
}

fn all() -> impl Iterator<Item = u32> {
    fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn parent(process: u32) -> Option<u32> {
    stat(process).1
}

/// Returns state, parent and group of a process; nothing if it has ended.
fn stat(process: u32) -> (Option<char>, Option<u32>, Option<u32>) {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The program's name, in parentheses, can contain any character.
    let mut fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
    let state = fields.next().and_then(|state| state.chars().next());
    let mut number = || fields.next().and_then(|field| field.parse().ok());
    (state, number(), number())
}

fn program(process: u32) -> PathBuf {
    fs::read_link(format!("/proc/{process}/exe")).unwrap_or_default()
}

/// Returns the bytes on the disk that a process keeps in files without a name.
pub fn bytes_in_unnamed_files(process: u32) -> u64 {
    let Ok(descriptors) = fs::read_dir(format!("/proc/{process}/fd")) else { return 0 };
    let deleted = descriptors.flatten().filter(|descriptor| {
        let target = fs::read_link(descriptor.path()).unwrap_or_default();
        target.parent() == Some(Path::new("/tmp")) && target.to_string_lossy().ends_with(" (deleted)")
    });
    deleted.filter_map(|descriptor| Some(fs::metadata(descriptor.path()).ok()?.blocks() * 512)).sum()
}

/// Kills the group, which may have ended already.
pub fn kill_group(leader: u32) {
    let _ = Command::new("sh").args(["-c", "kill -s KILL -- -$0 2>/dev/null", &leader.to_string()]).status();
}
