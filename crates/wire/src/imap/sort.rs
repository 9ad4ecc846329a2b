//! SORT and THREAD (RFC 5256, RFC 5957, RFC 5267 §3).

use super::cursor::{Bad, Cursor};
use super::search::{Key, Return};

/// SORT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sort {
    /// Answers are UIDs.
    pub uid: bool,
    /// RETURN (…): what is told (ESORT).
    pub wanted: Option<Return>,
    /// By what, the first counts most; whether reversed.
    pub criteria: Vec<(Criterion, bool)>,
    /// The character set of strings.
    pub charset: Vec<u8>,
    /// Which messages.
    pub key: Key,
}

/// THREAD.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thread {
    /// Answers are UIDs.
    pub uid: bool,
    /// How.
    pub algorithm: Algorithm,
    /// The character set of strings.
    pub charset: Vec<u8>,
    /// Which messages.
    pub key: Key,
}

/// `sort-key`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Criterion {
    /// ARRIVAL: the internal date.
    Arrival,
    /// CC: the first address's local part.
    Cc,
    /// DATE: the Date field, or the internal date.
    Date,
    /// FROM
    From,
    /// SIZE
    Size,
    /// SUBJECT: the base subject.
    Subject,
    /// TO
    To,
    /// DISPLAYFROM: the first author as people read it (RFC 5957).
    DisplayFrom,
    /// DISPLAYTO
    DisplayTo,
    /// RELEVANCY: how well it matches, the best first (RFC 6203)
    Relevancy,
}

impl Criterion {
    /// Each with its word.
    pub const ALL: [(Self, &'static str); 10] = [
        (Self::Arrival, "ARRIVAL"),
        (Self::Cc, "CC"),
        (Self::Date, "DATE"),
        (Self::From, "FROM"),
        (Self::Size, "SIZE"),
        (Self::Subject, "SUBJECT"),
        (Self::To, "TO"),
        (Self::DisplayFrom, "DISPLAYFROM"),
        (Self::DisplayTo, "DISPLAYTO"),
        (Self::Relevancy, "RELEVANCY"),
    ];
}

/// `thread-alg`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// ORDEREDSUBJECT
    OrderedSubject,
    /// REFERENCES
    References,
}

impl Cursor<'_> {
    /// `sort = ["UID" SP] "SORT" [sort-return-opts] SP sort-criteria SP search-criteria`,
    /// `sort-criteria = "(" sort-criterion *(SP sort-criterion) ")"`, `sort-criterion = ["REVERSE" SP] sort-key`
    pub(super) fn sort(&mut self, uid: bool) -> Result<Sort, Bad> {
        let wanted = self.return_options()?;
        let criteria = self.list(|cursor| {
            let reverse = cursor.take_word("REVERSE");
            if reverse {
                cursor.sp()?;
            }
            let word = cursor.atom()?;
            let known = Criterion::ALL.iter().find(|(_, name)| name.eq_ignore_ascii_case(word));
            known.map(|(criterion, _)| (*criterion, reverse)).ok_or(Bad("There is no such SORT criterion"))
        })?;
        if criteria.is_empty() {
            return Err(Bad("A SORT criterion is missing"));
        }
        self.sp()?;
        let (charset, key) = self.search_criteria()?;
        Ok(Sort { uid, wanted, criteria, charset, key })
    }

    /// `thread = ["UID" SP] "THREAD" SP thread-alg SP search-criteria`
    pub(super) fn thread(&mut self, uid: bool) -> Result<Thread, Bad> {
        let algorithm = match self.atom()?.to_ascii_uppercase().as_str() {
            "ORDEREDSUBJECT" => Algorithm::OrderedSubject,
            "REFERENCES" => Algorithm::References,
            _ => return Err(Bad("There is no such THREAD algorithm")),
        };
        self.sp()?;
        let (charset, key) = self.search_criteria()?;
        Ok(Thread { uid, algorithm, charset, key })
    }

    /// `search-criteria = charset 1*(SP search-key)`, `charset = atom / quoted`
    fn search_criteria(&mut self) -> Result<(Vec<u8>, Key), Bad> {
        let charset = self.astring()?.into_owned();
        self.sp()?;
        Ok((charset, self.search_program()?))
    }
}

#[cfg(test)]
mod tests {
    use super::super::command::{Command, command};
    use super::super::mutf7::Names;
    use super::*;

    fn read(text: &str) -> Result<Command, Bad> {
        command(format!("a {text}\r\n").as_bytes(), Names::Modified).unwrap().command
    }

    #[test]
    fn sorts_and_threads() {
        match read("UID SORT RETURN (PARTIAL 1:5) (REVERSE DATE subject) UTF-8 UNSEEN FROM x").unwrap() {
            Command::Sort(sort) => {
                assert_eq!(sort.criteria, [(Criterion::Date, true), (Criterion::Subject, false)]);
                assert!(sort.uid && sort.wanted.is_some_and(|wanted| wanted.partial.is_some()));
                assert_eq!(sort.charset, b"UTF-8");
            }
            other => panic!("{other:?}"),
        }
        match read("thread references us-ascii all").unwrap() {
            Command::Thread(thread) => assert_eq!((thread.algorithm, thread.key), (Algorithm::References, Key::All)),
            other => panic!("{other:?}"),
        }
        for bad in [
            "SORT () UTF-8 ALL",
            "SORT (XYZ) UTF-8 ALL",
            "SORT (REVERSE) UTF-8 ALL",
            "SORT DATE UTF-8 ALL",
            "SORT (DATE) UTF-8",
            "THREAD XYZ UTF-8 ALL",
            "THREAD REFERENCES UTF-8",
            "THREAD REFERENCES ALL",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
