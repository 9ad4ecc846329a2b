//! PLAIN's one message (RFC 4616 §2): `[authzid] NUL authcid NUL passwd`.

use super::{Failure, Password};

pub(super) struct Message {
    pub(super) authorize_as: Option<String>,
    pub(super) user: String,
    pub(super) password: Password,
}

pub(super) fn read(message: &[u8]) -> Result<Message, Failure> {
    let text = std::str::from_utf8(message).map_err(|_| Failure::Malformed("not UTF-8"))?;
    let parts: Vec<&str> = text.split('\0').collect();
    let [authorize_as, user, password] = parts[..] else {
        return Err(Failure::Malformed("PLAIN has the form authzid NUL authcid NUL password"));
    };
    // RFC 4616 §2: authcid and passwd have at least one character.
    if user.is_empty() || password.is_empty() {
        return Err(Failure::Malformed("name or password is empty"));
    }
    Ok(Message {
        authorize_as: (!authorize_as.is_empty()).then(|| authorize_as.to_owned()),
        user: user.to_owned(),
        password: Password::new(password),
    })
}

pub(super) fn write(authorize_as: Option<&str>, user: &str, password: &Password) -> Vec<u8> {
    format!("{}\0{user}\0{}", authorize_as.unwrap_or_default(), password.reveal()).into_bytes()
}
