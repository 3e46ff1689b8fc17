//! The command `sim`: looks for histories in which replicas do not do what they promise, and shows them.
//! Layer 6.

mod command;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    command::main()
}
