//! Windows onto the results of a query (RFC 8620 §5.5), and what changed of them (§5.6).

use std::collections::HashSet;
use std::hash::Hash;

use mail::{AccountId, limits};
use serde_json::{Map, Value, json};

use crate::account::Account;
use crate::args::Args;
use crate::error::{Answer, MethodError};
use crate::ids;

/// The arguments that all methods `/query` have, but for what is looked for.
pub(crate) struct Window {
    position: i64,
    anchor: Option<String>,
    anchor_offset: i64,
    limit: Option<u64>,
    calculate_total: bool,
}

impl Window {
    pub(crate) fn read(args: &mut Args) -> Answer<Self> {
        Ok(Self {
            position: args.integer("position")?.unwrap_or(0),
            anchor: args.id("anchor")?,
            anchor_offset: args.integer("anchorOffset")?.unwrap_or(0),
            limit: args.unsigned("limit")?,
            calculate_total: args.boolean("calculateTotal")?.unwrap_or(false),
        })
    }

    /// The response: the part of `found` that is asked for; `name`: an id on the wire.
    pub(crate) fn response<T>(&self, account: &Account, found: &[T], name: impl Fn(&T) -> String) -> Answer {
        self.told(account.id, account.state(), found, name)
    }

    /// The same of what an account has beside its mail.
    pub(crate) fn told<T>(
        &self,
        account: AccountId,
        state: String,
        found: &[T],
        name: impl Fn(&T) -> String,
    ) -> Answer {
        let total = i64::try_from(found.len()).unwrap_or(i64::MAX);
        let position = match &self.anchor {
            // RFC 8620 §5.5: with an anchor the position is ignored.
            Some(anchor) => {
                let at = found.iter().position(|id| name(id) == *anchor).ok_or(MethodError::new("anchorNotFound"))?;
                i64::try_from(at).unwrap_or(i64::MAX).saturating_add(self.anchor_offset)
            }
            // A negative one counts from the end.
            None if self.position < 0 => total.saturating_add(self.position),
            None => self.position,
        };
        let position = usize::try_from(position.max(0)).unwrap_or(usize::MAX);
        let asked = self.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        let limit = asked.min(limits::JMAP_QUERY);
        let rest = found.get(position..).unwrap_or_default();
        let mut response = json!({
            "accountId": ids::account(account),
            "queryState": state,
            "canCalculateChanges": true,
            "position": position,
            "ids": rest[..limit.min(rest.len())].iter().map(name).collect::<Vec<_>>(),
        });
        if self.calculate_total {
            response["total"] = found.len().into();
        }
        // RFC 8620 §5.5: told where it is the server's.
        if limit < asked && (self.limit.is_some() || rest.len() > limit) {
            response["limit"] = limit.into();
        }
        Ok(response)
    }
}

/// The arguments that all methods `/queryChanges` have.
pub(crate) struct Asked {
    pub(crate) since: String,
    most: Option<u64>,
    calculate_total: bool,
}

impl Asked {
    pub(crate) fn read(args: &mut Args) -> Answer<Self> {
        let since = Args::required("sinceQueryState", args.string("sinceQueryState")?)?;
        let most = args.unsigned("maxChanges")?;
        // What comes after it may be left out; it need not.
        args.id("upToId")?;
        Ok(Self { since, most, calculate_total: args.boolean("calculateTotal")?.unwrap_or(false) })
    }

    /// The response: of the ids that may have changed their places all are taken out, and put in again where they are now.
    pub(crate) fn response<T: Eq + Hash>(
        &self,
        account: &Account,
        changed: &[T],
        found: &[T],
        name: impl Fn(&T) -> String,
    ) -> Answer {
        self.told((account.id, account.state()), changed, found, name)
    }

    /// The same of what an account has beside its mail.
    pub(crate) fn told<T: Eq + Hash>(
        &self,
        (account, state): (AccountId, String),
        changed: &[T],
        found: &[T],
        name: impl Fn(&T) -> String,
    ) -> Answer {
        let is_changed: HashSet<&T> = changed.iter().collect();
        let added: Vec<Value> = (0usize..)
            .zip(found)
            .filter(|(_, id)| is_changed.contains(id))
            .map(|(index, id)| json!({ "id": name(id), "index": index }))
            .collect();
        let count = (changed.len() + added.len()) as u64;
        if self.most.is_some_and(|most| count > most) {
            return Err(MethodError::new("tooManyChanges"));
        }
        let mut response = json!({
            "accountId": ids::account(account),
            "oldQueryState": self.since,
            "newQueryState": state,
            "removed": changed.iter().map(name).collect::<Vec<_>>(),
            "added": added,
        });
        if self.calculate_total {
            response["total"] = found.len().into();
        }
        Ok(response)
    }
}

/// A filter (RFC 8620 §5.5): conditions, and operators over them.
pub(crate) enum Filter<C> {
    And(Vec<Self>),
    Or(Vec<Self>),
    /// None of them.
    Not(Vec<Self>),
    Condition(C),
}

impl<C> Filter<C> {
    /// A filter out of JSON; `condition` reads the members of a condition.
    pub(crate) fn read(value: Option<Value>, condition: &mut impl FnMut(Args) -> Answer<C>) -> Answer<Self> {
        let mut count = 0;
        match value {
            None => Ok(Self::And(Vec::new())),
            Some(value) => Self::one(value, condition, &mut count),
        }
    }

    fn one(value: Value, condition: &mut impl FnMut(Args) -> Answer<C>, count: &mut usize) -> Answer<Self> {
        *count += 1;
        if *count > limits::JMAP_FILTER_CONDITIONS {
            return Err(MethodError::with("unsupportedFilter", "the filter has too many conditions"));
        }
        let mut members = Args::of(value, "a filter")?;
        let Some(operator) = members.string("operator")? else { return condition(members).map(Self::Condition) };
        let Some(Value::Array(conditions)) = members.value("conditions") else {
            return Err(MethodError::arguments("conditions must be an array"));
        };
        members.finish()?;
        let inner =
            conditions.into_iter().map(|value| Self::one(value, condition, count)).collect::<Answer<Vec<_>>>()?;
        match operator.as_str() {
            "AND" => Ok(Self::And(inner)),
            "OR" => Ok(Self::Or(inner)),
            "NOT" => Ok(Self::Not(inner)),
            _ => Err(MethodError::arguments("an operator is AND, OR or NOT")),
        }
    }

    /// Whether something matches, where each condition has an answer; `None`: some would need one that it has not.
    pub(crate) fn holds(&self, condition: &mut impl FnMut(&C) -> Option<bool>) -> Option<bool> {
        match self {
            Self::Condition(one) => condition(one),
            Self::And(all) => fold(all, condition, false),
            Self::Or(any) => fold(any, condition, true),
            Self::Not(none) => fold(none, condition, true).map(|is| !is),
        }
    }

    /// All conditions.
    pub(crate) fn each<'f>(&'f self, visit: &mut impl FnMut(&'f C)) {
        match self {
            Self::Condition(one) => visit(one),
            Self::And(inner) | Self::Or(inner) | Self::Not(inner) => inner.iter().for_each(|one| one.each(visit)),
        }
    }
}

/// One that is `decisive` decides; else all must be known.
fn fold<C>(filters: &[Filter<C>], condition: &mut impl FnMut(&C) -> Option<bool>, decisive: bool) -> Option<bool> {
    let mut all = Some(!decisive);
    for filter in filters {
        match filter.holds(condition) {
            Some(is) if is == decisive => return Some(decisive),
            Some(_) => {}
            None => all = None,
        }
    }
    all
}

/// One thing to sort by (RFC 8620 §5.5).
pub(crate) struct Comparator {
    pub(crate) property: String,
    pub(crate) is_ascending: bool,
    /// RFC 8621 §4.4.2
    pub(crate) keyword: Option<String>,
}

/// The argument sort.
pub(crate) fn comparators(args: &mut Args) -> Answer<Vec<Comparator>> {
    let Some(sort) = args.value("sort") else { return Ok(Vec::new()) };
    let Value::Array(sort) = sort else { return Err(MethodError::arguments("sort must be an array")) };
    if sort.len() > limits::JMAP_COMPARATORS {
        return Err(MethodError::with("unsupportedSort", "there are too many comparators"));
    }
    let one = |value: Value| {
        let mut members = Args::of(value, "a comparator")?;
        let comparator = Comparator {
            property: Args::required("property", members.string("property")?)?,
            is_ascending: members.boolean("isAscending")?.unwrap_or(true),
            keyword: members.string("keyword")?,
        };
        if let Some(collation) = members.string("collation")?
            && !crate::session::COLLATIONS.contains(&collation.as_str())
        {
            return Err(MethodError::with("unsupportedSort", format!("there is no collation {collation}")));
        }
        // Quirk: jmapc writes into each comparator what its request says of the window, and means nothing by it.
        for name in ["anchor", "anchorOffset", "calculateTotal", "position"] {
            let _ = members.value(name);
        }
        members.finish()?;
        Ok(comparator)
    };
    sort.into_iter().map(one).collect()
}

/// The argument ids of a method `/get`: bounded, each once; `None`: all.
pub(crate) fn wanted_ids(args: &mut Args) -> Answer<Option<Vec<String>>> {
    let Some(ids) = args.ids("ids")? else { return Ok(None) };
    let mut seen = std::collections::HashSet::new();
    let ids: Vec<String> = ids.into_iter().filter(|id| seen.insert(id.clone())).collect();
    if ids.len() > limits::JMAP_OBJECTS_IN_GET {
        return Err(MethodError::new("requestTooLarge"));
    }
    Ok(Some(ids))
}

/// The argument properties of a method `/get`, among those that there are; `id` is always told (RFC 8620 §5.1).
pub(crate) fn wanted_properties(args: &mut Args, known: &[&'static str]) -> Answer<Vec<&'static str>> {
    let Some(names) = args.strings("properties")? else { return Ok(known.to_vec()) };
    let mut wanted = vec!["id"];
    for name in names {
        let property = known.iter().find(|known| **known == name);
        let property = property.ok_or_else(|| MethodError::arguments(format!("there is no property {name}")))?;
        if !wanted.contains(property) {
            wanted.push(property);
        }
    }
    Ok(wanted)
}

/// The response of a method `/get`.
pub(crate) fn got(account: &Account, list: Vec<Value>, not_found: Vec<String>) -> Value {
    json!({
        "accountId": ids::account(account.id),
        "state": account.state(),
        "list": list,
        "notFound": not_found,
    })
}

/// The members of an object that are asked for.
pub(crate) fn picked(members: &mut Map<String, Value>, wanted: &[&str]) -> Value {
    members.retain(|name, _| wanted.contains(&name.as_str()));
    Value::Object(std::mem::take(members))
}
