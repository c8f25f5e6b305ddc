use std::path::Path;

/// Where a value stands: what a message about it names first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// A line of the file, from 1.
    Line(usize),
    /// An environment variable that stands over the file.
    Variable(String),
    /// Where it stands is not known.
    Unknown,
}

impl Place {
    /// Of a message that begins with a place: `pipeline.conf:7: [source shop] …`.
    pub fn of(message: &str, file: &Path) -> Self {
        let line = message.strip_prefix(&format!("{}:", file.display())).and_then(|rest| rest.split_once(':'));
        if let Some(line) = line.and_then(|(line, _)| line.parse().ok()) {
            return Place::Line(line);
        }
        match message.split_once(": [") {
            Some((name, _)) if super::overrides::is_one(name) => Place::Variable(name.to_owned()),
            _ => Place::Unknown,
        }
    }

    /// `pipeline.conf:7`, or the variable's name.
    pub fn shown(&self, file: &Path) -> String {
        match self {
            Place::Line(line) => format!("{}:{line}", file.display()),
            Place::Variable(name) => name.clone(),
            Place::Unknown => file.display().to_string(),
        }
    }
}

impl From<usize> for Place {
    fn from(line: usize) -> Self {
        Place::Line(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_begin_with_their_places() {
        let file = Path::new("pipeline.conf");
        let places = [Place::Line(7), Place::Variable("TIDEMARK_SOURCE_SHOP_PORT".to_owned())];
        for place in places {
            assert_eq!(Place::of(&format!("{}: [source shop] x", place.shown(file)), file), place);
        }
        assert_eq!(Place::of("something else: [x", file), Place::Unknown);
    }
}
