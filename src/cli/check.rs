//! `tidemark check`.

use std::path::Path;

use super::{Console, args, show, table::table};
use crate::config::Config;
use crate::error::Result;
use crate::pipeline::{self, ColumnReport, Finding};

/// Prints what every part of the configuration came to; the exit code is that of the first that failed.
pub(super) async fn command(
    console: &Console,
    path: &Path,
    config: Result<Config>,
    wanted: &args::Check,
) -> Result<u8> {
    let config = config?;
    let count = |sections: usize, noun| show::of(sections as u64, noun);
    let sources = count(config.sources.len(), "source");
    let destinations = count(config.destinations.len(), "destination");
    let streams = count(config.streams.len(), "stream");
    pipeline::refuse_unlisted(&config, &wanted.streams)?;
    console.print(&format!("{}: ok\n  {sources}, {destinations}, {streams}\n", path.display()));
    let findings = pipeline::check(&config, &wanted.streams, wanted.create).await;
    for finding in &findings {
        console.print(&report(finding));
    }
    let failed = findings.iter().find_map(|finding| finding.result.as_ref().err());
    Ok(failed.map_or(0, |error| error.kind().exit_code()))
}

fn report(finding: &Finding) -> String {
    let (word, sentences) = match &finding.result {
        Ok(notes) => ("ok".to_owned(), notes.clone()),
        Err(error) => {
            (format!("failed ({})", error.kind()), error.to_string().lines().map(|l| l.trim().to_owned()).collect())
        }
    };
    let mut out = format!("\n{}: {word}\n", finding.section);
    for sentence in sentences {
        out.push_str(&format!("  {sentence}\n"));
    }
    for columns in finding.columns.chunk_by(|a, b| a.table == b.table) {
        out.push_str(&columns_of(columns));
    }
    out
}

fn columns_of(columns: &[ColumnReport]) -> String {
    let name = columns.first().map_or("", |column| column.table.as_str());
    let rows: Vec<_> = columns.iter().map(|c| vec![c.column.clone(), c.native.clone(), c.arrow.clone()]).collect();
    let lines = table(&[name, "native type", "arrives as"], &rows);
    lines.lines().map(|line| format!("    {line}\n")).fold("\n".to_owned(), |out, line| out + &line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    #[test]
    fn a_stream_shows_its_columns() {
        let column = |table: &str, column: &str| ColumnReport {
            table: table.to_owned(),
            column: column.to_owned(),
            native: "numeric(12,2)".to_owned(),
            arrow: "Decimal128(12, 2)".to_owned(),
        };
        let finding = Finding {
            section: "stream shop".to_owned(),
            result: Ok(vec!["2 tables".to_owned()]),
            columns: vec![column("orders", "total"), column("items", "price")],
        };
        let wanted = "
stream shop: ok
  2 tables

    orders  native type    arrives as
    total   numeric(12,2)  Decimal128(12, 2)

    items  native type    arrives as
    price  numeric(12,2)  Decimal128(12, 2)
";
        assert_eq!(report(&finding), wanted);
    }

    #[test]
    fn a_failure_says_what_to_do() {
        let error = Error::denied("the password of reader is refused").hint("Set it.");
        let finding = Finding { section: "source shop".to_owned(), result: Err(error), columns: Vec::new() };
        let wanted = "\nsource shop: failed (denied)\n  the password of reader is refused\n  Set it.\n";
        assert_eq!(report(&finding), wanted);
    }
}
