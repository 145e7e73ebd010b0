//! The daemon and the tool people type.

use std::process::ExitCode;

fn main() -> ExitCode {
    alink_gateway::cli::main()
}
