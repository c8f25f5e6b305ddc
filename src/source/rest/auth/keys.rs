//! The keys of `[source]` that say who we are to its server.

use crate::config::{Key, Value};
use crate::source::rest::body::PATH;

/// The values of `auth`.
pub const KINDS: &[&str] = &[
    "none",
    "header",
    "query",
    "basic",
    "bearer",
    "oauth2_client_credentials",
    "oauth2_refresh_token",
    "aws_sigv4",
    "login",
];

pub const KEYS: &[Key] = &[
    Key::new(
        "auth",
        Value::OneOf(KINDS),
        "How the server knows who asks. `header` and `query` send `token` under `auth_name`; `basic` sends `username` and \
         `password`; `bearer` sends `token`; the others fetch what they send. It goes to the server of `base_url` alone.",
    )
    .default("none"),
    Key::new(
        "auth_name",
        Value::Text,
        "The name of the header, of the parameter or of the cookie that has the token: of `auth = header` and `query`, and of \
         `login` with `token_as`.",
    )
    .example("X-Api-Key"),
    Key::new("token", Value::Text, "The key or token of `auth = header`, `query` and `bearer`.").secret(),
    Key::new("username", Value::Text, "The user of `auth = basic` and `login`.").example("reader"),
    Key::new("password", Value::Text, "The password that belongs to `username`; none where absent with `auth = basic`.")
        .secret(),
    Key::new("token_url", Value::Url, "Where OAuth 2 gives out tokens.").example("https://auth.example.com/oauth/token"),
    Key::new("client_id", Value::Text, "The client that OAuth 2 gives tokens to.").example("tidemark"),
    Key::new("client_secret", Value::Text, "The secret of the client, where it has one.").secret(),
    Key::new(
        "client_auth",
        Value::OneOf(&["body", "basic"]),
        "Whether the client says who it is in the form that it sends to `token_url`, or in a header.",
    )
    .default("body"),
    Key::new("scope", Value::Text, "What to ask OAuth 2 for: scopes, separated by spaces.").example("read:orders"),
    Key::new(
        "token_param.",
        Value::Text,
        "Another field of the form that is sent to `token_url`, such as `token_param.audience`.",
    )
    .family(),
    Key::new(
        "refresh_token",
        Value::Text,
        "The token that a login by hand gave, of `auth = oauth2_refresh_token`. A new one is put here; the ones that follow \
         from it are in `token_store`.",
    )
    .secret(),
    Key::new(
        "token_store",
        Value::Path,
        "A file for the refresh tokens that the server gives in place of the first, which only this user may read. It is \
         made where it is not there. Runs side by side on one machine may share it.",
    )
    .example("crm.token"),
    Key::new("region", Value::Text, "The region in signatures of `auth = aws_sigv4`.").example("eu-west-1"),
    Key::new("service", Value::Text, "The service in signatures of `auth = aws_sigv4`.").example("execute-api"),
    Key::new(
        "access_key",
        Value::Text,
        "With `secret_key`, the credentials of `auth = aws_sigv4`. Where absent, the usual chain finds them: environment, \
         profile, SSO, web identity, container, instance.",
    ),
    Key::new("secret_key", Value::Text, "The secret that belongs to `access_key`.").secret(),
    Key::new("session_token", Value::Text, "The token of temporary credentials.").secret(),
    Key::new("profile", Value::Text, "The profile of `~/.aws/config` to use, in place of `AWS_PROFILE` or `default`.")
        .example("analytics"),
    Key::new(
        "login_path",
        Value::Text,
        "Where `auth = login` logs in: a path below `base_url`, or a whole URL.",
    )
    .example("auth/login"),
    Key::new(
        "login_send",
        Value::OneOf(&["json", "form", "basic_post", "basic_get", "query"]),
        "How user and password are sent: by POST as a JSON object or as a form; in a header by POST or GET; by GET in the \
         query.",
    )
    .default("json"),
    Key::new("username_field", Value::Text, "The name under which a login has the user.").default("username"),
    Key::new("password_field", Value::Text, "The name under which a login has the password.").default("password"),
    Key::new("token_path", PATH, "Where in the JSON answer of a login the token is.").example("data.token"),
    Key::new("token_header", Value::Text, "The header of a login's answer that has the token.").example("X-Session"),
    Key::new("token_cookie", Value::Text, "The cookie of a login's answer that has the token.").example("JSESSIONID"),
    Key::new(
        "token_as",
        Value::OneOf(&["bearer", "header", "query", "cookie"]),
        "How the token of a login is sent; all but `bearer` take `auth_name`. The default is `bearer`; of a cookie, that \
         cookie.",
    ),
    Key::new(
        "token_lifetime",
        Value::Duration,
        "For how long the token of a login is good. Where absent, it is renewed when the server refuses it.",
    )
    .example("30m"),
];
