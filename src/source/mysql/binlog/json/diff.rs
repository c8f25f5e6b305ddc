//! The differences that `binlog_row_value_options = PARTIAL_JSON` logs in place of a document.

use super::super::bytes::{Bytes, Torn};
use super::scalar::Scalar;
use super::stored::{Opened, Piece, root};

/// A document taken apart, so that parts of it can be changed.
#[derive(Debug, Clone)]
enum Node<'a> {
    Scalar(Scalar<'a>),
    Array(Vec<Node<'a>>),
    /// In the server's order: by length, then by bytes.
    Object(Vec<(Vec<u8>, Node<'a>)>),
}

/// A step from a document to one of its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Member(Vec<u8>),
    Cell(usize),
}

const REPLACE: u8 = 0;
const INSERT: u8 = 1;
const REMOVE: u8 = 2;

const DEEPEST: usize = 128;

/// Writes the text of a document after some differences.
pub fn apply(document: &[u8], differences: &[u8], out: &mut Vec<u8>) -> Result<(), Torn> {
    // Every piece of a document takes bytes of its own; one with more pieces than bytes points to some again and again.
    let mut pieces = document.len() + differences.len() + 1;
    let mut tree = Node::of(root(document)?, 0, &mut pieces)?;
    let mut bytes = Bytes(differences);
    while !bytes.is_empty() {
        let what = bytes.u8()?;
        let steps = steps(bytes.counted()?)?;
        let value = match what {
            REPLACE | INSERT => Some(Node::of(root(bytes.counted()?)?, 0, &mut pieces)?),
            REMOVE => None,
            _ => return Err(Torn),
        };
        match steps.split_last() {
            None => tree = value.ok_or(Torn)?,
            Some((last, way)) => tree.find(way).ok_or(Torn)?.change(what, last, value)?,
        }
    }
    tree.write(out)
}

impl<'a> Node<'a> {
    fn of(piece: Piece<'a>, depth: usize, pieces: &mut usize) -> Result<Self, Torn> {
        *pieces = pieces.checked_sub(1).ok_or(Torn)?;
        if depth > DEEPEST {
            return Err(Torn);
        }
        Ok(match piece.open()? {
            Opened::Scalar(scalar) => Node::Scalar(scalar),
            Opened::Array(entries) => {
                let nodes = (0..entries.count).map(|index| Node::of(entries.value(index)?, depth + 1, pieces));
                Node::Array(nodes.collect::<Result<_, _>>()?)
            }
            Opened::Object(entries) => {
                let nodes = (0..entries.count).map(|index| {
                    Ok((entries.key(index)?.to_vec(), Node::of(entries.value(index)?, depth + 1, pieces)?))
                });
                Node::Object(nodes.collect::<Result<_, _>>()?)
            }
        })
    }

    fn find(&mut self, way: &[Step]) -> Option<&mut Self> {
        way.iter().try_fold(self, |node, step| match (node, step) {
            (Node::Array(nodes), Step::Cell(index)) => nodes.get_mut(*index),
            (Node::Object(members), Step::Member(name)) => {
                members.iter_mut().find(|(key, _)| key == name).map(|(_, node)| node)
            }
            // A single value is an array of itself.
            (node, Step::Cell(0)) => Some(node),
            _ => None,
        })
    }

    fn change(&mut self, what: u8, step: &Step, value: Option<Node<'a>>) -> Result<(), Torn> {
        match (self, step, value) {
            (Node::Array(nodes), Step::Cell(index), None) if *index < nodes.len() => drop(nodes.remove(*index)),
            (Node::Array(nodes), Step::Cell(index), Some(value)) if what == INSERT => {
                nodes.insert((*index).min(nodes.len()), value);
            }
            (Node::Array(nodes), Step::Cell(index), Some(value)) => *nodes.get_mut(*index).ok_or(Torn)? = value,
            (Node::Object(members), Step::Member(name), value) => {
                let order = |(key, _): &(Vec<u8>, Node<'_>)| (key.len(), key.as_slice()).cmp(&(name.len(), name));
                match (members.binary_search_by(order), value) {
                    (Ok(at), Some(value)) => members[at].1 = value,
                    (Ok(at), None) => drop(members.remove(at)),
                    (Err(at), Some(value)) if what == INSERT => members.insert(at, (name.clone(), value)),
                    _ => return Err(Torn),
                }
            }
            (node, Step::Cell(0), Some(value)) if what == REPLACE => *node = value,
            _ => return Err(Torn),
        }
        Ok(())
    }

    fn write(&self, out: &mut Vec<u8>) -> Result<(), Torn> {
        match self {
            Node::Scalar(scalar) => scalar.write(out)?,
            Node::Array(nodes) => {
                out.push(b'[');
                for (index, node) in nodes.iter().enumerate() {
                    out.extend_from_slice(if index == 0 { b"" } else { b", " });
                    node.write(out)?;
                }
                out.push(b']');
            }
            Node::Object(members) => {
                out.push(b'{');
                for (index, (key, node)) in members.iter().enumerate() {
                    out.extend_from_slice(if index == 0 { b"" } else { b", " });
                    Scalar::Text(key).write(out)?;
                    out.extend_from_slice(b": ");
                    node.write(out)?;
                }
                out.push(b'}');
            }
        }
        Ok(())
    }
}

/// Reads `$.a[1]."b c"`. What stands in quotes is a text of JSON.
fn steps(path: &[u8]) -> Result<Vec<Step>, Torn> {
    let mut rest = path.strip_prefix(b"$").unwrap_or(path);
    let mut steps = Vec::new();
    while let Some((&first, after)) = rest.split_first() {
        let end = match (first, after.first()) {
            (b'.', Some(b'"')) => {
                let quoted = &after[..quoted(after).ok_or(Torn)?];
                let name: String = serde_json::from_slice(quoted).map_err(|_| Torn)?;
                steps.push(Step::Member(name.into_bytes()));
                quoted.len()
            }
            (b'.', _) => {
                let end = after.iter().position(|byte| matches!(byte, b'.' | b'[')).unwrap_or(after.len());
                steps.push(Step::Member(after[..end].to_vec()));
                end
            }
            (b'[', _) => {
                let end = after.iter().position(|byte| *byte == b']').ok_or(Torn)?;
                let number = std::str::from_utf8(&after[..end]).ok().and_then(|text| text.parse().ok());
                steps.push(Step::Cell(number.ok_or(Torn)?));
                end + 1
            }
            _ => return Err(Torn),
        };
        rest = &after[end..];
        if steps.len() > DEEPEST {
            return Err(Torn);
        }
    }
    Ok(steps)
}

/// The length of what stands in quotes at the front, with them.
fn quoted(text: &[u8]) -> Option<usize> {
    let mut escaped = false;
    for (at, byte) in text.iter().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(at + 1),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_steps() {
        let member = |name: &str| Step::Member(name.as_bytes().to_vec());
        assert_eq!(steps(br#"$.a[1]."b \" c".d"#), Ok(vec![member("a"), Step::Cell(1), member("b \" c"), member("d")]));
        assert_eq!(steps(b"$"), Ok(vec![]));
        for wrong in [&b"$x"[..], b"$[x]", b"$[1", b"$.\"a"] {
            assert!(steps(wrong).is_err());
        }
    }

    #[test]
    fn differences_are_made() {
        // [1, 2]
        let document = [2, 2, 0, 10, 0, 5, 1, 0, 5, 2, 0];
        let number = |n: u8| [5, n, 0];
        let change = |what: u8, path: &str, value: Option<u8>| {
            let mut bytes = vec![what, path.len() as u8];
            bytes.extend_from_slice(path.as_bytes());
            bytes.extend(value.iter().flat_map(|n| [&[3][..], &number(*n)].concat()));
            bytes
        };
        for (differences, text) in [
            (change(REPLACE, "$[1]", Some(7)), "[1, 7]"),
            (change(INSERT, "$[0]", Some(7)), "[7, 1, 2]"),
            (change(REMOVE, "$[0]", None), "[2]"),
            ([change(REMOVE, "$[0]", None), change(INSERT, "$[9]", Some(3))].concat(), "[2, 3]"),
        ] {
            let mut out = Vec::new();
            apply(&document, &differences, &mut out).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
        assert_eq!(apply(&document, &change(REPLACE, "$.a", Some(1)), &mut Vec::new()), Err(Torn));
        assert_eq!(apply(&document, &change(9, "$[0]", None), &mut Vec::new()), Err(Torn));
    }
}
