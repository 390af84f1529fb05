//! The files that a command writes for a pipeline. They are opened before anything is started, so that a path that cannot be
//! written is refused then.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::Failure;
use super::file_error::shown;
use super::finished::Finished;
use super::junit::junit;
use super::output::Output;
use super::summary::run_summary;

/// The files of a run.
pub(super) struct Artifacts {
    junit: Option<Artifact>,
    summary: Option<Artifact>,
}

impl Artifacts {
    /// Opens the files. An earlier content of the JUnit file is deleted, because a pipeline would take it for this run's.
    ///
    /// # Errors
    /// Names the path that cannot be written, or that two files share.
    pub(super) fn open(junit: Option<&Path>, summary: Option<&Path>, experiment: &Path) -> Result<Self, Failure> {
        let junit = junit.map(|path| Artifact::open(path, experiment)).transpose()?;
        let summary = summary.map(|path| Artifact::open(path, experiment)).transpose()?;
        if let (Some(junit), Some(summary)) = (&junit, &summary)
            && junit.is(&summary.file)
        {
            return Err(summary.refused("is the JUnit file too; write another path"));
        }
        if let Some(junit) = &junit {
            // A device or a pipe has no content to delete.
            let _ = junit.file.set_len(0);
        }
        Ok(Self { junit, summary })
    }

    /// Writes the files. A failure to write is one of the command's output.
    pub(super) fn write(self, experiment: &str, outcome: Result<&Finished, &Failure>, output: &Output) {
        // A command in a cause is pasted as it is from these files, too.
        let failure = outcome.err().map(|failure| Failure {
            exit: failure.exit,
            ..Failure::new(&failure.error, output.complete(&failure.cause))
        });
        let outcome = match &failure {
            Some(failure) => Err(failure),
            None => outcome,
        };
        if let Some(file) = self.junit {
            let written = junit(experiment, outcome).map_err(io::Error::other).and_then(|xml| file.write(&xml));
            output.keep(written);
        }
        if let Some(file) = self.summary {
            output.keep(file.write(&run_summary(experiment, outcome)));
        }
    }
}

/// A file that is open.
pub(super) struct Artifact {
    path: PathBuf,
    file: File,
    /// Whether what is written replaces an earlier content, and is not appended to it.
    replaces: bool,
}

impl Artifact {
    /// Opens a file to append to it, and creates it if it does not exist.
    ///
    /// # Errors
    /// Names the path if it cannot be written, or if it is the experiment's.
    pub(super) fn open(path: &Path, experiment: &Path) -> Result<Self, Failure> {
        let refused = |problem| Failure::invalid(format!("{}: {problem}; nothing was started", shown(path)));
        let artifact = Self::opened(path, false).map_err(refused)?;
        match File::open(experiment) {
            Ok(experiment) if artifact.is(&experiment) => {
                Err(artifact.refused("is the experiment's file; write another path"))
            }
            _ => Ok(artifact),
        }
    }

    /// Opens files of which each replaces an earlier one.
    ///
    /// # Errors
    /// Names the path that cannot be written, or that two files share.
    pub(super) fn open_all<const N: usize>(paths: [Option<&Path>; N]) -> Result<[Option<Self>; N], Failure> {
        let mut artifacts = [const { None::<Self> }; N];
        for (at, path) in paths.iter().enumerate().filter_map(|(at, path)| Some((at, (*path)?))) {
            let refused = |problem| Failure::invalid(format!("{}: {problem}; nothing was written", shown(path)));
            let artifact = Self::opened(path, true).map_err(refused)?;
            if artifacts.iter().flatten().any(|other| other.is(&artifact.file)) {
                return Err(artifact.refused("is the file of another option too; write another path"));
            }
            artifacts[at] = Some(artifact);
        }
        Ok(artifacts)
    }

    fn opened(path: &Path, replaces: bool) -> Result<Self, String> {
        if path.as_os_str() == "-" {
            return Err("is not a file; write the path of one, or /dev/stdout".to_owned());
        }
        // Opening a pipe waits for its reader, perhaps forever. One that the shell or the system provides has a reader.
        let is_provided = ["/dev/", "/proc/"].iter().any(|folder| path.starts_with(folder));
        if !is_provided && std::fs::metadata(path).is_ok_and(|found| found.file_type().is_fifo()) {
            return Err("is a pipe; write the path of a file".to_owned());
        }
        let file = OpenOptions::new().create(true).append(true).open(path);
        let file = file.map_err(|error| format!("cannot be written: {error}"))?;
        Ok(Self { path: path.to_owned(), file, replaces })
    }

    fn refused(&self, problem: &str) -> Failure {
        Failure::invalid(format!("{}: {problem}", shown(&self.path)))
    }

    /// Whether this is the same file, under any name.
    fn is(&self, other: &File) -> bool {
        let identity = |file: &File| file.metadata().map(|metadata| (metadata.dev(), metadata.ino())).ok();
        identity(&self.file).is_some_and(|file| identity(other) == Some(file))
    }

    /// The path for a message.
    pub(super) fn shown(&self) -> String {
        shown(&self.path)
    }

    /// Writes a text.
    ///
    /// # Errors
    /// Names the path.
    pub(super) fn write(self, text: &str) -> io::Result<()> {
        let (path, replaces) = (self.shown(), self.replaces);
        let written = self.reopened().and_then(|mut file| {
            if replaces && file.metadata()?.is_file() {
                file.set_len(0)?;
            }
            file.write_all(text.as_bytes())
        });
        written.map_err(|error| io::Error::new(error.kind(), format!("{path}: {error}")))
    }

    /// Returns the file to which the path leads now: a run is long enough for it to be deleted or replaced. A device or a pipe stays as
    /// it was opened.
    fn reopened(self) -> io::Result<File> {
        if !self.file.metadata()?.is_file() {
            return Ok(self.file);
        }
        match std::fs::metadata(&self.path) {
            // Opening a pipe waits for its reader.
            Ok(now) if !now.is_file() => Err(io::Error::other("is no longer a file; it was replaced during the run")),
            Ok(_) => OpenOptions::new().append(true).open(&self.path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => File::create_new(&self.path),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Opens a file in its own folder, changes something, and appends to the file.
    fn written_after(name: &str, change: impl FnOnce(&Path)) -> (io::Result<()>, PathBuf) {
        let folder = std::env::temp_dir().join(format!("snapback-artifact-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap_or_else(|error| unreachable!("{error}"));
        let path = folder.join("summary.md");
        let artifact = Artifact::open(&path, Path::new("/dev/null")).unwrap_or_else(|_| unreachable!("{name}"));
        change(&path);
        (artifact.write("done"), path)
    }

    #[test]
    fn a_file_that_was_deleted_during_the_run_is_written_again() {
        let (written, path) = written_after("deleted", |path| drop(fs::remove_file(path)));
        assert!(written.is_ok());
        assert_eq!(fs::read_to_string(&path).ok().as_deref(), Some("done"));
    }

    #[test]
    fn a_file_that_was_replaced_during_the_run_is_appended_to() {
        let (written, path) = written_after("replaced", |path| {
            drop(fs::remove_file(path));
            drop(fs::write(path, "of another step, "));
        });
        assert!(written.is_ok());
        assert_eq!(fs::read_to_string(&path).ok().as_deref(), Some("of another step, done"));
    }

    #[test]
    fn a_pipe_is_refused_and_not_waited_for() {
        let path = std::env::temp_dir().join(format!("snapback-artifact-pipe-{}", std::process::id()));
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.is_ok_and(|status| status.success()));
        let refused = Artifact::open(&path, Path::new("/dev/null")).err().map(|failure| (failure.cause, failure.exit));
        drop(fs::remove_file(&path));
        let cause = format!("{}: is a pipe; write the path of a file; nothing was started", path.display());
        assert_eq!(refused, Some((cause, crate::cli::Exit::Invalid)));
    }

    fn temporary(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("snapback-artifact-{name}-{}", std::process::id()))
    }

    fn refusal(paths: [&Path; 2]) -> Option<(String, crate::cli::Exit)> {
        Artifact::open_all(paths.map(Some)).err().map(|failure| (failure.cause, failure.exit))
    }

    #[test]
    fn files_that_would_replace_each_other_are_refused() {
        let (one, other) = (temporary("one.html"), temporary("other.html"));
        let cause = format!("{}: is the file of another option too; write another path", one.display());
        assert_eq!(refusal([&one, &one]), Some((cause, crate::cli::Exit::Invalid)));
        assert_eq!(refusal([&one, &other]), None);
        let cause = "-: is not a file; write the path of one, or /dev/stdout; nothing was written".to_owned();
        assert_eq!(refusal([&one, Path::new("-")]), Some((cause, crate::cli::Exit::Invalid)));
        assert!(!Path::new("-").exists());
        [one, other].iter().for_each(|path| drop(fs::remove_file(path)));
    }

    #[test]
    fn a_file_is_replaced_only_by_a_text_that_is_written() {
        let path = temporary("replaced.html");
        drop(fs::write(&path, "an earlier report"));
        let opened = || Artifact::open_all([Some(path.as_path())]).ok().and_then(|[file]| file);
        drop(opened());
        assert_eq!(fs::read_to_string(&path).ok().as_deref(), Some("an earlier report"));
        assert!(opened().is_some_and(|file| file.write("done").is_ok()));
        assert_eq!(fs::read_to_string(&path).ok().as_deref(), Some("done"));
        drop(fs::remove_file(&path));
        let full = Artifact::open_all([Some(Path::new("/dev/full"))]).ok().and_then(|[file]| file);
        let error = full.and_then(|file| file.write("x").err()).map(|error| error.to_string()).unwrap_or_default();
        assert!(error.starts_with("/dev/full: "), "{error}");
    }

    #[test]
    fn a_directory_in_place_of_the_file_is_an_error_that_names_it() {
        let (written, path) = written_after("directory", |path| {
            drop(fs::remove_file(path));
            drop(fs::create_dir(path));
        });
        let expected = format!("{}: is no longer a file; it was replaced during the run", path.display());
        assert_eq!(written.err().map(|error| error.to_string()), Some(expected));
    }
}
