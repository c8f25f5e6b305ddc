//! The program: a TLS provider, a runtime, and the command line in it.

use std::process::ExitCode;

fn main() -> ExitCode {
    large_blocks_go_back();
    #[cfg(all(target_os = "linux", feature = "postgres"))]
    tidemark::net::wakes::are_asked_by(low_water);
    // One TLS stack for all drivers. Fails only if there is one already, which is then the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = match runtime() {
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

/// One core is left to what is written to disk and, where it is on this machine, to the server that is read from: a
/// thread for every core takes more from it than it gives (docs/benchmarks.md). `TOKIO_WORKER_THREADS` overrides it.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if std::env::var_os("TOKIO_WORKER_THREADS").is_none() {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        builder.worker_threads((cores - 1).max(1));
    }
    builder.enable_all().build()
}

/// Has glibc's allocator give each large block back to the system when it is freed.
///
/// Left alone, it raises the size that it takes for large up to 32 MiB as such blocks are freed, and keeps from then on
/// what our buffers leave between each other: half as much memory again after some gigabytes. Each arena keeps some of its
/// own; two cost no time that could be measured.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code)]
fn large_blocks_go_back() {
    const LARGE: i32 = 512 << 10;
    const KEPT_AT_THE_TOP: i32 = 2 << 20;
    const ARENAS: i32 = 2;
    // SAFETY: no other thread runs yet. A refusal leaves things as they were, which is no harm.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
        libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT_AT_THE_TOP);
        libc::mallopt(libc::M_ARENA_MAX, ARENAS);
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn large_blocks_go_back() {}

/// Has the system wake whoever waits for the socket when so many bytes are there.
#[cfg(all(target_os = "linux", feature = "postgres"))]
#[allow(unsafe_code)]
fn low_water(socket: &tokio::net::TcpStream, bytes: u32) -> std::io::Result<()> {
    use std::os::fd::AsRawFd;
    let bytes = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
    let length = size_of_val(&bytes) as libc::socklen_t;
    let option = std::ptr::from_ref(&bytes).cast();
    // SAFETY: the socket is open as long as it is borrowed, and the option is an integer of this length.
    match unsafe { libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_RCVLOWAT, option, length) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}
