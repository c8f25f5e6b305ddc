/// The candidate that `word` was most likely meant to be, if any is near enough, upper and lower case aside.
///
/// Near is one slip (a letter missing, too many, wrong, or two swapped) for every three letters, three slips at most; or
/// a beginning that is at least half of the candidate. A suggestion that is none of what was meant costs more than none.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    candidates
        .into_iter()
        .filter_map(|candidate| Some((slips(&word, &candidate.to_lowercase())?, candidate)))
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, candidate)| candidate)
}

const MOST_SLIPS: usize = 3;

/// How many slips lie between them, where they are near. Leading `schema.` that both have says nothing about that.
fn slips(word: &str, candidate: &str) -> Option<usize> {
    if let (Some((first, word)), Some((same, candidate))) = (word.split_once('.'), candidate.split_once('.'))
        && first == same
    {
        return slips(word, candidate);
    }
    let (length, wanted) = (word.chars().count(), candidate.chars().count());
    let slips = strsim::damerau_levenshtein(word, candidate);
    let is_slip = slips <= (length.max(wanted) / 3).min(MOST_SLIPS);
    let is_beginning = candidate.starts_with(word) && length >= 3 && 2 * length >= wanted;
    (is_slip || is_beginning).then_some(slips)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    const KEYS: [&str; 14] = [
        "as",
        "columns",
        "commit_bytes",
        "commit_rows",
        "compression",
        "format",
        "hostname",
        "mode",
        "password",
        "path",
        "port",
        "table",
        "tables",
        "username",
    ];

    #[test]
    fn finds_what_was_meant() {
        for (word, meant) in [
            ("hostnam", "hostname"),
            ("host", "hostname"),
            ("user", "username"),
            ("pasword", "password"),
            ("compres", "compression"),
            ("tabel", "table"),
            ("tabels", "tables"),
            ("Format", "format"),
            ("commit_row", "commit_rows"),
            ("prot", "port"),
        ] {
            assert_eq!(nearest(word, KEYS), Some(meant), "{word}");
        }
        assert_eq!(nearest("parket", ["csv", "json", "parquet"]), Some("parquet"));
        assert_eq!(nearest("cvs", ["csv", "json", "parquet"]), Some("csv"));
        assert_eq!(nearest("ORDERS", ["orders", "items"]), Some("orders"));
        assert_eq!(nearest("public.ordres", ["public.items", "public.orders"]), Some("public.orders"));
        assert_eq!(nearest("ordes", ["orders", "users"]), Some("orders"));
    }

    #[test]
    fn says_nothing_rather_than_something_else() {
        for word in
            ["zebra", "id", "is", "c", "co", "com", "code_page", "moon", "batch_rows", "user_agent", "tls", "pw"]
        {
            assert_eq!(nearest(word, KEYS), None, "{word}");
        }
        assert_eq!(nearest("items", ["users", "shop", "orders"]), None);
        assert_eq!(nearest("nope", ["note", "orders"]), Some("note"), "one slip in four letters");
        assert_eq!(nearest("nope", ["shop", "one", "rest"]), None);
        assert_eq!(nearest("", ["a", "orders"]), None);
        assert_eq!(nearest("public.ab", ["public.cd", "public.orders"]), None);
    }
}
