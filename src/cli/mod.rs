//! The command line: what each command asks of the pipeline and the job log, and how the answers are shown.

mod args;
mod check;
mod console;
mod demo;
pub mod docs;
mod failed;
mod log_line;
mod plan;
mod progress;
mod record;
pub mod run;
mod show;
mod signals;
mod status;
mod summary;
mod table;

use std::ffi::OsString;
use std::path::PathBuf;

pub use self::args::{Args, Command, LogFormat};
pub use self::console::Console;
use crate::config::{Config, Environment};
use crate::error::Result;
use crate::pipeline;

/// Runs a command line, program name first, and gives the exit code of the process.
pub async fn main(args: impl IntoIterator<Item = OsString>) -> u8 {
    let args = match args::parse(args) {
        Ok(args) => args,
        Err(error) => {
            // Help goes to standard output, mistakes to standard error; a stream that is closed is no reason to fail.
            let _ = error.print();
            return u8::try_from(error.exit_code()).unwrap_or(2);
        }
    };
    let console = Console::start(args.log_format, args.verbose, args.quiet);
    let environment = Environment::of_process();
    let config = config_path(args.config, &environment);
    let load = || Config::load(&config, &pipeline::registry(), &environment);
    // Whoever only looks need not have the source's password.
    let load_to_look = || Config::load_to_look(&config, &pipeline::registry(), &environment);
    let done = match args.command {
        Command::Run(wanted) => {
            // Neither has whoever asks no server.
            let config = if wanted.replay.is_some() { load_to_look() } else { load() };
            return run::command(&console, config, &environment, wanted).await;
        }
        Command::Retry(wanted) => return run::retry(&console, load(), wanted).await,
        Command::Record(wanted) => record::command(&console, load(), &wanted).await,
        Command::Plan(wanted) => plan::command(&console, load(), &environment, wanted).await,
        Command::Check(wanted) => check::command(&console, &config, load(), &wanted).await,
        Command::Status(wanted) => status::command(&console, load_to_look(), &wanted).await,
        Command::Files(wanted) => files(&console, load_to_look(), &wanted.stream).await,
        Command::Demo(wanted) => demo::command(&console, &wanted.dir).await,
        Command::Docs(wanted) => docs::command(&console, &pipeline::registry(), &wanted.dir, wanted.check),
    };
    done.unwrap_or_else(|error| {
        console.error(&error);
        error.kind().exit_code()
    })
}

/// `-c`, or `$TIDEMARK_CONFIG`, or `pipeline.conf` here.
fn config_path(argument: Option<PathBuf>, environment: &Environment) -> PathBuf {
    let variable = environment.get("TIDEMARK_CONFIG").filter(|path| !path.is_empty());
    argument.or(variable.map(PathBuf::from)).unwrap_or_else(|| PathBuf::from("pipeline.conf"))
}

async fn files(console: &Console, config: Result<Config>, stream: &str) -> Result<u8> {
    let files = pipeline::files(&config?, stream).await?;
    for file in &files {
        console.print(&format!("{file}\n"));
    }
    if files.is_empty() {
        tracing::warn!(stream, "no file is live: what was read had no rows");
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_named_by_option_variable_or_custom() {
        let set = Environment::of([("TIDEMARK_CONFIG", "/etc/t.conf")]);
        let unset = Environment::of([("TIDEMARK_CONFIG", "")]);
        assert_eq!(config_path(Some("a.conf".into()), &set), PathBuf::from("a.conf"));
        assert_eq!(config_path(None, &set), PathBuf::from("/etc/t.conf"));
        assert_eq!(config_path(None, &unset), PathBuf::from("pipeline.conf"));
    }
}
