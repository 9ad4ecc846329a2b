//! The words with which a filter refuses.

use mail::{EnhancedCode, Reply, ReplyCode, limits};

/// `550 5.7.1 words`, or such lines with `550-` before all but the last. None: not a refusal (4yz or 5yz), which a filter may
/// not make up.
pub fn reply(words: &[u8]) -> Option<Reply> {
    let words = String::from_utf8_lossy(words);
    let mut code = None;
    let mut enhanced = None;
    let mut text = String::new();
    for line in words.split('\n').map(str::trim_end) {
        let number = line.get(..3)?.parse().ok().and_then(ReplyCode::new)?;
        if !number.is_transient() && !number.is_permanent() || code.is_some_and(|before| before != number) {
            return None;
        }
        let rest = line[3..].trim_start_matches([' ', '-']);
        let (said, rest) = match rest.split_once(' ') {
            Some((first, rest)) if enhanced_code(first).is_some() => (enhanced_code(first), rest),
            _ => (enhanced_code(rest), if enhanced_code(rest).is_some() { "" } else { rest }),
        };
        // RFC 2034 §4: the class is the reply's.
        enhanced = enhanced.or(said.filter(|said| u16::from(said.class) == number.get() / 100));
        if code.replace(number).is_some() {
            text.push('\n');
        }
        // Sendmail's filters write %% for %; nobody else's words may end our line.
        let rest = rest.replace("%%", "%");
        let printable = rest.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' });
        text.extend(printable.take(limits::REMOTE_WORDS.saturating_sub(text.len())));
    }
    let code = code?;
    let other = EnhancedCode::new(if code.is_permanent() { 5 } else { 4 }, 7, 1);
    Some(Reply { code, enhanced: Some(enhanced.unwrap_or(other)), text })
}

fn enhanced_code(word: &str) -> Option<EnhancedCode> {
    let mut numbers = word.split('.');
    let mut next = || numbers.next().filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))?.parse::<u16>().ok();
    let (class, subject, detail) = (next()?, next()?, next()?);
    if numbers.next().is_some() || subject > 999 || detail > 999 {
        return None;
    }
    Some(EnhancedCode::new(u8::try_from(class).ok()?, subject, detail))
}
