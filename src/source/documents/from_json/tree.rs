//! JSON for tests: values, their texts in all sorts of notations, and numbers as what they are.

use std::collections::BTreeMap;

use proptest::prelude::*;

#[derive(Debug, Clone)]
pub enum Tree {
    Null,
    Bool(bool),
    /// As it is written.
    Number(String),
    Text(String),
    List(Vec<Tree>),
    Object(BTreeMap<String, Tree>),
}

/// How values are written: which white space stands between tokens, and which characters are escaped.
#[derive(Debug, Clone)]
pub struct Notation {
    choices: Vec<u8>,
}

pub fn notation() -> impl Strategy<Value = Notation> {
    prop::collection::vec(any::<u8>(), 1..20).prop_map(|choices| Notation { choices })
}

pub fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        "-?(0|[1-9][0-9]{0,6})",
        "-?[1-9][0-9]{16,40}",
        "-?(0|[1-9][0-9]{0,5})\\.[0-9]{1,9}",
        "-?(0|[1-9][0-9]{0,20})\\.[0-9]{1,40}",
        "-?(0|[1-9][0-9]{0,3})(\\.[0-9]{1,20})?[eE][+-]?[0-9]{1,4}",
        any::<f64>().prop_filter("JSON has no others", |of| of.is_finite()).prop_map(|of| format!("{of:?}")),
        any::<i64>().prop_map(|of| of.to_string()),
        any::<i32>().prop_map(|of| of.to_string()),
    ]
}

/// Names of which some are the same, and some odd.
pub fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => prop::sample::select(vec!["data", "items", "next", "a", "b", "odd name", "é\"\\"]).prop_map(str::to_owned),
        1 => "[a-zA-Z\u{80}-\u{10FFFF}\"\\\\\n]{0,12}",
    ]
}

pub fn tree() -> impl Strategy<Value = Tree> {
    let leaf = prop_oneof![
        1 => Just(Tree::Null),
        1 => any::<bool>().prop_map(Tree::Bool),
        3 => number().prop_map(Tree::Number),
        3 => "([ -~]{0,12}|[\u{0}-\u{1F}\"\\\\/é\u{10000}-\u{10FFFF}]{0,9})".prop_map(Tree::Text),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Tree::List),
            prop::collection::btree_map(name(), inner, 0..5).prop_map(Tree::Object),
        ]
    })
}

/// Objects and lists.
pub fn container() -> impl Strategy<Value = Tree> {
    tree().prop_map(|tree| match tree {
        tree @ (Tree::List(_) | Tree::Object(_)) => tree,
        scalar => Tree::Object(BTreeMap::from([("data".to_owned(), Tree::List(vec![scalar]))])),
    })
}

impl Tree {
    pub fn json(&self, notation: &Notation) -> String {
        let mut out = String::new();
        let mut choices = notation.choices.iter().copied().cycle();
        self.write(&mut out, &mut choices);
        out
    }

    fn write(&self, out: &mut String, choices: &mut impl Iterator<Item = u8>) {
        space(out, choices);
        match self {
            Tree::Null => out.push_str("null"),
            Tree::Bool(of) => out.push_str(&of.to_string()),
            Tree::Number(text) => out.push_str(text),
            Tree::Text(text) => string(text, out, choices),
            Tree::List(items) => {
                out.push('[');
                for (at, item) in items.iter().enumerate() {
                    out.push_str(if at == 0 { "" } else { "," });
                    item.write(out, choices);
                }
                space(out, choices);
                out.push(']');
            }
            Tree::Object(members) => {
                out.push('{');
                for (at, (name, value)) in members.iter().enumerate() {
                    out.push_str(if at == 0 { "" } else { "," });
                    space(out, choices);
                    string(name, out, choices);
                    space(out, choices);
                    out.push(':');
                    value.write(out, choices);
                }
                space(out, choices);
                out.push('}');
            }
        }
        space(out, choices);
    }
}

fn space(out: &mut String, choices: &mut impl Iterator<Item = u8>) {
    out.push_str(["", "", "", "", " ", "\n  ", "\t", "\r\n"][usize::from(choices.next().unwrap() % 8)]);
}

fn string(text: &str, out: &mut String, choices: &mut impl Iterator<Item = u8>) {
    out.push('"');
    for c in text.chars() {
        let escape = choices.next().unwrap().is_multiple_of(5);
        match c {
            '\n' if escape => out.push_str("\\n"),
            '/' if escape => out.push_str("\\/"),
            '"' | '\\' if !escape => out.extend(['\\', c]),
            c if escape || c < ' ' => {
                c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// A number as its sign, its digits without zeros at their ends, and the exponent of the last one.
pub fn exact(text: &str) -> (bool, String, i64) {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{}{fraction}", whole.trim_start_matches('-'));
    let kept = digits.trim_end_matches('0');
    let exponent: i64 = exponent.parse().unwrap();
    let exponent = exponent - fraction.len() as i64 + (digits.len() - kept.len()) as i64;
    let kept = kept.trim_start_matches('0').to_owned();
    match kept.is_empty() {
        true => (text.starts_with('-'), kept, 0),
        false => (text.starts_with('-'), kept, exponent),
    }
}
