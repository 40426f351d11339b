//! The `atrarium` command.
#![forbid(unsafe_code)]

mod cli;

/// Many small, short-lived allocations from several threads: the case that mimalloc is made for.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    cli::run()
}
