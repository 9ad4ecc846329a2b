//! Sending: the client engine of `wire::smtp`, driven over our connection.

use mail::{BodyType, ReversePath, limits};
use wire::smtp::client::{Client, Config, Failure, Step, TlsUse, Transaction};

use crate::connection::Connection;
use crate::maildrop::Progress;
use crate::{Login, MuaError, MuaResult, Protocol, ServerUrl, Trust};

/// A message to send.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// Envelope sender.
    pub sender: String,
    /// Envelope recipients, Bcc among them.
    pub recipients: Vec<String>,
    /// The message, lines ended by CRLF.
    pub message: Vec<u8>,
}

/// What the server took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Its words for the message.
    pub words: String,
    /// Recipients that it refused, with its words.
    pub refused: Vec<(String, String)>,
}

/// Sends a message; fails when no recipient was taken.
pub async fn send(
    server: &ServerUrl,
    trust: &Trust,
    login: &Login,
    outgoing: Outgoing,
    progress: &mut dyn Progress,
) -> MuaResult<Sent> {
    if server.protocol != Protocol::Smtp {
        return Err(MuaError::new("mail is sent over SMTP: use an smtps:// or smtp:// address"));
    }
    let transaction = transaction(&outgoing)?;
    let mut connection = Connection::open(server, trust).await?;
    let mut client = Client::new(Config {
        helo: "localhost".into(),
        tls: if server.implicit_tls { TlsUse::Implicit } else { TlsUse::IfOffered },
        login: Some(login.clone()),
        binding: connection.binding().clone(),
        clear_auth: connection.is_loopback(),
        lmtp: false,
    });
    let mut begun = Some(transaction);
    let mut given = 0;
    let mut result = Err(MuaError::new(format!("{server} ended the session before it took the message")));
    loop {
        match client.step() {
            Step::Send => {
                connection.write(client.output()).await?;
                client.sent();
            }
            Step::Receive(patience) => match connection.available(Some(patience)).await {
                Ok(octets) => {
                    client.input(octets);
                    let count = octets.len();
                    connection.take(count);
                }
                // The report says what became of the message, if the server said so before it went.
                Err(error) => {
                    client.eof();
                    if result.is_err() {
                        result = Err(error);
                    }
                }
            },
            Step::StartTls => {
                connection.start_tls(trust).await?;
                client.secured(connection.binding().clone());
            }
            Step::Ready => match begun.take() {
                Some(transaction) => client.begin(transaction),
                None => client.quit(),
            },
            Step::Body => {
                let piece = &outgoing.message[given..outgoing.message.len().min(given + limits::MUA_READ)];
                if piece.is_empty() {
                    client.body_end();
                } else {
                    client.body(piece);
                    given += piece.len();
                    progress.advance(given as u64, outgoing.message.len() as u64);
                }
            }
            Step::Done(report) => result = sent(&outgoing.recipients, report.verdicts),
            Step::Over(failure) => {
                return match (result, failure) {
                    (Err(_), Some(failure)) => Err(refusal(server, &failure)),
                    (result, _) => result,
                };
            }
        }
    }
}

fn transaction(outgoing: &Outgoing) -> MuaResult<Transaction> {
    let address = |text: &str| {
        wire::address::mailbox(text).map_err(|error| MuaError::new(format!("{text} is no address: {error}")))
    };
    let sender = address(&outgoing.sender)?;
    let recipients: Vec<_> = outgoing
        .recipients
        .iter()
        .map(|recipient| address(recipient).map(mail::Recipient::new))
        .collect::<MuaResult<_>>()?;
    let utf8 = sender.needs_utf8() || recipients.iter().any(|recipient| recipient.address.needs_utf8());
    Ok(Transaction {
        sender: ReversePath::Address(sender),
        recipients,
        size: outgoing.message.len() as u64,
        body: if outgoing.message.is_ascii() { BodyType::SevenBit } else { BodyType::EightBitMime },
        utf8,
        dsn_return: None,
        envelope_id: None,
    })
}

fn sent(recipients: &[String], verdicts: Vec<Result<mail::Reply, Failure>>) -> MuaResult<Sent> {
    let mut sent = Sent { words: String::new(), refused: Vec::new() };
    for (recipient, verdict) in recipients.iter().zip(verdicts) {
        match verdict {
            Ok(reply) => sent.words = crate::safe_text(&reply.to_string()),
            Err(failure) => sent.refused.push((recipient.clone(), crate::safe_text(&failure.to_string()))),
        }
    }
    if sent.words.is_empty() {
        let refused: Vec<_> = sent.refused.iter().map(|(address, words)| format!("{address}: {words}")).collect();
        return Err(MuaError::new(format!("the message was not taken: {}", refused.join("; "))));
    }
    Ok(sent)
}

fn refusal(server: &ServerUrl, failure: &Failure) -> MuaError {
    MuaError::new(format!("{server} refuses at {}: {failure}", failure.stage))
}
