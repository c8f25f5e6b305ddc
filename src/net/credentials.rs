//! What URLs of servers have in common: a user's name and a password, which must be told from the host without fail.

/// Refuses a URL whose password seems to end too early: of `u:a@b/c@host`, `b` would be taken for the host, looked up,
/// and named in messages.
pub fn check(url: &str) -> Result<(), String> {
    let after_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = after_scheme.find(['/', '?', '#']).unwrap_or(after_scheme.len());
    match after_scheme[..authority].matches('@').count() < 2 && !after_scheme[authority..].contains('@') {
        true => Ok(()),
        false => {
            Err("has an `@` too many: in a password @ : / ? # % must be percent-encoded (`@` is `%40`). Or leave \
                      the password out and use `password` or `password_file`"
                .to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn a_password_that_seems_to_end_too_early_is_refused() {
        for url in ["p://u:a@b/c@h/d", "p://u:a#b@h/d", "p://u:a?b@h/d", "p://u:12/b@h", "p://u:a@b@h/d"] {
            assert!(check(url).unwrap_err().contains("%40"), "{url}");
        }
        for url in ["p://u:a%40b%2Fc@h/d", "p://u@h/d", "p://h", "p:///d?host=/tmp", "nonsense"] {
            assert!(check(url).is_ok(), "{url}");
        }
    }
}
