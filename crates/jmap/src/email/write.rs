//! Writing a message that is composed, piece by piece, so that attachments are never in memory whole.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mail::limits;
use message::compose::{encoded_text, parameter};
use store::{Stage, StoreResult};

use crate::blob::Content;
use crate::error::SetError;

/// A part of a message to be.
pub(super) enum Node {
    Multipart { subtype: String, fields: Vec<(String, String)>, children: Vec<Self> },
    Leaf(Leaf),
}

/// A part with content.
pub(super) struct Leaf {
    pub(super) media_type: String,
    pub(super) charset: Option<String>,
    pub(super) name: Option<String>,
    pub(super) disposition: Option<String>,
    pub(super) cid: Option<String>,
    pub(super) language: Option<Vec<String>>,
    pub(super) location: Option<String>,
    pub(super) fields: Vec<(String, String)>,
    pub(super) text: Text,
}

/// What a part has.
pub(super) enum Text {
    /// A text that came with the request.
    Value(String),
    /// A blob's id.
    Blob(String),
}

impl Node {
    pub(super) fn multipart(subtype: &str, children: Vec<Self>) -> Self {
        Self::Multipart { subtype: subtype.to_owned(), fields: Vec::new(), children }
    }

    pub(super) fn fields(&self) -> &[(String, String)] {
        match self {
            Self::Multipart { fields, .. } => fields,
            Self::Leaf(leaf) => &leaf.fields,
        }
    }
}

impl Leaf {
    /// A message without a text.
    pub(super) fn empty() -> Self {
        Self {
            media_type: "text/plain".into(),
            charset: None,
            name: None,
            disposition: None,
            cid: None,
            language: None,
            location: None,
            fields: Vec::new(),
            text: Text::Value(String::new()),
        }
    }

    /// Whether HTML beside it shows it.
    pub(super) fn is_embedded(&self) -> bool {
        self.cid.is_some() && self.disposition.as_deref() != Some("attachment")
    }
}

/// Octets on their way into the store.
struct Out {
    stage: Box<dyn Stage>,
    waiting: Vec<u8>,
}

impl Out {
    async fn put(&mut self, text: &str) -> Result<(), SetError> {
        self.waiting.extend_from_slice(text.as_bytes());
        self.relieve(limits::READ_CHUNK).await
    }

    async fn relieve(&mut self, most: usize) -> Result<(), SetError> {
        if self.stage.len() + self.waiting.len() as u64 > limits::MESSAGE_SIZE as u64 {
            // RFC 8620 §5.3
            return Err(SetError::new("tooLarge"));
        }
        if self.waiting.len() > most {
            self.stage.write(&self.waiting).await?;
            self.waiting.clear();
        }
        Ok(())
    }
}

/// Writes a message; `unique` makes its boundaries.
pub(super) async fn message(
    stage: Box<dyn Stage>,
    fields: &[(String, String)],
    root: &Node,
    contents: &BTreeMap<String, Content>,
    unique: u128,
) -> Result<Box<dyn Stage>, SetError> {
    let mut out = Out { stage, waiting: Vec::new() };
    for (name, value) in fields {
        out.put(&format!("{name}:{value}\r\n")).await?;
    }
    out.put("MIME-Version: 1.0\r\n").await?;
    node(&mut out, root, contents, &format!("{unique:032x}")).await?;
    out.relieve(0).await?;
    Ok(out.stage)
}

/// A part, header first. Parts are nested up to `limits::MIME_DEPTH`.
async fn node(out: &mut Out, node: &Node, contents: &BTreeMap<String, Content>, unique: &str) -> Result<(), SetError> {
    for (name, value) in node.fields() {
        out.put(&format!("{name}:{value}\r\n")).await?;
    }
    match node {
        Node::Multipart { subtype, children, .. } => {
            // `=_` comes neither out of base64 nor out of quoted-printable, and a text that has it is sent as the latter.
            let boundary = format!("=_{unique}");
            out.put(&format!("Content-Type: multipart/{subtype}; boundary=\"{boundary}\"\r\n\r\n")).await?;
            for (at, child) in children.iter().enumerate() {
                out.put(&format!("--{boundary}\r\n")).await?;
                Box::pin(self::node(out, child, contents, &format!("{unique}.{at}"))).await?;
                out.put("\r\n").await?;
            }
            out.put(&format!("--{boundary}--\r\n")).await
        }
        Node::Leaf(leaf) => self::leaf(out, leaf, contents).await,
    }
}

async fn leaf(out: &mut Out, leaf: &Leaf, contents: &BTreeMap<String, Content>) -> Result<(), SetError> {
    let charset = match (&leaf.text, &leaf.charset) {
        (Text::Value(_), _) => Some("utf-8"),
        (_, charset) => charset.as_deref(),
    };
    let charset = charset.map(|charset| format!("; charset={charset}")).unwrap_or_default();
    out.put(&format!("Content-Type: {}{charset}\r\n", leaf.media_type)).await?;
    if leaf.disposition.is_some() || leaf.name.is_some() {
        let disposition = leaf.disposition.as_deref().unwrap_or("attachment");
        let name = leaf.name.as_deref().map(|name| format!(";{}", parameter("filename", name))).unwrap_or_default();
        out.put(&format!("Content-Disposition: {disposition}{name}\r\n")).await?;
    }
    let one_line = |text: &str| text.chars().filter(|c| !c.is_control() && !"<>".contains(*c)).collect::<String>();
    if let Some(cid) = &leaf.cid {
        out.put(&format!("Content-ID: <{}>\r\n", one_line(cid))).await?;
    }
    if let Some(languages) = leaf.language.as_ref().filter(|languages| !languages.is_empty()) {
        let languages: Vec<String> = languages.iter().map(|language| one_line(language)).collect();
        out.put(&format!("Content-Language: {}\r\n", languages.join(", "))).await?;
    }
    if let Some(location) = &leaf.location {
        out.put(&format!("Content-Location: {}\r\n", one_line(location))).await?;
    }
    match &leaf.text {
        Text::Value(text) => {
            let (encoding, text) = encoded_text(text);
            out.put(&format!("Content-Transfer-Encoding: {encoding}\r\n\r\n{text}")).await
        }
        Text::Blob(id) => match contents.get(id) {
            Some(content) => self::content(out, content, leaf.media_type.starts_with("message/")).await,
            None => Err(SetError::new("blobNotFound").and("notFound", vec![id.clone()])),
        },
    }
}

/// The octets of a blob: as they are where they are a message (RFC 2046 §5.2.1), else in base64.
async fn content(out: &mut Out, content: &Content, is_message: bool) -> Result<(), SetError> {
    let mut pieces = content.pieces();
    if is_message {
        let encoding = if is_seven_bit(content).await? { "7bit" } else { "8bit" };
        out.put(&format!("Content-Transfer-Encoding: {encoding}\r\n\r\n")).await?;
        while let Some(piece) = pieces.next().await? {
            out.waiting.extend_from_slice(&piece);
            out.relieve(limits::READ_CHUNK).await?;
        }
        return Ok(());
    }
    out.put("Content-Transfer-Encoding: base64\r\n\r\n").await?;
    // 57 octets make a line of 76 (RFC 2045 §6.8).
    const LINE: usize = 57;
    let mut rest: Vec<u8> = Vec::new();
    while let Some(piece) = pieces.next().await? {
        rest.extend_from_slice(&piece);
        let whole = rest.len() - rest.len() % LINE;
        for line in rest[..whole].chunks(LINE) {
            out.waiting.extend_from_slice(STANDARD.encode(line).as_bytes());
            out.waiting.extend_from_slice(b"\r\n");
        }
        rest.drain(..whole);
        out.relieve(limits::READ_CHUNK).await?;
    }
    if !rest.is_empty() {
        out.put(&format!("{}\r\n", STANDARD.encode(&rest))).await?;
    }
    Ok(())
}

async fn is_seven_bit(content: &Content) -> StoreResult<bool> {
    let mut pieces = content.pieces();
    while let Some(piece) = pieces.next().await? {
        if !piece.is_ascii() {
            return Ok(false);
        }
    }
    Ok(true)
}
