//! The binary of the daemon and of the command-line tool.

use std::process::ExitCode;

fn main() -> ExitCode {
    alink_gateway::cli::main()
}
