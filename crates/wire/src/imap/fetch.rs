//! FETCH: what of which messages (RFC 3501 §6.4.5, RFC 7162 §3.1.4).

use std::fmt;

use mail::limits;

use super::cursor::{Bad, Cursor};
use super::sequence::{MessageSet, Partial};
use super::write;

/// FETCH.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// The set is of UIDs.
    pub uid: bool,
    /// Which messages.
    pub set: MessageSet,
    /// What of each.
    pub items: Vec<Item>,
    /// CHANGEDSINCE: only messages changed after it.
    pub changed_since: Option<u64>,
    /// VANISHED: also what was removed since (RFC 7162 §3.2.6).
    pub vanished: bool,
    /// PARTIAL: only these of the messages (RFC 9394).
    pub partial: Option<Partial>,
}

/// `fetch-att`
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// ENVELOPE
    Envelope,
    /// FLAGS
    Flags,
    /// INTERNALDATE
    InternalDate,
    /// RFC822.SIZE
    Size,
    /// BODY: the structure without extension data
    Body,
    /// BODYSTRUCTURE
    BodyStructure,
    /// UID
    Uid,
    /// MODSEQ (RFC 7162)
    ModSeq,
    /// SAVEDATE (RFC 8514)
    SaveDate,
    /// EMAILID (RFC 8474)
    EmailId,
    /// THREADID (RFC 8474)
    ThreadId,
    /// PREVIEW (RFC 8970)
    Preview {
        /// Only where it is at hand.
        lazy: bool,
    },
    /// BODY[…], and RFC822 and its like, which are the same under another name
    Section(Section),
    /// BINARY[…] (RFC 3516)
    Binary(Binary),
    /// BINARY.SIZE[…]: of this part
    BinarySize(Vec<u32>),
}

/// `"BINARY" [".PEEK"] section-binary ["<" number "." nz-number ">"]`: a part without its transfer encoding
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binary {
    /// \Seen stays as it is.
    pub peek: bool,
    /// Part numbers.
    pub path: Vec<u32>,
    /// Only so many octets from there.
    pub partial: Option<(u64, u64)>,
}

impl Binary {
    /// What stands before the string in the answer.
    pub fn label(&self) -> Vec<u8> {
        let mut out = b"BINARY".to_vec();
        write_part(&self.path, &mut out);
        write_origin(self.partial, &mut out);
        out
    }
}

/// `section-binary = "[" [section-part] "]"`
pub fn write_part(path: &[u32], out: &mut Vec<u8>) {
    out.push(b'[');
    write_path(path, out);
    out.push(b']');
}

fn write_path(path: &[u32], out: &mut Vec<u8>) {
    for (at, number) in path.iter().enumerate() {
        if at > 0 {
            out.push(b'.');
        }
        write::number(out, u64::from(*number));
    }
}

fn write_origin(partial: Option<(u64, u64)>, out: &mut Vec<u8>) {
    if let Some((start, _)) = partial {
        out.push(b'<');
        write::number(out, start);
        out.push(b'>');
    }
}

/// `"BODY" [".PEEK"] section ["<" number "." nz-number ">"]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// \Seen stays as it is.
    pub peek: bool,
    /// Part numbers.
    pub path: Vec<u32>,
    /// What of the part.
    pub text: Text,
    /// Only so many octets from there.
    pub partial: Option<(u64, u64)>,
    /// The name under which it is answered, where it is not BODY[…].
    pub alias: Option<&'static str>,
}

/// `section-text`
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Text {
    /// All of it.
    Whole,
    /// HEADER
    Header,
    /// HEADER.FIELDS
    Fields(Vec<Vec<u8>>),
    /// HEADER.FIELDS.NOT
    FieldsNot(Vec<Vec<u8>>),
    /// TEXT
    Text,
    /// MIME
    Mime,
}

impl Section {
    /// All of the message.
    pub const fn whole() -> Self {
        Self { peek: true, path: Vec::new(), text: Text::Whole, partial: None, alias: None }
    }

    /// What stands before the string in the answer: `BODY[1.MIME]<0>` (RFC 3501 §7.4.2). Names of header fields are
    /// repeated as the client wrote them.
    pub fn label(&self) -> Vec<u8> {
        if let Some(alias) = self.alias {
            return alias.into();
        }
        let mut out = b"BODY".to_vec();
        self.write_section(&mut out);
        write_origin(self.partial, &mut out);
        out
    }

    pub(super) fn write_section(&self, out: &mut Vec<u8>) {
        out.push(b'[');
        write_path(&self.path, out);
        let (word, names) = match &self.text {
            Text::Whole => ("", None),
            Text::Header => ("HEADER", None),
            Text::Fields(names) => ("HEADER.FIELDS", Some(names)),
            Text::FieldsNot(names) => ("HEADER.FIELDS.NOT", Some(names)),
            Text::Text => ("TEXT", None),
            Text::Mime => ("MIME", None),
        };
        if !self.path.is_empty() && !word.is_empty() {
            out.push(b'.');
        }
        out.extend_from_slice(word.as_bytes());
        if let Some(names) = names {
            out.extend_from_slice(b" (");
            for (at, name) in names.iter().enumerate() {
                if at > 0 {
                    out.push(b' ');
                }
                write::astring(out, name);
            }
            out.push(b')');
        }
        out.push(b']');
    }
}

impl Item {
    /// The item as a client writes it.
    pub fn write(&self, out: &mut Vec<u8>) {
        let word = match self {
            Self::Envelope => "ENVELOPE",
            Self::Flags => "FLAGS",
            Self::InternalDate => "INTERNALDATE",
            Self::Size => "RFC822.SIZE",
            Self::Body => "BODY",
            Self::BodyStructure => "BODYSTRUCTURE",
            Self::Uid => "UID",
            Self::ModSeq => "MODSEQ",
            Self::SaveDate => "SAVEDATE",
            Self::EmailId => "EMAILID",
            Self::ThreadId => "THREADID",
            Self::Preview { lazy: false } => "PREVIEW",
            Self::Preview { lazy: true } => "PREVIEW (LAZY)",
            Self::BinarySize(path) => {
                out.extend_from_slice(b"BINARY.SIZE");
                return write_part(path, out);
            }
            Self::Binary(binary) => {
                out.extend_from_slice(if binary.peek { b"BINARY.PEEK" } else { b"BINARY" });
                write_part(&binary.path, out);
                if let Some((start, count)) = binary.partial {
                    out.extend_from_slice(format!("<{start}.{count}>").as_bytes());
                }
                return;
            }
            Self::Section(Section { alias: Some("RFC822"), peek: true, .. }) => "RFC822.PEEK",
            Self::Section(Section { alias: Some("RFC822.TEXT"), peek: true, .. }) => "RFC822.TEXT.PEEK",
            Self::Section(Section { alias: Some(alias), .. }) => alias,
            Self::Section(section) => {
                out.extend_from_slice(if section.peek { b"BODY.PEEK" } else { b"BODY" });
                section.write_section(out);
                if let Some((start, count)) = section.partial {
                    out.extend_from_slice(format!("<{start}.{count}>").as_bytes());
                }
                return;
            }
        };
        out.extend_from_slice(word.as_bytes());
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = Vec::new();
        self.write(&mut out);
        f.write_str(&String::from_utf8_lossy(&out))
    }
}

impl Cursor<'_> {
    /// `fetch = "FETCH" SP sequence-set SP ("ALL" / "FULL" / "FAST" / fetch-att / "(" fetch-att *(SP fetch-att) ")")`
    /// and RFC 4466 §2.1 `[SP "(" fetch-modifier *(SP fetch-modifier) ")"]`
    pub(super) fn fetch(&mut self, uid: bool) -> Result<Fetch, Bad> {
        let set = self.message_set()?;
        self.sp()?;
        let mut items = if self.peek() == Some(b'(') { self.list(Self::fetch_att)? } else { self.fetch_macro()? };
        if items.is_empty() {
            return Err(Bad("A FETCH item is missing"));
        }
        let (mut changed_since, mut vanished, mut partial) = (None, false, None);
        if self.take(b' ') && self.peek() == Some(b'(') {
            self.list(|cursor| {
                match cursor.atom()?.to_ascii_uppercase().as_str() {
                    "CHANGEDSINCE" => {
                        cursor.sp()?;
                        changed_since = Some(cursor.number64()?);
                    }
                    "VANISHED" => vanished = true,
                    "PARTIAL" => {
                        cursor.sp()?;
                        partial = Some(cursor.partial_range()?);
                    }
                    _ => return Err(Bad("There is no such FETCH modifier")),
                }
                Ok(())
            })?;
            // RFC 7162 §3.1.4.1: the answers have MODSEQ whether it was asked for or not.
            if changed_since.is_some() && !items.contains(&Item::ModSeq) {
                items.push(Item::ModSeq);
            }
            // RFC 7162 §3.2.6: only with UID FETCH and CHANGEDSINCE.
            if vanished && (!uid || changed_since.is_none()) {
                return Err(Bad("VANISHED is for UID FETCH with CHANGEDSINCE"));
            }
            // RFC 9394 §3.2
            if partial.is_some() && !uid {
                return Err(Bad("PARTIAL is for UID FETCH"));
            }
        }
        Ok(Fetch { uid, set, items, changed_since, vanished, partial })
    }

    fn fetch_macro(&mut self) -> Result<Vec<Item>, Bad> {
        const FAST: [Item; 3] = [Item::Flags, Item::InternalDate, Item::Size];
        let mut items = FAST.to_vec();
        if self.take_word("FAST") {
            return Ok(items);
        }
        items.push(Item::Envelope);
        if self.take_word("ALL") {
            return Ok(items);
        }
        items.push(Item::Body);
        if self.take_word("FULL") {
            return Ok(items);
        }
        self.fetch_att().map(|item| vec![item])
    }

    /// `fetch-att = "ENVELOPE" / "FLAGS" / … / "BODY" ["STRUCTURE"] / "UID" / "BODY" section … / "BODY.PEEK" section …`
    pub(super) fn fetch_att(&mut self) -> Result<Item, Bad> {
        let word = self.word_of(|b| b.is_ascii_alphanumeric() || b == b'.', "A FETCH item is missing")?;
        let named = |alias, peek, text| {
            Item::Section(Section { peek, path: Vec::new(), text, partial: None, alias: Some(alias) })
        };
        Ok(match word.to_ascii_uppercase().as_str() {
            "ENVELOPE" => Item::Envelope,
            "FLAGS" => Item::Flags,
            "INTERNALDATE" => Item::InternalDate,
            "RFC822.SIZE" => Item::Size,
            "BODYSTRUCTURE" => Item::BodyStructure,
            "UID" => Item::Uid,
            "MODSEQ" => Item::ModSeq,
            "SAVEDATE" => Item::SaveDate,
            "EMAILID" => Item::EmailId,
            "THREADID" => Item::ThreadId,
            "PREVIEW" => Item::Preview { lazy: self.preview_lazy()? },
            "BINARY" => Item::Binary(self.binary(false)?),
            "BINARY.PEEK" => Item::Binary(self.binary(true)?),
            "BINARY.SIZE" => Item::BinarySize(self.section_binary()?),
            // RFC 3501 §6.4.5: equivalent to BODY[], BODY.PEEK[HEADER] and BODY[TEXT].
            "RFC822" => named("RFC822", false, Text::Whole),
            "RFC822.HEADER" => named("RFC822.HEADER", true, Text::Header),
            "RFC822.TEXT" => named("RFC822.TEXT", false, Text::Text),
            // Quirk: Outlook asks as RFC 1730 §6.4.5 had it; later versions of IMAP gave it up.
            "RFC822.PEEK" => named("RFC822", true, Text::Whole),
            "RFC822.TEXT.PEEK" => named("RFC822.TEXT", true, Text::Text),
            "BODY" if self.peek() != Some(b'[') => Item::Body,
            "BODY" => Item::Section(self.section(false)?),
            "BODY.PEEK" => Item::Section(self.section(true)?),
            _ => return Err(Bad("There is no such FETCH item")),
        })
    }

    /// RFC 8970 §6: `fetch-att =/ "PREVIEW" [SP "(" preview-mod *(SP preview-mod) ")"]`, `preview-mod = "LAZY"`
    fn preview_lazy(&mut self) -> Result<bool, Bad> {
        if !self.rest().starts_with(b" (") {
            return Ok(false);
        }
        self.sp()?;
        let modifiers = self.list(|cursor| Ok(cursor.atom()?.eq_ignore_ascii_case("LAZY")))?;
        if modifiers.contains(&false) {
            Err(Bad("There is no such PREVIEW modifier"))
        } else {
            Ok(!modifiers.is_empty())
        }
    }

    /// RFC 3516 §7: `"BINARY" [".PEEK"] section-binary [partial]`
    fn binary(&mut self, peek: bool) -> Result<Binary, Bad> {
        let path = self.section_binary()?;
        let partial = if self.take(b'<') { Some(self.partial()?) } else { None };
        Ok(Binary { peek, path, partial })
    }

    /// `section-binary = "[" [section-part] "]"`, `section-part = nz-number *("." nz-number)`
    fn section_binary(&mut self) -> Result<Vec<u32>, Bad> {
        self.expect(b'[', "A section is missing")?;
        let mut path = Vec::new();
        while !self.take(b']') {
            if !path.is_empty() {
                self.expect(b'.', "The section is broken")?;
            }
            path.push(self.nz_number()?);
            if path.len() > limits::MIME_DEPTH * 2 {
                return Err(Bad("The section has too many parts"));
            }
        }
        Ok(path)
    }

    /// `section = "[" [section-spec] "]"`, `section-spec = section-msgtext / (section-part ["." section-text])`
    pub(super) fn section(&mut self, peek: bool) -> Result<Section, Bad> {
        self.expect(b'[', "A section is missing")?;
        let mut path = Vec::new();
        let mut text = Text::Whole;
        while self.peek() != Some(b']') {
            if self.peek().is_some_and(|b| b.is_ascii_digit()) {
                path.push(self.nz_number()?);
                if path.len() > limits::MIME_DEPTH * 2 {
                    return Err(Bad("The section has too many parts"));
                }
                if self.peek() == Some(b']') {
                    break;
                }
                self.expect(b'.', "The section is broken")?;
                if self.peek() == Some(b']') {
                    return Err(Bad("The section is broken"));
                }
            } else {
                text = self.section_text(!path.is_empty())?;
                break;
            }
        }
        self.expect(b']', "The section is broken")?;
        let partial = if self.take(b'<') { Some(self.partial()?) } else { None };
        Ok(Section { peek, path, text, partial, alias: None })
    }

    /// `section-text = section-msgtext / "MIME"`, `section-msgtext = "HEADER" / "HEADER.FIELDS" [".NOT"] SP header-list / "TEXT"`
    fn section_text(&mut self, within_part: bool) -> Result<Text, Bad> {
        let word = self.word_of(|b| b.is_ascii_alphanumeric() || b == b'.', "The section is broken")?;
        Ok(match word.to_ascii_uppercase().as_str() {
            "HEADER" => Text::Header,
            "HEADER.FIELDS" => Text::Fields(self.header_list()?),
            "HEADER.FIELDS.NOT" => Text::FieldsNot(self.header_list()?),
            "TEXT" => Text::Text,
            "MIME" if within_part => Text::Mime,
            _ => return Err(Bad("There is no such section")),
        })
    }

    /// `header-list = "(" header-fld-name *(SP header-fld-name) ")"`, each an astring
    fn header_list(&mut self) -> Result<Vec<Vec<u8>>, Bad> {
        self.sp()?;
        let names = self.list(|cursor| cursor.astring().map(|name| name.into_owned()))?;
        if names.is_empty() { Err(Bad("A header field is missing")) } else { Ok(names) }
    }

    /// `number "." nz-number ">"`
    fn partial(&mut self) -> Result<(u64, u64), Bad> {
        let start = self.number64()?;
        self.expect(b'.', "The partial range is broken")?;
        let count = self.number64()?;
        self.expect(b'>', "The partial range is broken")?;
        if count == 0 { Err(Bad("The partial range is empty")) } else { Ok((start, count)) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::command::{Command, command};
    use super::super::mutf7::Names;
    use super::*;
    use proptest::prelude::*;

    fn fetch(text: &str) -> Result<Fetch, Bad> {
        match command(format!("a {text}\r\n").as_bytes(), Names::Modified).unwrap().command? {
            Command::Fetch(fetch) => Ok(fetch),
            other => panic!("{other:?}"),
        }
    }

    fn shown(text: &str) -> String {
        fetch(text).unwrap().items.iter().map(Item::to_string).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn items() {
        assert_eq!(shown("FETCH 1 ALL"), "FLAGS INTERNALDATE RFC822.SIZE ENVELOPE");
        assert_eq!(shown("UID FETCH 1:* FLAGS"), "FLAGS");
        assert_eq!(shown("FETCH 1 (PREVIEW (LAZY) FLAGS)"), "PREVIEW (LAZY) FLAGS");
        assert_eq!(shown("FETCH 1 PREVIEW"), "PREVIEW");
        assert_eq!(shown("FETCH $ (BINARY.SIZE[1.2] BINARY[])"), "BINARY.SIZE[1.2] BINARY[]");
        let modified = fetch("UID FETCH 1:* FLAGS (CHANGEDSINCE 5 VANISHED PARTIAL -1:-10)").unwrap();
        assert!(modified.vanished && modified.partial.is_some_and(|partial| partial.backwards));
        assert_eq!(shown("uid fetch 1 (uid body.peek[2.mime]<0.65536>)"), "UID BODY.PEEK[2.MIME]<0.65536>");
        assert_eq!(shown("FETCH 1 BODY[HEADER.FIELDS (Subject \"a b\")]"), "BODY[HEADER.FIELDS (Subject \"a b\")]");
        assert_eq!(shown("FETCH 1 (FLAGS) (CHANGEDSINCE 5)"), "FLAGS MODSEQ");
        let label = |text| match &fetch(text).unwrap().items[0] {
            Item::Section(section) => String::from_utf8(section.label()).unwrap(),
            other => panic!("{other:?}"),
        };
        assert_eq!(label("FETCH 1 BODY.PEEK[1.2.TEXT]<5.10>"), "BODY[1.2.TEXT]<5>");
        assert_eq!(label("FETCH 1 RFC822"), "RFC822");
        assert_eq!(label("UID fetch 39 (RFC822.peek)"), "RFC822");
        assert_eq!(shown("UID fetch 39 (UID RFC822.SIZE RFC822.peek)"), "UID RFC822.SIZE RFC822.PEEK");
        assert_eq!(shown("FETCH 1 (RFC822.TEXT.PEEK RFC822)"), "RFC822.TEXT.PEEK RFC822");
        for bad in [
            "FETCH 1 ()",
            "FETCH 1 BODY[",
            "FETCH 1 BODY[0]",
            "FETCH 1 BODY[1.]",
            "FETCH 1 BODY[MIME]",
            "FETCH 1 BODY[]<0.0>",
            "FETCH 0 FLAGS",
            "FETCH 1 (FLAGS",
            "FETCH 1 BODY[HEADER.FIELDS ()]",
            "FETCH 1 XYZ",
            "FETCH 1 BINARY[TEXT]",
            "FETCH 1 BINARY[1.]",
            "FETCH 1 BINARY.SIZE[1]<0.1>",
            "FETCH 1 FLAGS (CHANGEDSINCE 5 VANISHED)",
            "UID FETCH 1 FLAGS (VANISHED)",
            "FETCH 1 FLAGS (PARTIAL 1:2)",
            "FETCH 1 FLAGS (XYZ)",
        ] {
            assert!(fetch(bad).is_err(), "{bad}");
        }
    }

    fn section() -> impl Strategy<Value = Item> {
        let names = || proptest::collection::vec("[A-Za-z-]{1,8}".prop_map(String::into_bytes), 1..4);
        let text = prop_oneof![
            Just(Text::Whole),
            Just(Text::Header),
            Just(Text::Text),
            names().prop_map(Text::Fields),
            names().prop_map(Text::FieldsNot)
        ];
        let path = proptest::collection::vec(1u32.., 0..5);
        let partial = || proptest::option::of((0u64..1 << 40, 1u64..1 << 40));
        let binary = (any::<bool>(), path.clone(), partial());
        prop_oneof![
            (any::<bool>(), path.clone(), text, partial()).prop_map(|(peek, path, text, partial)| Item::Section(
                Section { peek, path, text, partial, alias: None }
            )),
            binary.prop_map(|(peek, path, partial)| Item::Binary(Binary { peek, path, partial })),
            path.prop_map(Item::BinarySize),
        ]
    }

    proptest! {
        #[test]
        fn written_items_read_back(item in section()) {
            let read = fetch(&format!("FETCH 1 {item}")).unwrap();
            prop_assert_eq!(&read.items, &[item]);
        }
    }
}
