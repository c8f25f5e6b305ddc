//! The program: a TLS provider, a runtime, and the command line in it.

use std::process::ExitCode;

fn main() -> ExitCode {
    // One TLS stack for all drivers. Fails only if there is one already, which is then the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => {
            eprintln!("error: the runtime cannot start: {e}");
            return ExitCode::from(tidemark::error::Kind::Bug.exit_code());
        }
    };
    let code = runtime.block_on(tidemark::cli::main(std::env::args_os()));
    // A thread that waits for a server must not hold up the end.
    runtime.shutdown_background();
    ExitCode::from(code)
}
