//! The processes of one group, and their ends.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Every process of the group that has not ended.
pub fn group(leader: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers
        .filter(|process| {
            // A process may end at any moment.
            let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
            // The name, in parentheses, may hold anything; state, parent and group follow it.
            let mut fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
            let (state, of) = (fields.next(), fields.nth(1));
            of == Some(leader.to_string().as_str()) && state != Some("Z")
        })
        .collect()
}

/// The proxy among them.
pub fn proxy(leader: u32) -> Option<u32> {
    // The leader was the wrapper before it became the runtime.
    group(leader).into_iter().find(|process| *process != leader && program(*process).ends_with("snapback-proxy"))
}

fn program(process: u32) -> PathBuf {
    fs::read_link(format!("/proc/{process}/exe")).unwrap_or_default()
}

/// Bytes on the disk that a process holds in files without a name.
pub fn held_without_a_name(process: u32) -> u64 {
    let Ok(descriptors) = fs::read_dir(format!("/proc/{process}/fd")) else { return 0 };
    let deleted = descriptors.flatten().filter(|descriptor| {
        let target = fs::read_link(descriptor.path()).unwrap_or_default();
        target.parent() == Some(Path::new("/tmp")) && target.to_string_lossy().ends_with(" (deleted)")
    });
    deleted.filter_map(|descriptor| Some(fs::metadata(descriptor.path()).ok()?.blocks() * 512)).sum()
}

/// Kills the group; that it has ended already is no failure.
pub fn kill_group(leader: u32) {
    let _ = Command::new("sh").args(["-c", "kill -s KILL -- -$0 2>/dev/null", &leader.to_string()]).status();
}
