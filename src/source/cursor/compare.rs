//! Comparisons of several values at once, as SQL.

/// How a row's values stand to those given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compare {
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

/// A condition that compares `columns` with `values`, both SQL, first by the first.
///
/// `rows` says whether the server makes a range of an index of a comparison of rows; where it does not, the same is
/// written out, with the first column's own bound, of which it can.
pub fn compare(columns: &[String], how: Compare, values: &[String], rows: bool) -> String {
    let (last, strict) = match how {
        Compare::Greater => (">", ">"),
        Compare::GreaterOrEqual => (">=", ">"),
        Compare::Less => ("<", "<"),
        Compare::LessOrEqual => ("<=", "<"),
    };
    match (columns, values) {
        ([column], [value]) => format!("{column} {last} {value}"),
        _ if rows => format!("({}) {last} ({})", columns.join(", "), values.join(", ")),
        _ => {
            let mut written = String::new();
            for (column, value) in columns.iter().zip(values).rev() {
                written = match written.is_empty() {
                    true => format!("{column} {last} {value}"),
                    false => format!("{column} {strict} {value} or ({column} = {value} and ({written}))"),
                };
            }
            let first = columns.iter().zip(values).next();
            let range = first.map(|(column, value)| format!("{column} {strict}= {value} and ")).unwrap_or_default();
            format!("({range}({written}))")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(columns: &[&str], how: Compare, values: &[&str], rows: bool) -> String {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        compare(&owned(columns), how, &owned(values), rows)
    }

    #[test]
    fn one_value_is_compared_plainly() {
        assert_eq!(of(&["a"], Compare::Greater, &["1"], false), "a > 1");
        assert_eq!(of(&["a"], Compare::LessOrEqual, &["1"], true), "a <= 1");
    }

    #[test]
    fn several_are_compared_as_rows_or_written_out() {
        assert_eq!(of(&["a", "b"], Compare::GreaterOrEqual, &["1", "2"], true), "(a, b) >= (1, 2)");
        assert_eq!(
            of(&["a", "b", "c"], Compare::Greater, &["1", "2", "3"], false),
            "(a >= 1 and (a > 1 or (a = 1 and (b > 2 or (b = 2 and (c > 3))))))"
        );
        assert_eq!(
            of(&["a", "b"], Compare::LessOrEqual, &["1", "2"], false),
            "(a <= 1 and (a < 1 or (a = 1 and (b <= 2))))"
        );
    }
}
