//! The API of the tests as a program, for benchmarks and to try a configuration against an API that misbehaves on command.
//!
//! ```text
//! cargo run --release --example api -- --port 8077 --records 1000000 --order '{"settings": {"shape": "small"}}'
//! curl -d '{"rules": [{"path": "/numbered", "when": {"every": 10}, "fault": {"status": 500}}]}' localhost:8077/_control
//! ```

use clap::Parser;

#[path = "../tests/api/mod.rs"]
mod api;

/// An API that is honest until it is told to misbehave.
#[derive(Parser)]
struct Args {
    /// The port of the loopback device; 0 is one that is free.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// The port of the listener that plays another host.
    #[arg(long, default_value_t = 0)]
    other_port: u16,
    /// How many records there are.
    #[arg(long, default_value_t = 1000)]
    records: u64,
    /// What it does from the beginning: as POST /_control takes it.
    #[arg(long, default_value = "{}")]
    order: String,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args = Args::parse();
    let order: api::Order = serde_json::from_str(&args.order)?;
    let settings = api::Settings { records: args.records, ..api::Settings::default() };
    let server = api::Server::at(args.port, args.other_port, settings);
    server.order(order);
    println!("{}", server.url(""));
    println!("{} plays another host", server.other_url(""));
    for (path, what) in api::PATHS {
        println!("  {path:<56} {what}");
    }
    server.join();
    Ok(())
}
