//! The files that a command writes for a pipeline. They are opened before anything is started, so that a path that cannot be
//! written is refused then.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::Failure;
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

/// A file that is open, and is appended to.
pub(super) struct Artifact {
    path: PathBuf,
    file: File,
}

impl Artifact {
    /// Opens a file, and creates it if it does not exist.
    ///
    /// # Errors
    /// Names the path if it cannot be written, or if it is the experiment's.
    pub(super) fn open(path: &Path, experiment: &Path) -> Result<Self, Failure> {
        let refused = |problem: String| Failure::invalid(format!("{}: {problem}; nothing was started", path.display()));
        // Opening a pipe waits for its reader, perhaps forever. One that the shell or the system provides has a reader.
        let is_provided = ["/dev/", "/proc/"].iter().any(|folder| path.starts_with(folder));
        if !is_provided && std::fs::metadata(path).is_ok_and(|found| found.file_type().is_fifo()) {
            return Err(refused("is a pipe; write the path of a file".to_owned()));
        }
        let file = OpenOptions::new().create(true).append(true).open(path);
        let file = file.map_err(|error| refused(format!("cannot be written: {error}")))?;
        let artifact = Self { path: path.to_owned(), file };
        match File::open(experiment) {
            Ok(experiment) if artifact.is(&experiment) => {
                Err(artifact.refused("is the experiment's file; write another path"))
            }
            _ => Ok(artifact),
        }
    }

    fn refused(&self, problem: &str) -> Failure {
        Failure::invalid(format!("{}: {problem}", self.path.display()))
    }

    /// Whether this is the same file, under any name.
    fn is(&self, other: &File) -> bool {
        let identity = |file: &File| file.metadata().map(|metadata| (metadata.dev(), metadata.ino())).ok();
        identity(&self.file).is_some_and(|file| identity(other) == Some(file))
    }

    /// Appends a text.
    ///
    /// # Errors
    /// Names the path.
    pub(super) fn write(self, text: &str) -> io::Result<()> {
        let path = self.path.display().to_string();
        let written = self.reopened().and_then(|mut file| file.write_all(text.as_bytes()));
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
