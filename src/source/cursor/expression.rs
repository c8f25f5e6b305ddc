//! `cursor = updated_at, id` and `cursor = coalesce(updated_at, created_at)`.

/// One of the values that rows are ordered by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expression {
    Column(String),
    /// The first of them that is not null.
    Coalesce(Vec<String>),
}

impl Expression {
    /// Reads the value of `cursor`.
    pub fn parse_all(text: &str) -> Result<Vec<Self>, String> {
        let parts = split(text).into_iter().map(|part| Self::parse(part.trim())).collect::<Result<Vec<_>, _>>()?;
        match parts.iter().enumerate().find(|(index, part)| parts[..*index].contains(part)) {
            Some((_, twice)) => Err(format!("names {twice} twice")),
            None => Ok(parts),
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let lower = text.to_ascii_lowercase();
        if let Some(inner) = lower.strip_prefix("coalesce").map(|rest| &text[text.len() - rest.len()..]) {
            let inner = inner.trim().strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
            if let Some(inner) = inner {
                let columns = split(inner).into_iter().map(column).collect::<Result<Vec<_>, _>>()?;
                return Ok(Expression::Coalesce(columns));
            }
        }
        column(text).map(Expression::Column)
    }

    pub fn columns(&self) -> &[String] {
        match self {
            Expression::Column(column) => std::slice::from_ref(column),
            Expression::Coalesce(columns) => columns,
        }
    }

    /// As SQL, with columns as `quote` writes them.
    pub fn sql(&self, quote: impl Fn(&str) -> String) -> String {
        match self {
            Expression::Column(column) => quote(column),
            Expression::Coalesce(columns) => {
                format!("coalesce({})", columns.iter().map(|column| quote(column)).collect::<Vec<_>>().join(", "))
            }
        }
    }
}

/// As it would be written in `pipeline.conf`.
impl std::fmt::Display for Expression {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let quoted = |column: &str| match is_plain(column) {
            true => column.to_owned(),
            false => format!("\"{}\"", column.replace('"', "\"\"")),
        };
        f.write_str(&self.sql(quoted))
    }
}

fn is_plain(column: &str) -> bool {
    !column.contains([',', '(', ')', '"', '`']) && column.trim() == column
}

fn column(text: &str) -> Result<String, String> {
    let text = text.trim();
    for quote in ['"', '`'] {
        if let Some(inner) = text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote)) {
            return Ok(inner.replace(&format!("{quote}{quote}"), &quote.to_string()));
        }
    }
    match is_plain(text) && !text.is_empty() {
        true => Ok(text.to_owned()),
        false => Err("must be columns, or `coalesce(column, column)`, separated by commas".to_owned()),
    }
}

/// Splits at commas outside parentheses and quotes.
fn split(text: &str) -> Vec<&str> {
    let (mut depth, mut quote) = (0, None);
    text.split(move |c| {
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (None, '"' | '`') => quote = Some(c),
            (None, '(') => depth += 1,
            (None, ')') => depth -= 1,
            _ => {}
        }
        c == ',' && depth == 0 && quote.is_none()
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        match Expression::parse_all(text) {
            Ok(parts) => parts.iter().map(ToString::to_string).collect::<Vec<_>>().join(" | "),
            Err(problem) => problem,
        }
    }

    #[test]
    fn reads_columns_and_coalesce() {
        assert_eq!(shown("updated_at"), "updated_at");
        assert_eq!(shown("updated_at, id"), "updated_at | id");
        assert_eq!(shown("COALESCE( updated_at ,created_at), id"), "coalesce(updated_at, created_at) | id");
        assert_eq!(shown("\"a, b\", `c``d`"), "\"a, b\" | \"c`d\"");
        assert_eq!(shown("coalesce_at"), "coalesce_at");
        for wrong in ["", "a,", "now()", "coalesce(a, now())", "a b)"] {
            assert!(shown(wrong).starts_with("must be columns"), "{wrong}: {}", shown(wrong));
        }
        assert_eq!(shown("a, a"), "names a twice");
    }
}
