//! AUTH from the client's side (RFC 4954): SCRAM-SHA-256 (RFC 7677), PLAIN (RFC 4616), LOGIN.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use mail::limits;
use sha2::{Digest, Sha256};

/// Who we are to the server. `Debug` shows no secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Log-in name.
    pub user: String,
    /// Password.
    pub password: String,
    /// Fresh printable randomness without commas, for SCRAM (RFC 5802 §5.1); one per connection.
    pub nonce: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credentials({})", self.user)
    }
}

/// A log-in under way. `Debug` shows no secret.
pub(super) enum Login {
    /// All is said; the server's verdict comes.
    Said,
    /// LOGIN: the password comes after the name.
    Name { password: String },
    /// LOGIN: both to come.
    Nothing { user: String, password: String },
    /// SCRAM: our first message is sent.
    ScramFirst { credentials: Credentials, bare: String },
    /// SCRAM: our proof is sent; the server must show that it knows the password too.
    ScramProof { server_signature: String },
    /// SCRAM: the server has shown it.
    ScramDone,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Login(…)")
    }
}

impl Login {
    /// The best mechanism of those offered: its AUTH line and what follows. Passwords go in clear only
    /// where `clear` allows it (under TLS). None: nothing that we may use.
    pub(super) fn start(credentials: &Credentials, offered: &[String], clear: bool) -> Option<(String, Self)> {
        let has = |name: &str| offered.iter().any(|offer| offer == name);
        if has("SCRAM-SHA-256") {
            let user = credentials.user.replace('=', "=3D").replace(',', "=2C");
            let bare = format!("n={user},r={}", credentials.nonce);
            let line = format!("AUTH SCRAM-SHA-256 {}\r\n", STANDARD.encode(format!("n,,{bare}")));
            return Some((line, Self::ScramFirst { credentials: credentials.clone(), bare }));
        }
        if !clear {
            return None;
        }
        if has("PLAIN") {
            let secret = STANDARD.encode(format!("\0{}\0{}", credentials.user, credentials.password));
            return Some((format!("AUTH PLAIN {secret}\r\n"), Self::Said));
        }
        has("LOGIN").then(|| {
            let (user, password) = (credentials.user.clone(), credentials.password.clone());
            ("AUTH LOGIN\r\n".to_owned(), Self::Nothing { user, password })
        })
    }

    /// Answers a 334 with the next line.
    pub(super) fn answer(self, challenge: &str) -> Result<(String, Self), &'static str> {
        let decoded = || STANDARD.decode(challenge.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let (said, next) = match self {
            Self::Nothing { user, password } => (user, Self::Name { password }),
            Self::Name { password } => (password, Self::Said),
            Self::ScramFirst { credentials, bare } => {
                let first = decoded().ok_or("its SCRAM challenge is no base64")?;
                let (proof, server_signature) = scram_proof(&credentials, &bare, &first)?;
                (proof, Self::ScramProof { server_signature })
            }
            Self::ScramProof { server_signature } => {
                let last = decoded().ok_or("its SCRAM signature is no base64")?;
                // RFC 5802 §5: the client must check `v=`: else anybody could play the server.
                if last.strip_prefix("v=") != Some(&server_signature) {
                    return Err("it does not know the password itself (SCRAM)");
                }
                (String::new(), Self::ScramDone)
            }
            Self::Said | Self::ScramDone => return Err("it asks for more than the mechanism has"),
        };
        Ok((format!("{}\r\n", STANDARD.encode(said)), next))
    }

    /// Whether success may be believed now: with SCRAM only after the server's signature (it may also come
    /// with the 235 itself, which RFC 4954 §4 forbids).
    pub(super) const fn may_succeed(&self) -> bool {
        matches!(self, Self::Said | Self::ScramDone)
    }
}

/// The client-final-message and the signature that the server must answer with (RFC 5802 §3).
fn scram_proof(credentials: &Credentials, bare: &str, server_first: &str) -> Result<(String, String), &'static str> {
    let field = |name: &str| server_first.split(',').find_map(|part| part.strip_prefix(name));
    let nonce = field("r=").ok_or("its SCRAM challenge lacks a nonce")?;
    if !nonce.starts_with(&credentials.nonce) || nonce.len() == credentials.nonce.len() {
        return Err("its SCRAM nonce does not continue ours");
    }
    let salt = field("s=").and_then(|salt| STANDARD.decode(salt).ok()).ok_or("its SCRAM salt is no base64")?;
    let rounds: u32 = field("i=").and_then(|i| i.parse().ok()).ok_or("its SCRAM challenge lacks a count")?;
    if rounds == 0 || rounds > limits::SCRAM_ROUNDS {
        return Err("its SCRAM count is out of bounds");
    }
    let salted = hi(credentials.password.as_bytes(), &salt, rounds);
    let without_proof = format!("c=biws,r={nonce}");
    let auth_message = format!("{bare},{server_first},{without_proof}");
    let client_key = hmac(&salted, b"Client Key");
    let client_signature = hmac(&Sha256::digest(client_key), auth_message.as_bytes());
    let proof: Vec<u8> = client_key.iter().zip(client_signature).map(|(a, b)| a ^ b).collect();
    let server_signature = hmac(&hmac(&salted, b"Server Key"), auth_message.as_bytes());
    Ok((format!("{without_proof},p={}", STANDARD.encode(proof)), STANDARD.encode(server_signature)))
}

fn hmac(key: &[u8], text: &[u8]) -> [u8; 32] {
    #[allow(clippy::expect_used, reason = "HMAC takes a key of any length (RFC 2104 §3)")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any key");
    mac.update(text);
    mac.finalize().into_bytes().into()
}

/// `Hi` (RFC 5802 §2.2): PBKDF2 with one block.
fn hi(password: &[u8], salt: &[u8], rounds: u32) -> [u8; 32] {
    let mut u = hmac(password, &[salt, &[0, 0, 0, 1]].concat());
    let mut result = u;
    for _ in 1..rounds {
        u = hmac(password, &u);
        result.iter_mut().zip(u).for_each(|(r, u)| *r ^= u);
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7677 §3.
    #[test]
    fn scram_as_in_the_rfc() {
        let nonce = "rOprNGfwEbeRWgbNEkqO".to_owned();
        let credentials = Credentials { user: "user".into(), password: "pencil".into(), nonce };
        let (line, login) = Login::start(&credentials, &["SCRAM-SHA-256".into()], false).unwrap();
        assert_eq!(line, "AUTH SCRAM-SHA-256 biwsbj11c2VyLHI9ck9wck5HZndFYmVSV2diTkVrcU8=\r\n");
        let first = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        let (proof, login) = login.answer(&STANDARD.encode(first)).unwrap();
        let expected = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
        assert_eq!(proof.trim_end(), STANDARD.encode(expected));
        assert!(!login.may_succeed());
        let last = STANDARD.encode("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
        assert!(login.answer(&last).unwrap().1.may_succeed());
    }

    #[test]
    fn passwords_go_in_clear_only_where_allowed() {
        let credentials = Credentials { user: "u".into(), password: "p".into(), nonce: "n".into() };
        let offered = ["PLAIN".to_owned(), "LOGIN".to_owned()];
        assert!(Login::start(&credentials, &offered, false).is_none());
        assert_eq!(Login::start(&credentials, &offered, true).unwrap().0, "AUTH PLAIN AHUAcA==\r\n");
        let (_, login) = Login::start(&credentials, &offered[1..], true).unwrap();
        let (user, login) = login.answer("VXNlcm5hbWU6").unwrap();
        let (password, login) = login.answer("UGFzc3dvcmQ6").unwrap();
        assert_eq!((user.as_str(), password.as_str()), ("dQ==\r\n", "cA==\r\n"));
        assert!(login.may_succeed());
    }
}
