//! The command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    snapback::cli::unset_empty_variables();
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(snapback::cli::main()).into(),
        Err(error) => {
            eprintln!("snapback: cannot start: {error}");
            ExitCode::FAILURE
        }
    }
}
