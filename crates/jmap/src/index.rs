//! The Emails of an account: which messages of its mailboxes share their octets, and so are one Email.
//!
//! Beside the snapshots, which all protocols share, it holds 32 octets for each message, in the order of the octets' ids and in
//! that of the conversations. From one look at the account to the next only what differs is put in and taken out.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use mail::{BodyId, Flags, MailboxId, ThreadId, Timestamp, Uid, limits};
use store::{MessageRow, Snapshot};

use crate::counts::Counts;

/// Where a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    body: u64,
    /// Which of the mailboxes.
    mailbox: u32,
    uid: Uid,
}

/// See above.
pub(crate) struct Index {
    /// By id.
    boxes: Vec<(MailboxId, Arc<Snapshot>)>,
    /// Ascending.
    places: Vec<Place>,
    /// Conversation and Email, ascending.
    threads: Vec<(u64, u64)>,
    counts: Vec<OnceLock<Counts>>,
    pub(crate) answers: Answers,
}

/// What was found when it was asked: who turns the pages of a list asks the same again and again.
#[derive(Default)]
pub(crate) struct Answers(Mutex<VecDeque<(String, Arc<[BodyId]>)>>);

impl Answers {
    fn lock(&self) -> MutexGuard<'_, VecDeque<(String, Arc<[BodyId]>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get(&self, words: &str) -> Option<Arc<[BodyId]>> {
        self.lock().iter().find(|(known, _)| known == words).map(|(_, found)| found.clone())
    }

    /// The last ones stay, up to `JMAP_ANSWERS_KEPT` with `JMAP_ANSWERS_IDS` in all.
    pub(crate) fn put(&self, words: &str, found: &Arc<[BodyId]>) {
        if words.len() > limits::JMAP_ANSWER_WORDS {
            return;
        }
        let mut known = self.lock();
        known.push_front((words.to_owned(), found.clone()));
        let mut ids = 0;
        known.retain(|(_, found)| {
            ids += found.len();
            ids <= limits::JMAP_ANSWERS_IDS
        });
        known.truncate(limits::JMAP_ANSWERS_KEPT);
    }
}

/// Messages that share their octets.
#[derive(Clone)]
pub(crate) struct Email<'i> {
    index: &'i Index,
    places: &'i [Place],
    /// The row of its first place, where whoever found it had it in hand.
    known: Option<MessageRow>,
}

/// The places of these octets.
fn emails_of(places: &[Place], body: u64) -> &[Place] {
    let from = places.partition_point(|place| place.body < body);
    let len = places[from..].iter().take_while(|place| place.body == body).count();
    &places[from..from + len]
}

/// What is ascending, with what comes and without what goes.
fn merged<T: Copy + Ord>(old: &[T], mut come: Vec<T>, mut gone: Vec<T>) -> Vec<T> {
    come.sort_unstable();
    come.dedup();
    gone.sort_unstable();
    let mut all = Vec::with_capacity(old.len() + come.len());
    let mut come = come.into_iter().peekable();
    for one in old {
        while let Some(earlier) = come.next_if(|new| new < one) {
            all.push(earlier);
        }
        if gone.binary_search(one).is_err() {
            all.push(*one);
        }
    }
    all.extend(come);
    all
}

/// RFC 8621 §4.1.1: what is marked \Deleted in IMAP is not there.
fn is_visible(row: &MessageRow) -> bool {
    !row.flags.contains(Flags::DELETED)
}

impl Index {
    /// Of these mailboxes; `last` is an earlier one of the same account, as far as there is one.
    pub(crate) fn after(last: Option<Arc<Self>>, mut boxes: Vec<(MailboxId, Arc<Snapshot>)>) -> Arc<Self> {
        boxes.sort_unstable_by_key(|(id, _)| *id);
        let Some(last) = last else { return Arc::new(Self::of(boxes)) };
        if !last.boxes.iter().map(|(id, _)| id).eq(boxes.iter().map(|(id, _)| id)) {
            return Arc::new(Self::of(boxes));
        }
        if last.boxes.iter().zip(&boxes).all(|((_, old), (_, new))| Arc::ptr_eq(old, new)) {
            return last;
        }
        Arc::new(last.with(&boxes))
    }

    fn of(boxes: Vec<(MailboxId, Arc<Snapshot>)>) -> Self {
        let (mut places, mut threads) = (Vec::new(), Vec::new());
        for (mailbox, (_, snapshot)) in (0..).zip(&boxes) {
            for row in snapshot.iter().filter(is_visible) {
                places.push(Place { body: row.body.0, mailbox, uid: row.uid });
                threads.push((row.thread.0, row.body.0));
            }
        }
        places.sort_unstable();
        threads.sort_unstable();
        threads.dedup();
        let counts = boxes.iter().map(|_| OnceLock::new()).collect();
        Self { boxes, places, threads, counts, answers: Answers::default() }
    }

    /// The same mailboxes with other messages.
    fn with(&self, boxes: &[(MailboxId, Arc<Snapshot>)]) -> Self {
        let (mut come, mut gone) = (Vec::new(), Vec::new());
        for (mailbox, ((_, old), (_, new))) in (0..).zip(self.boxes.iter().zip(boxes)) {
            for (before, after) in old.differences(new) {
                let place =
                    |row: MessageRow| (Place { body: row.body.0, mailbox, uid: row.uid }, (row.thread.0, row.body.0));
                let (before, after) = (before.filter(is_visible).map(place), after.filter(is_visible).map(place));
                if before != after {
                    gone.extend(before);
                    come.extend(after);
                }
            }
        }
        let (come, come_to): (Vec<_>, Vec<_>) = come.into_iter().unzip();
        let (gone, gone_from): (Vec<_>, Vec<_>) = gone.into_iter().unzip();
        let places = merged(&self.places, come, gone);
        // An Email is in its conversation as long as one of its messages is there.
        let is_left = |(_, body): &(u64, u64)| emails_of(&places, *body).is_empty();
        let is_new = |(_, body): &(u64, u64)| emails_of(&self.places, *body).is_empty();
        let threads = merged(
            &self.threads,
            come_to.into_iter().filter(is_new).collect(),
            gone_from.into_iter().filter(is_left).collect(),
        );
        let mut next = Self { boxes: boxes.to_vec(), places, threads, counts: Vec::new(), answers: Answers::default() };
        // What was counted of a mailbox holds where it and what it has in common with others is the same.
        let several = next.shared_mailboxes();
        let counts = (0..).zip(self.boxes.iter().zip(boxes)).map(|(mailbox, ((_, old), (_, new)))| {
            let same = Arc::ptr_eq(old, new) && !several.contains(&mailbox);
            let known = self.counts.get(mailbox as usize).and_then(OnceLock::get).filter(|_| same);
            known.map_or_else(OnceLock::new, |known| OnceLock::from(*known))
        });
        next.counts = counts.collect();
        next
    }

    /// Mailboxes with Emails that other mailboxes have too.
    fn shared_mailboxes(&self) -> BTreeSet<u32> {
        let several = self.places.chunk_by(|a, b| a.body == b.body).filter(|places| places.len() > 1);
        several.flatten().map(|place| place.mailbox).collect()
    }

    /// The mailboxes, by id.
    pub(crate) fn boxes(&self) -> &[(MailboxId, Arc<Snapshot>)] {
        &self.boxes
    }

    /// Which of the mailboxes has this id.
    pub(crate) fn place_of(&self, mailbox: MailboxId) -> Option<u32> {
        let at = self.boxes.binary_search_by_key(&mailbox, |(id, _)| *id).ok()?;
        u32::try_from(at).ok()
    }

    /// All Emails, by id.
    pub(crate) fn emails(&self) -> impl Iterator<Item = Email<'_>> {
        self.places.chunk_by(|a, b| a.body == b.body).map(|places| Email { index: self, places, known: None })
    }

    pub(crate) fn email(&self, body: BodyId) -> Option<Email<'_>> {
        let places = emails_of(&self.places, body.0);
        (!places.is_empty()).then_some(Email { index: self, places, known: None })
    }

    /// The Emails of a conversation, oldest first (RFC 8621 §3).
    pub(crate) fn thread(&self, thread: ThreadId) -> Vec<Email<'_>> {
        let from = self.threads.partition_point(|(id, _)| *id < thread.0);
        let bodies = self.threads[from..].iter().take_while(|(id, _)| *id == thread.0).map(|(_, body)| *body);
        let mut emails: Vec<Email<'_>> = bodies.filter_map(|body| self.email(BodyId(body))).collect();
        emails.sort_by_key(|email| (email.received_at(), email.id()));
        emails
    }

    /// The Emails of a mailbox, in the order of their first UIDs there.
    pub(crate) fn emails_in(&self, mailbox: u32) -> impl Iterator<Item = Email<'_>> {
        // Most come in the order of their octets, so the next one is mostly the next place.
        let mut next = 0;
        self.rows(mailbox).filter_map(move |row| {
            let is_next = self.places.get(next).is_some_and(|place| place.body == row.body.0)
                && (next == 0 || self.places.get(next - 1).is_some_and(|place| place.body < row.body.0));
            let from = if is_next { next } else { self.places.partition_point(|place| place.body < row.body.0) };
            let len = self.places[from..].iter().take_while(|place| place.body == row.body.0).count();
            let places = &self.places[from..from + len];
            next = from + len;
            let first = places.iter().find(|place| place.mailbox == mailbox)?;
            let known = (first == places.first()?).then_some(row);
            (first.uid == row.uid).then_some(Email { index: self, places, known })
        })
    }

    /// Which octets messages of a mailbox have, with their rows: those that are visible.
    pub(crate) fn rows(&self, mailbox: u32) -> impl Iterator<Item = MessageRow> {
        self.boxes.get(mailbox as usize).into_iter().flat_map(|(_, snapshot)| snapshot.iter()).filter(is_visible)
    }

    /// Counts of a mailbox.
    pub(crate) fn counts(&self, mailbox: u32) -> Counts {
        let counted = self.counts.get(mailbox as usize);
        counted.map_or_else(Counts::default, |counts| *counts.get_or_init(|| Counts::of(self, mailbox)))
    }
}

impl<'i> Email<'i> {
    pub(crate) fn id(&self) -> BodyId {
        BodyId(self.places.first().map_or(0, |place| place.body))
    }

    /// Its messages: which mailbox, and the row.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (u32, MessageRow)> + use<'i> {
        let boxes = &self.index.boxes;
        let known = self.known.and_then(|row| Some((self.places.first()?.mailbox, row)));
        let row = |place: &Place| {
            let (_, snapshot) = boxes.get(place.mailbox as usize)?;
            Some((place.mailbox, snapshot.by_uid(place.uid)?))
        };
        known.into_iter().chain(self.places[usize::from(known.is_some())..].iter().filter_map(row))
    }

    /// The message that stands for all: they have the same octets, date and conversation.
    pub(crate) fn row(&self) -> Option<(u32, MessageRow)> {
        self.rows().next()
    }

    /// Where to read it.
    pub(crate) fn place(&self) -> Option<(MailboxId, Uid)> {
        let place = self.places.first()?;
        self.index.boxes.get(place.mailbox as usize).map(|(id, _)| (*id, place.uid))
    }

    /// Whether it is several messages.
    pub(crate) const fn is_several(&self) -> bool {
        self.places.len() > 1
    }

    /// The mailboxes that have it, each once.
    pub(crate) fn mailboxes(&self) -> impl Iterator<Item = (u32, MailboxId)> + use<'i> {
        let index = self.index;
        let places = self.places.chunk_by(|a, b| a.mailbox == b.mailbox).filter_map(|places| places.first());
        places.filter_map(move |place| Some((place.mailbox, index.boxes.get(place.mailbox as usize)?.0)))
    }

    pub(crate) fn is_in(&self, mailbox: u32) -> bool {
        self.places.iter().any(|place| place.mailbox == mailbox)
    }

    pub(crate) fn thread(&self) -> ThreadId {
        ThreadId(self.row().map_or(0, |(_, row)| row.thread.0))
    }

    pub(crate) fn received_at(&self) -> Timestamp {
        self.row().map(|(_, row)| row.internal_date).unwrap_or_default()
    }

    pub(crate) fn size(&self) -> u32 {
        self.row().map_or(0, |(_, row)| row.size)
    }

    /// Its system flags: \Seen where all messages have it, others where one has.
    pub(crate) fn flags(&self) -> Flags {
        let all = self.rows().map(|(_, row)| row.flags);
        let (any, every) = all.fold((Flags::NONE, Flags::ALL), |(any, every), flags| {
            (any.with(flags), every.without(Flags::ALL.without(flags)))
        });
        if every.contains(Flags::SEEN) { any } else { any.without(Flags::SEEN) }
    }

    /// Neither read nor a draft (RFC 8621 §2).
    pub(crate) fn is_unread(&self) -> bool {
        !self.flags().contains(Flags::SEEN) && !self.flags().contains(Flags::DRAFT)
    }

    /// Its keywords as JMAP has them, in small letters.
    pub(crate) fn keywords(&self) -> BTreeSet<String> {
        let flags = self.flags();
        let system = SYSTEM.iter().filter(|(flag, _)| flags.contains(*flag)).map(|(_, name)| (*name).to_owned());
        let own = self.rows().flat_map(|(mailbox, row)| {
            let names = self.index.boxes.get(mailbox as usize).map(|(_, snapshot)| snapshot.keywords_of(&row));
            names.into_iter().flatten().map(|keyword| keyword.as_str().to_ascii_lowercase()).collect::<Vec<_>>()
        });
        system.chain(own).collect()
    }
}

/// RFC 8621 §4.1.1: four of IMAP's flags, with another first character.
pub(crate) const SYSTEM: [(Flags, &str); 4] =
    [(Flags::DRAFT, "$draft"), (Flags::SEEN, "$seen"), (Flags::FLAGGED, "$flagged"), (Flags::ANSWERED, "$answered")];

/// A keyword made ready to be looked for in all mailboxes.
pub(crate) enum Keyword {
    System(Flags),
    /// Its bit in each mailbox.
    Own(Vec<u64>),
}

impl Keyword {
    pub(crate) fn new(index: &Index, name: &str) -> Self {
        if let Some((flag, _)) = SYSTEM.iter().find(|(_, system)| system.eq_ignore_ascii_case(name)) {
            return Self::System(*flag);
        }
        let bit = |(_, snapshot): &(MailboxId, Arc<Snapshot>)| {
            let at = snapshot.keywords.iter().position(|keyword| keyword.as_str().eq_ignore_ascii_case(name));
            at.map_or(0, |at| 1 << at)
        };
        Self::Own(index.boxes.iter().map(bit).collect())
    }

    pub(crate) fn is_of(&self, email: &Email<'_>) -> bool {
        match self {
            Self::System(flag) => email.flags().contains(*flag),
            Self::Own(bits) => {
                email.rows().any(|(mailbox, row)| bits.get(mailbox as usize).is_some_and(|bit| row.keywords & bit != 0))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `JMAP_ANSWERS_KEPT`, `JMAP_ANSWERS_IDS`, `JMAP_ANSWER_WORDS`: with one more, the one that was asked first is forgotten; what
    /// is longer is never kept.
    #[test]
    fn answers_are_forgotten() {
        let answers = Answers::default();
        let of = |count: usize| -> Arc<[BodyId]> { vec![BodyId(1); count].into() };
        for n in 0..=limits::JMAP_ANSWERS_KEPT {
            answers.put(&n.to_string(), &of(n));
        }
        assert!(answers.get("0").is_none());
        assert_eq!(answers.get("1").map(|found| found.len()), Some(1));
        answers.put("all", &of(limits::JMAP_ANSWERS_IDS));
        assert!(answers.get("all").is_some() && answers.get("1").is_none());
        answers.put("more", &of(limits::JMAP_ANSWERS_IDS + 1));
        assert!(answers.get("more").is_none() && answers.get("all").is_none());
        let words = "x".repeat(limits::JMAP_ANSWER_WORDS);
        answers.put(&words, &of(1));
        answers.put(&format!("{words}x"), &of(1));
        assert!(answers.get(&words).is_some() && answers.get(&format!("{words}x")).is_none());
    }
}
