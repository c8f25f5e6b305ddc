//! The keys of `[source]` that say how its server is reached.

use crate::config::{Key, Value};

/// Beside those of [`net::tls`](crate::net::tls::KEYS).
pub const KEYS: &[Key] = &[
    Key::new(
        "proxy",
        Value::Url,
        "The proxy to go through, with its user and password if it asks for them. Where absent, `HTTPS_PROXY`, `HTTP_PROXY` \
         and `ALL_PROXY` say it, but for a server on this machine. `NO_PROXY` names those who are reached without one, either way.",
    )
    .secret()
    .example("http://proxy.example.com:3128"),
    Key::new("connect_timeout", Value::Duration, "How long connecting may take.").default("10s"),
    Key::new("silence_timeout", Value::Duration, "How long nothing may come while an answer is waited for or read.")
        .default("1m"),
    Key::new("timeout", Value::Duration, "How long a request may take from its sending to its answer's end.")
        .default("10m"),
];
