//! The suite that every engine passes: what [`crate::Store`] promises, in executable form.
//!
//! Each function is one promise, takes a fresh and empty store, and panics where it is broken. An engine's
//! tests call them through [`crate::conformance_suite`], which also runs the engine's check at the end.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a suite of tests: its failures are panics")]

pub mod annotations;
pub mod audit;
pub mod away;
pub mod credentials;
pub mod directory;
pub mod history;
pub mod lessons;
pub mod mail;
pub mod mailboxes;
pub mod push;
pub mod queue;
pub mod scripts;
pub mod sending;
pub mod sharing;
pub mod signing;

use std::sync::Arc;

use ::mail::{
    AccountId, Address, BodyType, Domain, Envelope, Flags, MailboxId, QueueId, Recipient, ReversePath, Timestamp,
};

use crate::{
    Acceptance, Accepted, AppendMessage, Body, Event, LocalDelivery, NewAccount, PasswordHash, QueueRelay, Stage,
    Store, What,
};

/// Makes a `#[tokio::test]` of each promise. `$fresh` is an async closure or function that gives
/// `(Arc<S>, guard)`: a fresh store and whatever must live as long.
#[macro_export]
macro_rules! conformance_suite {
    ($fresh:expr; $($module:ident :: $promise:ident),+ $(,)?) => {$(
        #[tokio::test]
        async fn $promise() {
            let (store, _guard) = $fresh;
            $crate::conformance::$module::$promise(store.clone()).await;
            $crate::conformance::check(&*store).await;
        }
    )+};
    ($fresh:expr) => {
        $crate::conformance_suite! { $fresh;
            directory::accounts_come_with_their_mailboxes, directory::domains_guard_their_addresses,
            directory::aliases_are_listed_in_order, directory::an_account_takes_another_address,
            directory::a_removed_account_leaves_nothing,
            credentials::tokens_are_found_and_go, credentials::tokens_are_bounded,
            credentials::tokens_that_are_over_are_forgotten, credentials::sessions_end_with_what_they_stand_on,
            credentials::a_passkey_is_used_with_a_counter_that_grows,
            credentials::a_code_is_used_once, credentials::loss_of_access_is_told,
            push::subscriptions_are_kept, push::subscriptions_end_with_what_made_them,
            push::subscriptions_are_bounded, push::subscriptions_that_are_over_are_forgotten, push::the_key_stays,
            away::a_notice_is_kept, away::a_report_goes_once_in_a_while, away::a_report_goes_with_what_waited,
            away::reports_are_bounded,
            mail::a_delivery_is_read_back, mail::all_recipients_or_none, mail::quota_is_kept,
            mail::large_messages_are_read_back, mail::append_gives_consecutive_uids, mail::replace_is_one_change,
            mail::deleted_bodies_stay_readable, mail::conversations_begin_with_a_msg_id,
            mailboxes::names_follow_the_rules, mailboxes::rename_and_delete, mailboxes::inbox_gives_its_messages_away,
            mailboxes::flags_and_modseqs, mailboxes::copy_and_move, mailboxes::watches_see_each_commit,
            mailboxes::recent_is_taken_once, mailboxes::the_maildrop_has_one_user,
            mailboxes::keys_of_urls,
            annotations::annotations_go_with_their_mailbox, annotations::the_special_use_is_an_annotation,
            annotations::annotations_are_bounded, annotations::changes_of_annotations_are_told,
            annotations::changes_of_names_are_told, annotations::changes_of_messages_are_told,
            annotations::changes_of_what_is_shared_are_told,
            sharing::grants_add_up, sharing::what_is_shared_is_found, sharing::a_new_mailbox_is_shared_like_the_one_above,
            sharing::nothing_is_left_of_who_is_gone, sharing::grants_are_bounded,
            history::a_survey_tells_what_changed, history::what_departed_is_told, history::steps_are_one_change,
            history::a_message_comes_into_several_mailboxes, history::uploads_are_kept_for_a_while,
            audit::acts_are_kept_in_order, audit::old_acts_make_room,
            signing::signing_keys_are_kept, signing::signing_keys_are_bounded,
            scripts::scripts_are_kept, scripts::scripts_are_bounded, scripts::marks_come_with_a_message,
            lessons::lessons_are_given_by_what_is_done, lessons::lessons_of_one_change_are_bounded,
            lessons::words_are_counted_once,
            queue::relays_are_queued_and_settled, queue::a_report_goes_with_its_bounce,
            queue::the_operator_holds_and_releases, queue::the_operator_redirects, queue::destinations_are_paused, queue::tallies_are_kept, queue::journeys_are_found,
            queue::what_happens_to_messages_is_told, queue::refusals_are_a_ring,
            sending::identities_follow_the_addresses, sending::aliases_are_found_by_target,
            sending::identities_are_bounded,
            sending::what_is_submitted_is_followed, sending::what_is_held_can_be_taken_back,
            sending::what_is_accepted_can_be_held, sending::what_waited_comes_into_a_mailbox, sending::old_submissions_make_room,
            sending::what_went_is_known_for_a_while,
        }
    };
}

/// The engine's own check finds nothing.
pub async fn check(store: &dyn Store) {
    let findings = store.check(true).await.unwrap();
    assert!(findings.iter().all(|finding| !finding.error), "{findings:?}");
    assert!(store.balance().await.unwrap().holds(), "{:?}", store.balance().await);
}

/// A moment.
pub const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

/// `red.example` and so on.
pub fn domain(name: &str) -> Domain {
    Domain::from_ascii(name).unwrap()
}

/// `local@domain`.
pub fn address(text: &str) -> Address {
    let (local, host) = text.rsplit_once('@').unwrap();
    Address::new(local, domain(host)).unwrap()
}

/// An account of that address, its domain added where it lacks.
pub async fn account(store: &dyn Store, who: &str) -> AccountId {
    let who = address(who);
    if store.domain(who.domain()).await.unwrap().is_none() {
        store.add_domain(who.domain()).await.unwrap().into_inner();
    }
    let new = NewAccount { address: who, password: PasswordHash("$x".into()), scram: None, quota: None };
    store.add_account(new, NOW).await.unwrap().into_inner()
}

/// Its INBOX.
pub async fn inbox(store: &dyn Store, account: AccountId) -> MailboxId {
    store.mailbox(account, "INBOX").await.unwrap().unwrap()
}

/// A stage with these bytes.
pub async fn staged(store: &dyn Store, bytes: &[u8]) -> Box<dyn Stage> {
    let mut stage = store.stage(Some(bytes.len() as u64)).await.unwrap();
    for piece in bytes.chunks(50_000) {
        stage.write(piece).await.unwrap();
    }
    assert_eq!(stage.len(), bytes.len() as u64);
    stage
}

/// An acceptance without recipients.
pub fn acceptance(id: QueueId, from: &str, message_id: &str) -> Acceptance {
    let sender = if from.is_empty() { ReversePath::Null } else { ReversePath::Address(address(from)) };
    let received = What::Received {
        protocol: "ESMTP".into(),
        from: None,
        helo: None,
        account: None,
        tls: None,
        size: 1,
        sender: from.to_owned(),
    };
    Acceptance {
        id,
        received_at: NOW,
        envelope: Envelope {
            reverse_path: sender,
            recipients: Vec::new(),
            body: BodyType::SevenBit,
            smtputf8: false,
            dsn_return: None,
            envelope_id: None,
            hold: None,
        },
        message_id: Some(message_id.to_owned()),
        deliveries: Vec::new(),
        relays: Vec::new(),
        discarded: 0,
        events: vec![Event::new(NOW, received)],
        dsns: Vec::new(),
        marks: Vec::new(),
    }
}

/// Adds a local recipient.
pub fn deliver_to(acceptance: &mut Acceptance, account: AccountId, who: &str) {
    acceptance.envelope.recipients.push(Recipient::new(address(who)));
    acceptance.deliveries.push(LocalDelivery {
        account,
        address: address(who),
        mailbox: None,
        prefix: format!("Delivered-To: {who}\r\n").into_bytes(),
        flags: Flags::NONE,
        keywords: Vec::new(),
    });
}

/// Adds a remote recipient.
pub fn relay_to(acceptance: &mut Acceptance, who: &str) {
    let recipient = Recipient::new(address(who));
    acceptance.envelope.recipients.push(recipient.clone());
    let destination = recipient.address.domain().clone();
    acceptance.relays.push(QueueRelay { recipient, prefix: Vec::new(), destination, next_attempt: NOW });
}

/// Delivers bytes to one account.
pub async fn deliver(store: &dyn Store, account: AccountId, who: &str, bytes: &[u8]) -> Accepted {
    let mut message = acceptance(store.next_queue_id(NOW), "s@far.example", "<m@far.example>");
    deliver_to(&mut message, account, who);
    store.accept(staged(store, bytes).await, message).await.unwrap().into_inner()
}

/// Appends bytes to a mailbox.
pub async fn append(store: &dyn Store, mailbox: MailboxId, bytes: &[u8]) -> ::mail::Uid {
    let row = AppendMessage { flags: Flags::NONE, keywords: Vec::new(), internal_date: NOW };
    let message = (staged(store, bytes).await, row);
    store.append(mailbox, vec![message], NOW).await.unwrap().into_inner().uids[0]
}

/// A body, whole.
pub async fn read(body: &Arc<dyn Body>) -> Vec<u8> {
    let mut bytes = Vec::new();
    while (bytes.len() as u64) < body.size() {
        let more = body.read(bytes.len() as u64..u64::MAX).await.unwrap();
        assert!(!more.is_empty(), "a body ended before its size");
        bytes.extend_from_slice(&more);
    }
    assert!(body.read(body.size()..u64::MAX).await.unwrap().is_empty());
    bytes
}
