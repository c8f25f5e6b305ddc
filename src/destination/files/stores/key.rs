//! What a key may be.

use crate::error::{Error, Result};

/// Refuses what is no key: it could leave the store's root, or mean another object on another store.
pub fn checked(key: &str) -> Result<&str> {
    let segment = |segment: &str| !matches!(segment, "" | "." | "..");
    match key.split('/').all(segment) && !key.chars().any(char::is_control) {
        true => Ok(key),
        false => Err(Error::bug(format!("{key:?} is no key for a store"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_stay_below_the_root() {
        for key in ["a", "a/b.csv", "a%2Fb/Ärger 1+2=3.csv", "..a/.b", "_commits/s/0.json"] {
            assert_eq!(checked(key).unwrap(), key);
        }
        for key in ["", "/a", "a/", "a//b", "..", "a/../b", "./a", "a/.", "a\nb", "a\0"] {
            assert!(checked(key).is_err(), "{key:?}");
        }
    }
}
