//! The data plane: a wrapper that puts a proxy between the Lambda runtime and the Runtime API.

use std::process::ExitCode;

fn main() -> ExitCode {
    snapback::proxy::main()
}
