//! Plain tables of text.

/// Columns as wide as their widest cell, two blanks apart; those with a `>` before their header stand to the right.
pub fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let right: Vec<bool> = header.iter().map(|name| name.starts_with('>')).collect();
    let names = header.iter().map(|name| name.trim_start_matches('>').to_owned()).collect();
    let lines: Vec<&Vec<String>> = std::iter::once(&names).chain(rows).collect();
    let width = |column: usize| lines.iter().filter_map(|line| line.get(column)).map(|cell| length(cell)).max();
    let widths: Vec<usize> = (0..header.len()).map(|column| width(column).unwrap_or(0)).collect();
    let mut out = String::new();
    for line in lines {
        let mut text = String::new();
        for ((cell, width), right) in line.iter().zip(&widths).zip(&right) {
            let blanks = " ".repeat(width - length(cell));
            let cell = if *right { format!("{blanks}{cell}") } else { format!("{cell}{blanks}") };
            text.push_str(&cell);
            text.push_str("  ");
        }
        out.push_str(text.trim_end());
        out.push('\n');
    }
    out
}

fn length(cell: &str) -> usize {
    cell.chars().count()
}

#[cfg(test)]
mod tests {
    use super::table;

    #[test]
    fn aligns() {
        let rows = [vec!["größe".to_owned(), "1".to_owned()], vec!["b".to_owned(), "12,345".to_owned()]];
        assert_eq!(table(&["stream", ">rows"], &rows), "stream    rows\ngröße        1\nb       12,345\n");
    }
}
