//! GENURLAUTH, URLFETCH and RESETKEY (RFC 4467, RFC 5524): URLs with which others may read a message.

use mail::{AccountId, MailboxId};
use message::date::parse_rfc3339;
use store::{StoreError, StoreResult, UrlKey};
use wire::imap::fetch::{Binary, Section, Text};
use wire::imap::reply::{Code, Reply};
use wire::imap::url::{Authorization, MessageUrl};
use wire::imap::urlauth::{INTERNAL, UrlFetch, Wanted, verifier};
use wire::imap::write;

use crate::binary;
use crate::catenate::bad_url_code;
use crate::fetch::{Place, Sending, place, section};
use crate::host::End;
use crate::io::Io;
use crate::refusal::Unread;
use crate::refusal::refusal;
use crate::session::Service;
use crate::structure::part_structure;
use crate::url::{Astray, Found, Who, account_of, follow, is_here};

/// RFC 4467 §8: the mechanisms, where a mailbox is selected and where its key becomes another one.
pub(crate) const MECHANISMS: &str = "URLMECH INTERNAL";

const NO_MECHANISM: &str = "There is no such mechanism";

/// GENURLAUTH: all URLs, or none.
pub(crate) async fn generate(
    service: &Service,
    io: &mut Io<'_>,
    account: AccountId,
    rumps: &[(Vec<u8>, String)],
) -> Reply {
    let mut urls = Vec::with_capacity(rumps.len());
    for (rump, mechanism) in rumps {
        if mechanism != INTERNAL {
            return Reply::no(Code::Cannot, NO_MECHANISM);
        }
        let key = match mailbox_of(service, account, rump).await {
            Ok(mailbox) => key_of(service, io, mailbox).await,
            // RFC 4467 §7: "the server MUST return a tagged BAD response".
            Err(Astray::Url(why)) => return Reply::bad(why).with_code(bad_url_code(rump)),
            Err(Astray::Elsewhere) => return Reply::bad("The URL is of another server").with_code(bad_url_code(rump)),
            Err(Astray::Store(error)) => Err(error),
        };
        match key {
            Ok(key) => urls.push([rump, verifier(&key.0, rump).as_bytes()].concat()),
            Err(error) => return refusal(&error),
        }
    }
    io.out.extend_from_slice(b"* GENURLAUTH");
    for url in urls {
        io.out.push(b' ');
        write::string(&mut io.out, &url);
    }
    io.out.extend_from_slice(b"\r\n");
    Reply::ok("These may be followed")
}

/// RFC 4467 §7: a rump names a mailbox that there is, its owner, and for whom it will be. For whom that is may be anybody:
/// who does not exist does not follow it.
async fn mailbox_of(service: &Service, account: AccountId, rump: &[u8]) -> Result<MailboxId, Astray> {
    let url = MessageUrl::read(rump).map_err(|bad| Astray::Url(bad.0))?;
    let (Some(authority), Some(authorization)) = (&url.authority, &url.authorization) else {
        return Err(Astray::Url("The URL does not say whose it is and for whom"));
    };
    let Authorization { expire, verifier: None, .. } = authorization else {
        return Err(Astray::Url("The URL may be followed already"));
    };
    if expire.as_deref().is_some_and(|expire| parse_rfc3339(expire).is_none()) {
        return Err(Astray::Url("The date is broken"));
    }
    is_here(service, authority)?;
    let owner = match &authority.user {
        Some(user) => account_of(service, user).await?,
        None => return Err(Astray::Url("The URL does not say whose it is and for whom")),
    };
    if owner != Some(account) {
        return Err(Astray::Url("The URL is of somebody else"));
    }
    let mailbox = service.store.mailbox(account, &url.mailbox).await?;
    mailbox.ok_or(Astray::Url("There is no such mailbox"))
}

/// RFC 4467 §7: "If there is currently no mailbox access key … one is automatically generated."
async fn key_of(service: &Service, io: &Io<'_>, mailbox: MailboxId) -> StoreResult<UrlKey> {
    if let Some(key) = service.store.url_key(mailbox).await? {
        return Ok(key);
    }
    let made = service.store.make_url_key(mailbox, UrlKey(io.host.secret())).await?;
    Ok(made.into_inner())
}

/// RESETKEY: URLs of before lead nowhere.
pub(crate) async fn reset_key(
    service: &Service,
    io: &Io<'_>,
    account: AccountId,
    mailbox: Option<&str>,
    mechanisms: &[String],
) -> Reply {
    if mechanisms.iter().any(|mechanism| mechanism != INTERNAL) {
        return Reply::no(Code::Cannot, NO_MECHANISM);
    }
    let changed = async {
        let Some(name) = mailbox else {
            return service.store.forget_url_keys(account).await.map(drop);
        };
        let id = service.store.mailbox(account, name).await?;
        let id = id.ok_or_else(|| StoreError::NoMailbox(name.to_owned()))?;
        service.store.renew_url_key(id, UrlKey(io.host.secret())).await.map(drop)
    };
    match changed.await {
        Ok(()) => Reply::ok("URLs of before lead nowhere").with_code(MECHANISMS),
        Err(error) => refusal(&error),
    }
}

/// URLFETCH: each URL with what it leads to, or NIL.
pub(crate) async fn fetch(
    service: &Service,
    io: &mut Io<'_>,
    account: AccountId,
    urls: &[UrlFetch],
) -> Result<Reply, End> {
    let mut failed = None;
    for UrlFetch { url, wanted } in urls {
        let mut label = b"* URLFETCH ".to_vec();
        write::string(&mut label, url);
        let from = io.out.len();
        let mut sending = Sending::default();
        let told = match follow(service, Who::Reader(account), io.host.now(), url).await {
            Ok(mut found) if wanted.is_empty() => {
                section(io, &found.section, &label, &mut found.message, &mut sending).await?
            }
            Ok(found) => items(io, found, &label, wanted, &mut sending).await?,
            Err(Astray::Store(error)) => Err(error.into()),
            Err(Astray::Url(_) | Astray::Elsewhere) => {
                io.out.extend_from_slice(&label);
                io.out.extend_from_slice(b" NIL");
                Ok(())
            }
        };
        if let Err(error) = told {
            if sending.begun {
                // Half of it is gone already: the client must not take what follows for the rest.
                return Err(End::Failed);
            }
            io.out.truncate(from);
            io.out.extend_from_slice(&label);
            io.out.extend_from_slice(b" NIL");
            if let Unread::Store(error) = error {
                tracing::error!(%error, "a message can't be read");
                failed = Some(error);
            }
        }
        io.out.extend_from_slice(b"\r\n");
        io.relieve().await?;
    }
    // RFC 4467 §7: "A NO response indicates a server internal failure"; what is wrong with a URL is said by NIL.
    Ok(failed.map_or_else(|| Reply::ok("That is what there is"), |error| refusal(&error)))
}

/// RFC 5524 §3.2: `1*(SP "(" url-metadata-el ")")`, in the order asked for
async fn items(
    io: &mut Io<'_>,
    mut found: Found<'_>,
    label: &[u8],
    wanted: &[Wanted],
    sending: &mut Sending,
) -> Result<Result<(), Unread>, End> {
    let Found { message, section: wanted_section } = &mut found;
    match place(wanted_section, message).await {
        Ok(Place::Nowhere) => {
            io.out.extend_from_slice(label);
            io.out.extend_from_slice(b" NIL");
            return Ok(Ok(()));
        }
        Ok(_) => {}
        Err(error) => return Ok(Err(error.into())),
    }
    io.out.extend_from_slice(label);
    for one in wanted {
        io.out.push(b' ');
        let from = io.out.len();
        let told = match one {
            Wanted::Body => section(io, wanted_section, b"(BODY", message, sending).await?,
            Wanted::Binary => match as_binary(wanted_section) {
                Some(part) => binary::part(io, &part, b"(BINARY", message, sending).await?,
                // What is no whole part has no transfer encoding.
                None => section(io, wanted_section, b"(BINARY", message, sending).await?,
            },
            Wanted::BodyPartStructure => match message.structure().await {
                Ok(structure) => {
                    io.out.extend_from_slice(b"(BODYPARTSTRUCTURE ");
                    let is_part = wanted_section.text == Text::Whole;
                    if !is_part || !part_structure(&mut io.out, &structure, &wanted_section.path) {
                        io.out.extend_from_slice(b"NIL");
                    }
                    Ok(())
                }
                Err(error) => Err(error.into()),
            },
        };
        match told {
            Ok(()) => {}
            // RFC 5524 §3.2: NIL where the transfer encoding is not known.
            Err(Unread::Encoding) => {
                io.out.truncate(from);
                io.out.extend_from_slice(b"(BINARY NIL");
            }
            Err(error) => return Ok(Err(error)),
        }
        io.out.push(b')');
    }
    Ok(Ok(()))
}

/// The part of a section that names a whole one.
fn as_binary(section: &Section) -> Option<Binary> {
    let is_part = section.text == Text::Whole;
    is_part.then(|| Binary { peek: true, path: section.path.clone(), partial: section.partial })
}
