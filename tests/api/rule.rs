//! Which requests go wrong, and when: reproducible, whatever order they come in.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hasher;

use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;

use super::fault::Fault;
use super::http::Request;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// What the rule is repaired by, and counted as.
    #[serde(default)]
    pub name: String,
    /// A path, or what paths begin with if it ends in `*`.
    #[serde(default = "any")]
    pub path: String,
    #[serde(default)]
    pub method: Option<String>,
    /// Parameters of the query, with these values.
    #[serde(default)]
    pub query: BTreeMap<String, String>,
    #[serde(default)]
    pub when: When,
    /// How often the same request goes wrong at most: a client that tries more often than this gets through.
    #[serde(default)]
    pub at_most: Option<u64>,
    pub fault: Fault,
}

fn any() -> String {
    "*".to_owned()
}

/// When a request that a rule is about goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum When {
    /// Each time, until the rule is repaired.
    #[default]
    Always,
    /// The nth of those requests, from 1 on.
    Nth(u64),
    /// The first so many of them.
    First(u64),
    /// Every nth of them.
    Every(u64),
    /// By chance, which depends on the request, on how often it was made, and on the seed; not on other requests.
    Chance { share: f64, seed: u64 },
}

impl Rule {
    pub fn new(fault: Fault) -> Self {
        Self {
            name: String::new(),
            path: any(),
            method: None,
            query: BTreeMap::new(),
            when: When::Always,
            at_most: None,
            fault,
        }
    }

    /// Only this path, or paths that begin so if it ends in `*`.
    pub fn on(mut self, path: &str) -> Self {
        path.clone_into(&mut self.path);
        self
    }

    /// Only requests with this parameter of the query.
    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.query.insert(name.to_owned(), value.to_string());
        self
    }

    pub fn method(mut self, method: &str) -> Self {
        self.method = Some(method.to_owned());
        self
    }

    pub fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    pub fn nth(self, number: u64) -> Self {
        self.when(When::Nth(number))
    }

    pub fn first(self, count: u64) -> Self {
        self.when(When::First(count))
    }

    pub fn every(self, number: u64) -> Self {
        self.when(When::Every(number))
    }

    pub fn chance(self, share: f64, seed: u64) -> Self {
        self.when(When::Chance { share, seed })
    }

    pub fn when(mut self, when: When) -> Self {
        self.when = when;
        self
    }

    /// The same request goes wrong so often at most.
    pub fn at_most(mut self, times: u64) -> Self {
        self.at_most = Some(times);
        self
    }

    fn is_about(&self, request: &Request) -> bool {
        matches(&self.path, &request.path)
            && self.method.as_ref().is_none_or(|method| *method == request.method)
            && self.query.iter().all(|(name, value)| request.get(name) == Some(value))
    }
}

/// Whether a path is what a rule or a limit is about.
pub fn matches(pattern: &str, path: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => path.starts_with(beginning),
        None => path == pattern,
    }
}

/// The rules in force, and what they have seen.
#[derive(Default)]
pub struct Rules(Vec<Active>);

struct Active {
    rule: Rule,
    /// Requests that it was about.
    count: u64,
    /// How often each of them was made, and went wrong. Kept only where the rule asks.
    each: HashMap<String, (u64, u64)>,
}

impl Rules {
    pub fn add(&mut self, rule: Rule) {
        self.0.push(Active { rule, count: 0, each: HashMap::new() });
    }

    /// Takes the rules of this name back.
    pub fn repair(&mut self, name: &str) {
        self.0.retain(|active| active.rule.name != name);
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// What goes wrong with this request, and what that is counted as. The first rule that applies decides; all of them count.
    pub fn decide(&mut self, request: &Request) -> Option<(String, Fault)> {
        let mut decided = None;
        for active in self.0.iter_mut().filter(|active| active.rule.is_about(request)) {
            if active.applies(request, decided.is_none()) {
                let Rule { name, fault, .. } = &active.rule;
                let name = if name.is_empty() { fault.name() } else { name.clone() };
                decided = Some((name, fault.clone()));
            }
        }
        decided
    }
}

impl Active {
    /// Counts the request, and whether it goes wrong by this rule. `is_free`: no other rule has decided already.
    fn applies(&mut self, request: &Request, is_free: bool) -> bool {
        self.count += 1;
        let is_due = match self.rule.when {
            When::Always | When::Chance { .. } => true,
            When::Nth(number) => self.count == number,
            When::First(count) => self.count <= count,
            When::Every(number) => self.count.is_multiple_of(number),
        };
        if self.rule.at_most.is_none() && !matches!(self.rule.when, When::Chance { .. }) {
            return is_due && is_free;
        }
        let name = request.name();
        let (made, wrong) = self.each.entry(name.clone()).or_default();
        *made += 1;
        let is_bad_luck = match self.rule.when {
            When::Chance { share, seed } => chance(seed, &name, *made) < share,
            _ => true,
        };
        let applies = is_due && is_free && is_bad_luck && self.rule.at_most.is_none_or(|most| *wrong < most);
        *wrong += u64::from(applies);
        applies
    }
}

/// From 0 to 1, the same for the same.
fn chance(seed: u64, name: &str, time: u64) -> f64 {
    let mut hasher = SipHasher13::new_with_keys(seed, time);
    hasher.write(name.as_bytes());
    (hasher.finish() >> 11) as f64 / (1u64 << 53) as f64
}
