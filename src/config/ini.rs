//! The text of a `pipeline.conf`, as Python's configparser reads it: sections, `key = value` or `key: value`, keys without
//! regard to case, values continued on indented lines, whole-line comments with `#` or `;`. Other than there, what stands
//! behind a key's first dot keeps its case: it is a name in a source.

use super::place::Place;

/// A section as written: its header and its keys, with the lines they stand on (from 1).
#[derive(Debug, Clone)]
pub struct RawSection {
    pub header: String,
    pub line: usize,
    pub items: Vec<RawItem>,
}

#[derive(Debug, Clone)]
pub struct RawItem {
    /// In lower case up to its first dot, and as written behind that.
    pub key: String,
    pub value: String,
    pub place: Place,
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub line: usize,
    pub message: String,
}

/// Reads all of it, whatever is wrong with some lines.
pub fn parse(text: &str) -> (Vec<RawSection>, Vec<Problem>) {
    let mut parser = Parser::default();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (index, line) in text.lines().enumerate() {
        parser.line(index + 1, line);
    }
    parser.finish()
}

#[derive(Default)]
struct Parser {
    sections: Vec<RawSection>,
    problems: Vec<Problem>,
    /// The indentation of the key that a deeper line continues.
    open: Option<usize>,
    /// Empty lines belong to a value only if more of it follows.
    blank: usize,
}

impl Parser {
    fn line(&mut self, number: usize, line: &str) {
        let text = line.trim();
        let indent = line.len() - line.trim_start().len();
        if text.starts_with(['#', ';']) {
            return;
        }
        if text.is_empty() {
            self.blank += 1;
            return;
        }
        let blank = std::mem::take(&mut self.blank);
        if self.open.is_some_and(|key_indent| indent > key_indent) {
            if let Some(item) = self.sections.last_mut().and_then(|section| section.items.last_mut()) {
                item.value.push_str(&"\n".repeat(blank + 1));
                item.value.push_str(text);
            }
        } else if text.starts_with('[') {
            self.header(number, text);
        } else {
            self.key(number, indent, text);
        }
    }

    fn header(&mut self, line: usize, text: &str) {
        self.open = None;
        let Some(end) = text.find(']') else {
            return self.problem(line, "the section header is not closed with `]`");
        };
        let header = text[1..end].split_whitespace().collect::<Vec<_>>().join(" ");
        if let Some(earlier) = self.sections.iter().find(|section| section.header == header) {
            let message = format!("section [{header}] is already defined on line {}", earlier.line);
            self.problem(line, message);
        }
        self.sections.push(RawSection { header, line, items: Vec::new() });
    }

    fn key(&mut self, line: usize, indent: usize, text: &str) {
        self.open = None;
        let Some(at) = text.find(['=', ':']) else {
            return self.problem(line, "expected `key = value`, a [section] or a comment (# or ;)");
        };
        let key = match text[..at].trim().split_once('.') {
            Some((family, member)) => format!("{}.{member}", family.to_lowercase()),
            None => text[..at].trim().to_lowercase(),
        };
        let value = text[at + 1..].trim().to_owned();
        let Some(section) = self.sections.last_mut() else {
            return self.problem(line, format!("key `{key}` comes before the first [section]"));
        };
        if let Some(earlier) = section.items.iter().find(|item| item.key == key) {
            let earlier = match earlier.place {
                Place::Line(earlier) => format!(" on line {earlier}"),
                _ => String::new(),
            };
            // Of a name in a source, there may be several.
            let hint = if key.contains('.') { "; more lines of one value stand below it, indented" } else { "" };
            return self.problem(line, format!("key `{key}` is already set{earlier}{hint}"));
        }
        section.items.push(RawItem { key, value, place: line.into() });
        self.open = Some(indent);
    }

    fn problem(&mut self, line: usize, message: impl Into<String>) {
        self.problems.push(Problem { line, message: message.into() });
    }

    fn finish(self) -> (Vec<RawSection>, Vec<Problem>) {
        (self.sections, self.problems)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_configparser_reads() {
        let text = "# c\n[a b]\nKey = 1 ; not a comment\nq: select *\n  from t\n\n  where x\n; c\n[c]\nempty =\n";
        let (sections, problems) = parse(text);
        assert_eq!(problems, []);
        let items: Vec<_> =
            sections.iter().flat_map(|s| &s.items).map(|i| (i.key.as_str(), i.value.as_str())).collect();
        assert_eq!(items, [("key", "1 ; not a comment"), ("q", "select *\nfrom t\n\nwhere x"), ("empty", "")]);
        assert_eq!((sections[0].header.as_str(), sections[1].line), ("a b", 9));
    }

    #[test]
    fn names_behind_a_dot_keep_their_case() {
        let (sections, problems) =
            parse("[a]\nDefault.Event.Name = 1\ndefault.event.name = 2\nDEFAULT.Event.Name = 3\n");
        let keys: Vec<_> = sections[0].items.iter().map(|item| item.key.as_str()).collect();
        assert_eq!(keys, ["default.Event.Name", "default.event.name"]);
        assert_eq!(problems.len(), 1, "the same key twice: {problems:?}");
        assert!(problems[0].message.ends_with("on line 2; more lines of one value stand below it, indented"));
        let (sections, problems) = parse("[a]\nparam.ids = 1\n    2\n\t3\n");
        assert_eq!((sections[0].items[0].value.as_str(), problems), ("1\n2\n3", vec![]));
    }

    #[test]
    fn names_every_bad_line() {
        let (_, problems) = parse("x = 1\n[a\n[b]\nno value here\nk = 1\nk = 2\n[b]\n");
        let lines: Vec<_> = problems.iter().map(|p| p.line).collect();
        assert_eq!(lines, [1, 2, 4, 6, 7]);
    }
}
