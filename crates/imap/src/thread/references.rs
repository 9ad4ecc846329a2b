//! The two algorithms of RFC 5256 §3: ORDEREDSUBJECT and REFERENCES.

use std::collections::HashMap;

use mail::limits;

use super::forest::{Forest, Node};

/// What the algorithms look at of a message.
pub(super) struct Letter<'l> {
    /// How it is told.
    pub(super) number: u32,
    pub(super) id: Option<&'l str>,
    pub(super) references: Vec<&'l str>,
    pub(super) date: i64,
    pub(super) subject: &'l str,
    pub(super) is_reply: bool,
}

/// In the order of date; ties in that of number.
type Key = (i64, usize);

/// ORDEREDSUBJECT: messages with one base subject, the first above all others.
pub(super) fn ordered_subject(letters: &[Letter<'_>]) -> Forest {
    let mut order: Vec<usize> = (0..letters.len()).collect();
    order.sort_by_key(|at| (letters[*at].subject, letters[*at].date, *at));
    let mut forest = Forest { nodes: letters.iter().enumerate().map(|(at, _)| node(at)).collect(), roots: Vec::new() };
    for thread in order.chunk_by(|a, b| letters[*a].subject == letters[*b].subject) {
        let (first, rest) = (thread[0], &thread[1..]);
        forest.roots.push(first);
        forest.nodes[first].children = rest.to_vec();
    }
    forest.roots.sort_by_key(|at| (letters[*at].date, *at));
    forest
}

const fn node(message: usize) -> Node {
    Node { message: Some(message), children: Vec::new() }
}

/// REFERENCES.
pub(super) fn references(letters: &[Letter<'_>]) -> Forest {
    let mut forest = pruned(linked(letters));
    let mut keys = keys(&forest, letters);
    // Steps 4 and 5.
    forest.roots.sort_by_key(|root| keys[*root]);
    gather_subjects(&mut forest, letters, &mut keys);
    // Step 6.
    for node in &mut forest.nodes {
        node.children.sort_by_key(|child| keys[*child]);
    }
    forest.roots.sort_by_key(|root| keys[*root]);
    forest
}

/// Nodes by Message-ID while they are linked: to the parent only.
struct Links<'l> {
    ids: HashMap<&'l str, usize>,
    nodes: Vec<Node>,
    parents: Vec<Option<usize>>,
    /// Whether something was ever put below it.
    has_children: Vec<bool>,
}

impl<'l> Links<'l> {
    fn add(&mut self, message: Option<usize>) -> usize {
        self.nodes.push(Node { message, children: Vec::new() });
        self.parents.push(None);
        self.has_children.push(false);
        self.nodes.len() - 1
    }

    fn of_id(&mut self, id: &'l str) -> usize {
        match self.ids.get(id) {
            Some(node) => *node,
            None => {
                let node = self.add(None);
                self.ids.insert(id, node);
                node
            }
        }
    }

    fn put(&mut self, child: usize, parent: usize) {
        self.parents[child] = Some(parent);
        self.has_children[parent] = true;
    }

    /// Whether `child` stands above `parent` already (or further up than is looked).
    fn would_loop(&self, parent: usize, child: usize) -> bool {
        if parent == child || !self.has_children[child] {
            return parent == child;
        }
        let mut at = Some(parent);
        for _ in 0..limits::IMAP_THREAD_DEPTH {
            match at {
                None => return false,
                Some(node) if node == child => return true,
                Some(node) => at = self.parents[node],
            }
        }
        true
    }
}

/// Step 1: who stands below whom. Nodes, and the parent of each.
fn linked(letters: &[Letter<'_>]) -> (Vec<Node>, Vec<Option<usize>>) {
    let mut links = Links { ids: HashMap::new(), nodes: Vec::new(), parents: Vec::new(), has_children: Vec::new() };
    for (at, letter) in letters.iter().enumerate() {
        let mut above = None;
        for id in &letter.references {
            let node = links.of_id(id);
            // (A) Each reference below the one before, where it has no place yet.
            if let Some(parent) = above
                && links.parents[node].is_none()
                && !links.would_loop(parent, node)
            {
                links.put(node, parent);
            }
            above = Some(node);
        }
        let own = letter.id.map(|id| links.of_id(id));
        let node = match own {
            Some(node) if links.nodes[node].message.is_none() => {
                links.nodes[node].message = Some(at);
                node
            }
            // Without an id, or with one that another message has, it is by itself.
            _ => links.add(Some(at)),
        };
        // (B) The message below its last reference, wherever it was put before.
        match above {
            Some(parent) if links.would_loop(parent, node) => {}
            Some(parent) => links.put(node, parent),
            None => links.parents[node] = None,
        }
    }
    (links.nodes, links.parents)
}

/// Steps 2 and 3: the trees, without dummies that hold nothing together.
fn pruned((mut nodes, parents): (Vec<Node>, Vec<Option<usize>>)) -> Forest {
    let mut forest = Forest::default();
    for (at, parent) in parents.iter().enumerate() {
        match parent {
            Some(parent) => nodes[*parent].children.push(at),
            None => forest.roots.push(at),
        }
    }
    forest.nodes = nodes;
    let order = forest.top_down();
    // What stands in a node's place among its siblings.
    let mut instead: Vec<Vec<usize>> = vec![Vec::new(); forest.nodes.len()];
    for at in order.into_iter().rev() {
        let below = std::mem::take(&mut forest.nodes[at].children);
        let children: Vec<usize> = below.into_iter().flat_map(|child| std::mem::take(&mut instead[child])).collect();
        let is_dummy = forest.nodes[at].message.is_none();
        let is_root = parents[at].is_none();
        // At the root only one child takes a dummy's place.
        if is_dummy && (!is_root || children.len() < 2) {
            instead[at] = children;
        } else {
            forest.nodes[at].children = children;
            instead[at] = vec![at];
        }
    }
    forest.roots = forest.roots.iter().flat_map(|root| std::mem::take(&mut instead[*root])).collect();
    forest
}

/// The date of each node that is in the forest; a dummy's is that of its first child.
fn keys(forest: &Forest, letters: &[Letter<'_>]) -> Vec<Key> {
    let mut keys = vec![(i64::MAX, usize::MAX); forest.nodes.len()];
    for at in forest.top_down().into_iter().rev() {
        let Node { message, children } = &forest.nodes[at];
        keys[at] = match message {
            Some(message) => (letters[*message].date, *message),
            None => children.iter().map(|child| keys[*child]).min().unwrap_or(keys[at]),
        };
    }
    keys
}

/// Step 5: threads about one subject become one.
fn gather_subjects(forest: &mut Forest, letters: &[Letter<'_>], keys: &mut Vec<Key>) {
    let mut table: HashMap<&str, usize> = HashMap::new();
    let roots = std::mem::take(&mut forest.roots);
    for root in &roots {
        let letter = speaker(forest, *root, letters, keys);
        let Some(letter) = letter.filter(|letter| !letter.subject.is_empty()) else { continue };
        let is_dummy = forest.nodes[*root].message.is_none();
        match table.get_mut(letter.subject) {
            None => {
                table.insert(letter.subject, *root);
            }
            Some(held) => {
                let held_is_dummy = forest.nodes[*held].message.is_none();
                let held_is_reply = speaker(forest, *held, letters, keys).is_some_and(|letter| letter.is_reply);
                if !held_is_dummy && (is_dummy || held_is_reply && !letter.is_reply) {
                    *held = *root;
                }
            }
        }
    }
    // Where the table's node was put under a dummy meanwhile, that stands in its place.
    let mut place: HashMap<usize, usize> = HashMap::new();
    let mut kept = Vec::with_capacity(roots.len());
    for root in roots {
        let letter = speaker(forest, root, letters, keys);
        let held = letter.and_then(|letter| table.get(letter.subject).copied());
        let Some(first) = held.filter(|held| *held != root) else {
            kept.push(root);
            continue;
        };
        let held = place.get(&first).copied().unwrap_or(first);
        let (is_dummy, held_is_dummy) = (forest.nodes[root].message.is_none(), forest.nodes[held].message.is_none());
        let is_reply = letter.is_some_and(|letter| letter.is_reply);
        let held_is_reply = speaker(forest, held, letters, keys).is_some_and(|letter| letter.is_reply);
        if is_dummy && held_is_dummy {
            let children = std::mem::take(&mut forest.nodes[root].children);
            forest.nodes[held].children.extend(children);
        } else if held_is_dummy || is_reply && !held_is_reply {
            forest.nodes[held].children.push(root);
        } else {
            forest.nodes.push(Node { message: None, children: vec![held, root] });
            keys.push(keys[held].min(keys[root]));
            place.insert(first, forest.nodes.len() - 1);
            continue;
        }
        if held_is_dummy {
            keys[held] = keys[held].min(keys[root]);
        }
    }
    forest.roots = kept.into_iter().map(|root| place.get(&root).copied().unwrap_or(root)).collect();
}

/// The message whose subject counts for a root: its own, or a dummy's first child.
fn speaker<'l, 'r>(forest: &Forest, root: usize, letters: &'r [Letter<'l>], keys: &[Key]) -> Option<&'r Letter<'l>> {
    let Node { message, children } = &forest.nodes[root];
    let message = match message {
        Some(message) => Some(*message),
        None => children.iter().min_by_key(|child| keys[**child]).and_then(|child| forest.nodes[*child].message),
    };
    message.map(|message| &letters[message])
}

#[cfg(test)]
mod tests {
    use super::super::forest::Step;
    use super::*;
    use testkit::random::Random;

    /// `IMAP_THREAD_DEPTH`: so far up it is known that nothing stands above itself; beyond, it is taken for granted that
    /// it would.
    #[test]
    fn long_ways_up() {
        for (above, loops) in [(limits::IMAP_THREAD_DEPTH - 1, false), (limits::IMAP_THREAD_DEPTH, true)] {
            let mut links =
                Links { ids: HashMap::new(), nodes: Vec::new(), parents: Vec::new(), has_children: Vec::new() };
            let chain: Vec<usize> = (0..above).map(|_| links.add(None)).collect();
            for pair in chain.windows(2) {
                links.put(pair[1], pair[0]);
            }
            let other = links.add(None);
            links.has_children[other] = true;
            assert_eq!(links.would_loop(chain[above - 1], other), loops, "{above}");
            assert!(links.would_loop(chain[above - 1], chain[1]));
        }
    }

    struct Given(Option<String>, Vec<Box<str>>, i64, &'static str, bool);

    fn shown(given: &[Given], how: fn(&[Letter<'_>]) -> Forest) -> String {
        let letters: Vec<Letter<'_>> = (1..)
            .zip(given)
            .map(|(number, Given(id, references, date, subject, is_reply))| Letter {
                number,
                id: id.as_deref(),
                references: references.iter().map(|id| &**id).collect(),
                date: *date,
                subject,
                is_reply: *is_reply,
            })
            .collect();
        let forest = how(&letters);
        let steps = forest.walk().map(|step| match step {
            Step::Open => "(".to_owned(),
            Step::Close => ")".to_owned(),
            Step::Space => " ".to_owned(),
            Step::Message(at) => letters[at].number.to_string(),
        });
        steps.collect()
    }

    fn letter(id: &str, references: &[&str], date: i64, subject: &'static str, is_reply: bool) -> Given {
        let references = references.iter().map(|id| Box::from(*id)).collect();
        Given((!id.is_empty()).then(|| id.to_owned()), references, date, subject, is_reply)
    }

    #[test]
    fn by_subject() {
        let given = [
            letter("a", &[], 5, "x", false),
            letter("b", &[], 1, "y", false),
            letter("c", &[], 3, "x", true),
            letter("d", &[], 9, "x", true),
            letter("e", &[], 2, "y", true),
        ];
        assert_eq!(shown(&given, ordered_subject), "(2 5)(3 (1)(4))");
        assert_eq!(shown(&[], ordered_subject), "");
    }

    #[test]
    fn by_references() {
        let chain =
            [letter("a", &[], 1, "", false), letter("b", &["a"], 2, "", true), letter("c", &["a", "b"], 3, "", true)];
        assert_eq!(shown(&chain, references), "(1 2 3)");
        let fork = [letter("a", &[], 1, "", false), letter("c", &["a"], 3, "", true), letter("b", &["a"], 2, "", true)];
        assert_eq!(shown(&fork, references), "(1 (3)(2))");
        // The root is not there: two that refer to it are siblings; one alone stands by itself.
        let orphans =
            [letter("b", &["a"], 2, "", true), letter("c", &["a"], 3, "", true), letter("e", &["d"], 4, "", true)];
        assert_eq!(shown(&orphans, references), "((1)(2))(3)");
        // One that is missing in the middle gives its place to what is below.
        let gap = [letter("a", &[], 1, "", false), letter("c", &["a", "b"], 3, "", true)];
        assert_eq!(shown(&gap, references), "(1 2)");
        // Two messages with one id, one without, and two that refer to each other.
        let odd = [
            letter("a", &[], 1, "", false),
            letter("a", &[], 2, "", false),
            letter("", &["a"], 3, "", false),
            letter("x", &["y"], 4, "", false),
            letter("y", &["x"], 5, "", false),
        ];
        assert_eq!(shown(&odd, references), "(1 3)(2)(5 4)");
    }

    #[test]
    fn threads_about_one_subject_are_one() {
        let reply = [letter("a", &[], 1, "s", false), letter("b", &[], 2, "s", true)];
        assert_eq!(shown(&reply, references), "(1 2)");
        // The reply came first.
        let late = [letter("b", &[], 1, "s", true), letter("a", &[], 2, "s", false)];
        assert_eq!(shown(&late, references), "(2 1)");
        let equal = [letter("a", &[], 1, "s", false), letter("b", &[], 2, "s", false), letter("c", &[], 3, "s", false)];
        assert_eq!(shown(&equal, references), "((1)(2)(3))");
        let dummies = [
            letter("b", &["a"], 1, "s", true),
            letter("c", &["a"], 2, "s", true),
            letter("e", &["d"], 3, "s", true),
            letter("f", &["d"], 4, "s", true),
        ];
        assert_eq!(shown(&dummies, references), "((1)(2)(3)(4))");
    }

    /// Whatever refers to whatever: every message is told once, parentheses match, and parents are no later than
    /// references say.
    #[test]
    fn every_message_is_in_one_place() {
        let mut random = Random::from_environment(0x7e4d);
        for _ in 0..300 {
            let count = 1 + random.below(30);
            let ids: Vec<String> = (0..12).map(|n| format!("id{n}")).collect();
            let given: Vec<Given> = (0..count)
                .map(|_| {
                    let references = (0..random.below(4)).map(|_| Box::from(ids[random.below(12)].as_str())).collect();
                    let id = (random.below(5) > 0).then(|| ids[random.below(12)].clone());
                    Given(id, references, random.below(9) as i64, ["", "s", "t"][random.below(3)], random.below(2) == 0)
                })
                .collect();
            for how in [references, ordered_subject] {
                let shown = shown(&given, how);
                let mut numbers: Vec<usize> =
                    shown.split(['(', ')', ' ']).filter(|word| !word.is_empty()).map(|n| n.parse().unwrap()).collect();
                numbers.sort_unstable();
                assert_eq!(numbers, (1..=count).collect::<Vec<_>>(), "{shown}");
                let depth = shown.bytes().try_fold(0i32, |depth, b| match b {
                    b'(' => Some(depth + 1),
                    b')' => (depth > 0).then_some(depth - 1),
                    _ => Some(depth),
                });
                assert_eq!(depth, Some(0), "{shown}");
            }
        }
    }

    #[test]
    fn a_chain_as_long_as_a_mailbox() {
        for step in [1, -1] {
            let given: Vec<Given> = (0..50_000)
                .map(|n| Given(Some(format!("{n}")), vec![format!("{}", n + step).into()], -n * step, "", false))
                .collect();
            let shown = shown(&given, references);
            assert_eq!((shown.matches('(').count(), shown.matches(' ').count()), (1, 49_999));
        }
    }
}
