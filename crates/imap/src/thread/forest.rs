//! Trees of messages, and how they are walked without recursion: a thread may be as long as a mailbox.

/// A message, or a place for one that is not there, with what belongs below.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Node {
    /// Number of the message; `None` is a dummy (RFC 5256 §3 step 1).
    pub(super) message: Option<usize>,
    pub(super) children: Vec<usize>,
}

/// Trees.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Forest {
    pub(super) nodes: Vec<Node>,
    pub(super) roots: Vec<usize>,
}

/// What is written next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Open,
    Close,
    Space,
    Message(usize),
}

impl Forest {
    pub(super) const fn is_empty(&self) -> bool {
        self.roots.is_empty()
    }

    /// The nodes from the roots down: each stands before what is below it.
    pub(super) fn top_down(&self) -> Vec<usize> {
        let mut order = self.roots.clone();
        let mut at = 0;
        while let Some(node) = order.get(at) {
            let children = self.nodes[*node].children.clone();
            order.extend(children);
            at += 1;
        }
        order
    }

    /// The steps in which a THREAD answer is written.
    pub(super) fn walk(&self) -> Walk<'_> {
        let todo = self.roots.iter().rev().map(|root| Todo::List(*root)).collect();
        Walk { forest: self, todo }
    }
}

enum Todo {
    /// A list of its own that begins with this node.
    List(usize),
    /// The node and what is below, within a list; whether something stands before it there.
    Node(usize, bool),
    Step(Step),
}

pub(super) struct Walk<'f> {
    forest: &'f Forest,
    todo: Vec<Todo>,
}

impl Iterator for Walk<'_> {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        loop {
            match self.todo.pop()? {
                Todo::Step(step) => return Some(step),
                Todo::List(node) => {
                    self.todo.push(Todo::Step(Step::Close));
                    self.todo.push(Todo::Node(node, false));
                    return Some(Step::Open);
                }
                Todo::Node(node, before) => {
                    let Node { message, children } = &self.forest.nodes[node];
                    let after = before || message.is_some();
                    match children.as_slice() {
                        [] => {}
                        [only] => self.todo.push(Todo::Node(*only, after)),
                        several => {
                            self.todo.extend(several.iter().rev().map(|child| Todo::List(*child)));
                            if after {
                                self.todo.push(Todo::Step(Step::Space));
                            }
                        }
                    }
                    let Some(message) = message else { continue };
                    // What stands before it is written first.
                    self.todo.push(Todo::Step(Step::Message(*message)));
                    if before {
                        return Some(Step::Space);
                    }
                }
            }
        }
    }
}
