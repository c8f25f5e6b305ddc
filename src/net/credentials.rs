//! What URLs of servers have in common: a user's name and a password, which must be told from the host without fail.

/// What is wrong with a URL whose password seems to end too early.
const ENDS_EARLY: &str = "has an `@` too many: in a password @ : / ? # % must be percent-encoded (`@` is `%40`)";

/// Refuses a URL whose password seems to end too early: of `u:a@b/c@host`, `b` would be taken for the host, looked up,
/// and named in messages.
pub fn check(url: &str) -> Result<(), String> {
    let after_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = after_scheme.find(['/', '?', '#']).unwrap_or(after_scheme.len());
    match after_scheme[..authority].matches('@').count() < 2 && !after_scheme[authority..].contains('@') {
        true => Ok(()),
        false => Err(ENDS_EARLY.to_owned()),
    }
}

/// What is wrong with the URL of a section that has keys for the password too, as sources have and the job log has not.
pub fn or_its_keys(problem: String) -> String {
    match problem == ENDS_EARLY {
        true => problem + ". Or leave the password out and use `password` or `password_file`",
        false => problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_that_seems_to_end_too_early_is_refused() {
        for url in ["p://u:a@b/c@h/d", "p://u:a#b@h/d", "p://u:a?b@h/d", "p://u:12/b@h", "p://u:a@b@h/d"] {
            let problem = check(url).unwrap_err();
            assert!(problem.contains("%40") && !problem.contains("password_file"), "{url}");
            assert!(or_its_keys(problem).ends_with("use `password` or `password_file`"), "{url}");
        }
        for url in ["p://u:a%40b%2Fc@h/d", "p://u@h/d", "p://h", "p:///d?host=/tmp", "nonsense"] {
            assert!(check(url).is_ok(), "{url}");
        }
    }
}
