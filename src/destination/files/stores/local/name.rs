//! The names of temporary files: beside their target, hidden, and telling of which file they are the beginning.

use uuid::Uuid;

const END: &str = ".tmp";
const RANDOM: usize = 16;

/// A new name for a file that will be `name`: `.NAME.RANDOM.tmp`. Readers that expand `*` pass over a leading dot.
pub fn temporary(name: &str) -> String {
    let (_, random) = Uuid::now_v7().as_u64_pair();
    format!(".{name}.{random:0width$x}{END}", width = RANDOM)
}

/// The name that a temporary file would have had; `None` of any other file.
pub fn target(name: &str) -> Option<&str> {
    let (name, random) = name.strip_prefix('.')?.strip_suffix(END)?.rsplit_once('.')?;
    let ours = random.len() == RANDOM && random.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    (ours && !name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temporary_name_tells_its_target() {
        let name = "orders-00000000000000000042-000001.parquet";
        assert_eq!(target(&temporary(name)), Some(name));
        assert_ne!(temporary(name), temporary(name));
        for other in [name, ".hidden", ".a.tmp", ".a.0123.tmp", ".a.0123456789ABCDEF.tmp", "a.0123456789abcdef.tmp"] {
            assert_eq!(target(other), None, "{other}");
        }
    }
}
