//! Works with mail by jmap-client: mailboxes, a message in and out, a query, keywords, a move, news, and sending; requests and news over a
//! WebSocket, too.
//! In: the address of the server, user, password, to whom it sends, a folder where the message to import lies as `append`.
//! Out: `imported`, the same as it is read again, and lines of what it saw.

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use futures::{Stream, StreamExt};
use jmap_client::PushObject;
use jmap_client::client::{Client, Credentials};
use jmap_client::client_ws::WebSocketMessage;
use jmap_client::core::query::Filter;
use jmap_client::mailbox::Role;
use jmap_client::{DataType, email, mailbox};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Only a failing test waits that long.
const PATIENCE: Duration = Duration::from_secs(30);

async fn role(client: &Client, role: Role) -> Outcome<String> {
    let mut found = client.mailbox_query(mailbox::query::Filter::role(role).into(), None::<Vec<_>>).await?;
    Ok(found.take_ids().pop().ok_or("there is no mailbox of that role")?)
}

/// The next message of a WebSocket.
async fn next(
    socket: &mut (impl Stream<Item = jmap_client::Result<WebSocketMessage>> + Unpin),
) -> Outcome<WebSocketMessage> {
    Ok(tokio::time::timeout(PATIENCE, socket.next()).await?.ok_or("the WebSocket ended")??)
}

/// A request and its answer over a WebSocket, then news of a change that is asked for there.
async fn talk(client: &Client, message: &str) -> Outcome<()> {
    let mut socket = client.connect_ws().await?;
    let mut request = client.build();
    request.get_email().ids([message]);
    let asked = client.send_ws(request).await?;
    let WebSocketMessage::Response(mut answer) = next(&mut socket).await? else { return Err("no answer".into()) };
    let found = answer.pop_method_response().ok_or("the answer is empty")?.unwrap_get_email()?.take_list();
    let is_it = found.iter().all(|email| email.id() == Some(message)) && found.len() == 1;
    println!("answered {} {is_it}", answer.request_id() == Some(&asked));
    client.enable_push_ws([DataType::Email].into(), None::<String>).await?;
    let mut request = client.build();
    request.set_email().update(message).keyword("$answered", true);
    client.send_ws(request).await?;
    // In the order in which they are ready (RFC 8887 §4.2).
    let (mut has_answer, mut has_news) = (false, false);
    while !(has_answer && has_news) {
        match next(&mut socket).await? {
            WebSocketMessage::Response(_) => has_answer = true,
            WebSocketMessage::PushNotification(PushObject::StateChange { .. }) => has_news = true,
            WebSocketMessage::PushNotification(other) => return Err(format!("{other:?}").into()),
        }
    }
    println!("news true");
    Ok(())
}

async fn play(server: &str, user: &str, password: &str, to: &str, folder: &Path) -> Outcome<()> {
    let client = Client::new()
        .credentials(Credentials::basic(user, password))
        .follow_redirects(["127.0.0.1", "localhost"])
        .connect(server)
        .await?;
    println!("user {}", client.session().username());
    let inbox = role(&client, Role::Inbox).await?;
    let own = client.mailbox_create("From Rust", None::<String>, Role::None).await?.take_id();
    let mut news = client.event_source([DataType::Email, DataType::Mailbox].into(), false, 60.into(), None).await?;
    let octets = std::fs::read(folder.join("append"))?;
    let id = client.email_import(octets, [&own], ["$seen"].into(), None).await?.take_id();
    let told = tokio::time::timeout(PATIENCE, news.next()).await?.ok_or("the news ended")??;
    println!("told {}", !format!("{told:?}").is_empty());
    let blob = client
        .email_get(&id, [email::Property::BlobId].into())
        .await?
        .and_then(|email| email.blob_id().map(str::to_owned))
        .ok_or("the message has no blob")?;
    std::fs::write(folder.join("imported"), client.download(&blob).await?)?;
    let filter = Filter::and([email::query::Filter::in_mailbox(&own), email::query::Filter::has_keyword("$seen")]);
    let found = client.email_query(filter.into(), [email::query::Comparator::received_at()].into()).await?.take_ids();
    println!("found {}", found == [id.clone()]);
    client.email_set_keyword(&id, "$flagged", true).await?;
    talk(&client, &id).await?;
    client.email_set_mailboxes(&id, [&inbox]).await?;
    let moved = client.email_get(&id, [email::Property::MailboxIds, email::Property::Keywords].into()).await?;
    let moved = moved.ok_or("the message is gone")?;
    println!("moved {} {}", moved.mailbox_ids() == [inbox.as_str()], moved.keywords().contains(&"$flagged"));
    let mut identities = client.build();
    identities.get_identity();
    let identity = identities.send_get_identity().await?.take_list();
    let identity = identity.first().and_then(|one| one.id()).ok_or("there is no identity")?.to_owned();
    client.email_submission_create_envelope(&id, identity, user, [to]).await?;
    println!("sent true");
    client.email_destroy(&id).await?;
    println!("gone {}", client.email_get(&id, None::<Vec<_>>).await?.is_none());
    client.mailbox_destroy(&own, true).await?;
    Ok(())
}

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [server, user, password, to, folder] = arguments.as_slice() else {
        return Err("server, user, password, recipient, folder".into());
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(play(server, user, password, to, Path::new(folder)))
}
