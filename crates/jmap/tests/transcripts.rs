//! The dialogues of `tests/transcripts/jmap`.
//!
//! `C:` is a method call, and several that follow each other are one request; `S:` is a response to them, in order. `R:` is a
//! whole request as octets, `P:` the status and the problem document that answers it. A line that begins with a space goes on
//! with the one before it. `U:` says who asks from there on; `B:` uploads the text that follows (`\n` is a line end) under the
//! name before it. In a response `"..."` stands for any value, and as a member for any further members; `"<name>"` takes the
//! value that it finds, which the same name stands for from there on, also in a request.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod world;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use jmap::Moment;
use serde_json::Value;
use store::Store;
use world::{NOW, World};

/// Lines joined with those that go on with them.
fn lines(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        match lines.last_mut() {
            Some(last) if line.starts_with(' ') => {
                last.push('\n');
                last.push_str(line);
            }
            _ => lines.push(line.to_owned()),
        }
    }
    lines
}

struct Dialogue<'w> {
    world: &'w World,
    user: String,
    names: BTreeMap<String, Value>,
    calls: Vec<Value>,
    responses: std::collections::VecDeque<Value>,
    /// The dialogue as it is in fact.
    told: String,
    wrong: Vec<String>,
}

/// `<name>`
fn name_of(value: &Value) -> Option<&str> {
    value.as_str()?.strip_prefix('<')?.strip_suffix('>').filter(|name| !name.contains(['@', ' ']))
}

impl Dialogue<'_> {
    fn filled(&self, value: Value) -> Value {
        match value {
            Value::String(_) => name_of(&value).and_then(|name| self.names.get(name).cloned()).unwrap_or(value),
            Value::Array(items) => items.into_iter().map(|item| self.filled(item)).collect(),
            Value::Object(members) => {
                let key = |key: String| self.filled(key.into()).as_str().unwrap().to_owned();
                Value::Object(members.into_iter().map(|(name, value)| (key(name), self.filled(value))).collect())
            }
            other => other,
        }
    }

    fn matches(&mut self, expected: &Value, found: &Value) -> bool {
        if expected == "..." {
            return true;
        }
        if let Some(name) = name_of(expected) {
            return *self.names.entry(name.to_owned()).or_insert_with(|| found.clone()) == *found;
        }
        match (expected, found) {
            (Value::Array(a), Value::Array(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| self.matches(a, b))
            }
            (Value::Object(a), Value::Object(b)) => {
                let is_open = a.contains_key("...");
                let known = a.iter().filter(|(name, _)| *name != "...").collect::<Vec<_>>();
                let all = known.into_iter().all(|(name, value)| {
                    let name = self.filled(name.as_str().into());
                    b.get(name.as_str().unwrap()).is_some_and(|found| self.matches(value, found))
                });
                all && (is_open || a.len() == b.len())
            }
            (a, b) => a == b,
        }
    }

    /// Sends the calls that were collected.
    fn send(&mut self) {
        if !self.calls.is_empty() {
            let calls: Vec<Value> = std::mem::take(&mut self.calls);
            self.responses = self.world.calls(&self.user, &calls).into();
        }
    }

    fn end(&mut self) {
        self.send();
        for more in std::mem::take(&mut self.responses) {
            self.wrong.push(format!("not expected: {more}"));
            writeln!(self.told, "S: {more}").unwrap();
        }
    }

    fn line(&mut self, line: &str) {
        let (kind, rest) = line.split_at_checked(2).unwrap_or((line, ""));
        let json = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_else(|error| panic!("{line}: {error}"));
        match kind {
            "C:" => {
                if self.calls.is_empty() {
                    self.end();
                }
                let call = self.filled(json(rest));
                self.calls.push(call);
            }
            "S:" => {
                self.send();
                let found = self.responses.pop_front().unwrap_or(Value::Null);
                if !self.matches(&json(rest), &found) {
                    self.wrong.push(format!("expected: {rest}\n   found:  {found}"));
                    writeln!(self.told, "S: {found}").unwrap();
                    return;
                }
            }
            "U:" => {
                self.end();
                self.user = rest.trim().to_owned();
            }
            "B:" => {
                self.end();
                let (name, text) = rest.trim().split_once(' ').unwrap();
                let octets = text.replace("\\n", "\r\n");
                let world = self.world;
                let (user, moment) = (world.user(&self.user), Moment { now: NOW, random: 7 });
                let reply = world.runtime.block_on(async {
                    let stage = world.staged(octets.as_bytes()).await;
                    let account = format!("A{}", user.account.0);
                    world
                        .server
                        .upload(&world.server.begin_upload(user).unwrap(), user, &account, "text/plain", stage, moment)
                        .await
                });
                let body: Value = serde_json::from_slice(&reply.body).unwrap();
                self.names.insert(name.to_owned(), body["blobId"].clone());
            }
            "R:" => {
                self.end();
                let reply = self.world.raw(&self.user, rest.trim_start().as_bytes());
                let body: Value = serde_json::from_slice(&reply.body).unwrap();
                self.responses = [Value::Array(vec![reply.status.into(), body])].into();
            }
            "P:" => {
                let found = self.responses.pop_front().unwrap_or(Value::Null);
                if !self.matches(&json(rest), &found) {
                    self.wrong.push(format!("expected: {rest}\n   found:  {found}"));
                    writeln!(self.told, "P: {found}").unwrap();
                    return;
                }
            }
            _ if line.trim().is_empty() || line.starts_with('#') => self.end(),
            _ => panic!("what is {line:?}?"),
        }
        writeln!(self.told, "{line}").unwrap();
    }
}

#[test]
fn transcripts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/transcripts/jmap");
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    let mut wrong = String::new();
    for path in &files {
        let text = std::fs::read_to_string(path).unwrap();
        let world = World::new();
        if !text.contains("\n# empty\n") {
            world.fill(&folder.join("messages"));
        }
        if let Some(quota) = text.lines().find_map(|line| line.strip_prefix("# quota ")) {
            let set = world.store.set_quota(world.account(), quota.parse().ok());
            world.runtime.block_on(set).unwrap().into_inner();
        }
        for line in text.lines().filter_map(|line| line.strip_prefix("# alias ")) {
            let mut addresses = line.split(' ').map(|text| wire::address::mailbox(text).unwrap());
            let alias = store::Alias { address: addresses.next().unwrap(), targets: addresses.collect() };
            world.runtime.block_on(world.store.set_alias(alias)).unwrap().into_inner();
        }
        let mut dialogue = Dialogue {
            world: &world,
            user: "alice".into(),
            names: BTreeMap::new(),
            calls: Vec::new(),
            responses: [].into(),
            told: String::new(),
            wrong: Vec::new(),
        };
        for line in lines(&text) {
            dialogue.line(&line);
        }
        dialogue.end();
        // For who writes a dialogue: the answers as they are, to be read and judged.
        if std::env::var_os("UPDATE_TRANSCRIPTS").is_some() {
            std::fs::write(path, &dialogue.told).unwrap();
        }
        for one in &dialogue.wrong {
            writeln!(wrong, "{}: {one}", path.display()).unwrap();
        }
    }
    assert!(!files.is_empty() && wrong.is_empty(), "{wrong}");
}
