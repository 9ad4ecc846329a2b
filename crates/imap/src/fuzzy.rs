//! SEARCH=FUZZY (RFC 6203): what nearly matches, and how well.
//!
//! A string is looked for word by word, in any order, wherever the key looks; a word also matches without its ending. That is
//! told from each message by itself, so that the answer never depends on what an index knows.

/// The words of a string that is folded already, shortened to what they begin with.
pub(crate) fn words(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(|word| stem(word).to_owned()).collect()
}

/// A word without the endings that plurals and verbs of western languages have; short words stay as they are.
fn stem(word: &str) -> &str {
    const SHORTEST: usize = 4;
    for ending in ["ings", "ing", "ies", "ed", "es", "en", "er", "s", "e", "n"] {
        if let Some(stem) = word.strip_suffix(ending)
            && stem.chars().count() >= SHORTEST
        {
            return stem;
        }
    }
    word
}

/// RFC 6203 §4: 1 to 100. `exact` of the `all` strings are there as they were written.
pub(crate) fn relevancy(exact: usize, all: usize) -> u32 {
    const INEXACT: usize = 50;
    let share = (100 - INEXACT) * exact / all.max(1);
    u32::try_from(if all == 0 { 100 } else { INEXACT + share }).unwrap_or(100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_come_apart() {
        assert_eq!(words("meeting rooms, please"), ["meet", "room", "pleas"]);
        assert_eq!(words("new"), ["new"]);
        assert_eq!(words("..."), [] as [&str; 0]);
        assert_eq!(words("strassen"), ["strass"]);
    }

    #[test]
    fn relevancies_are_within_bounds() {
        assert_eq!([relevancy(0, 0), relevancy(0, 1), relevancy(1, 2), relevancy(2, 2)], [100, 50, 75, 100]);
    }
}
