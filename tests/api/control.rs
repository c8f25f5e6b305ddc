//! The server's own orders, over HTTP: `POST /_control` gives one, `GET /_control` tells what came.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::http::{Reply, Request};
use super::limit::{Limit, Limiter};
use super::rule::Rule;
use super::state::State;

/// What is to change. Everything is done in the order of the fields; what is left away stays as it is.
///
/// `{"rules": [{"path": "/numbered", "query": {"page": "17"}, "name": "17", "fault": {"status": 500}}]}` has a page fail
/// until `{"repair": ["17"]}`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Order {
    /// Takes all rules and limits back.
    pub clear: bool,
    /// Forgets what came.
    pub forget: bool,
    /// Names of rules that are taken back.
    pub repair: Vec<String>,
    /// Rules that come behind those that are there.
    pub rules: Vec<Rule>,
    /// Limits, in place of those that are there.
    pub limits: Option<Vec<Limit>>,
    /// Fields of [`Settings`](super::Settings) with new values.
    pub settings: Map<String, Value>,
    /// Every token that was given out expires.
    pub expire: bool,
    /// So many new records come to `/events` and to every way of paging.
    pub grow: u64,
    /// Records of `/events` that change, now and once each time they are named.
    pub touch: Vec<u64>,
}

pub fn is_for(request: &Request) -> bool {
    request.path == "/_control"
}

pub fn answer(state: &State, request: &Request) -> Reply {
    if request.method == "GET" {
        return Reply::value(200, &serde_json::to_value(state.counts().clone()).unwrap());
    }
    let order = serde_json::from_slice(&request.body).map_err(|error| error.to_string());
    match order.and_then(|order| give(state, order)) {
        Ok(()) => Reply::value(200, &Value::Object(Map::new())),
        Err(message) => Reply::error(400, "order", message),
    }
}

/// Carries an order out.
///
/// # Errors
///
/// Settings that there are not; nothing has changed then.
pub fn give(state: &State, order: Order) -> Result<(), String> {
    change(state, order.settings)?;
    if order.clear {
        state.rules.lock().unwrap().clear();
        state.limits.lock().unwrap().clear();
    }
    if order.forget {
        state.counts().forget();
    }
    order.repair.iter().for_each(|name| state.rules.lock().unwrap().repair(name));
    order.rules.into_iter().for_each(|rule| state.rules.lock().unwrap().add(rule));
    if let Some(limits) = order.limits {
        *state.limits.lock().unwrap() = limits.into_iter().map(Limiter::new).collect();
    }
    if order.expire {
        state.tokens.lock().unwrap().expire_all();
    }
    state.settings.lock().unwrap().records += order.grow;
    let mut events = state.events.lock().unwrap();
    events.grow(order.grow);
    order.touch.into_iter().for_each(|id| events.touch(id));
    Ok(())
}

fn change(state: &State, fields: Map<String, Value>) -> Result<(), String> {
    let mut settings = state.settings.lock().unwrap();
    let mut all = serde_json::to_value(&*settings).unwrap();
    all.as_object_mut().unwrap().extend(fields);
    let changed: super::Settings = serde_json::from_value(all).map_err(|error| error.to_string())?;
    if changed.records != settings.records {
        *state.events.lock().unwrap() = super::routes::Events::new(changed.records);
    }
    *settings = changed;
    Ok(())
}
