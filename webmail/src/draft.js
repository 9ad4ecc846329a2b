// A message being written, as JMAP stores it: made from what the composer holds, kept in the folder of drafts, one version
// at a time. It knows no elements.

import { JmapError } from './jmap.js';

/** RFC 8621 §4.6: the object for Email/set's create. */
export function toEmail(content, mailboxId) {
	const { identity, attachments, text, html } = content;
	const email = {
		mailboxIds: { [mailboxId]: true },
		keywords: { $draft: true, $seen: true },
		from: [{ name: identity?.name || null, email: identity?.email ?? '' }],
		subject: content.subject,
		bodyValues: { text: { value: text } },
		textBody: [{ partId: 'text', type: 'text/plain' }],
	};
	// RFC 5322 §3.6.3: a field of recipients is not there rather than empty.
	for (const [field, people] of [['to', content.to], ['cc', content.cc], ['bcc', unionBcc(content.bcc, identity?.bcc)]]) if (people.length) email[field] = people;
	if (identity?.replyTo?.length) email.replyTo = identity.replyTo;
	if (content.inReplyTo) email.inReplyTo = content.inReplyTo;
	if (content.references) email.references = content.references;
	if (html !== null) {
		email.bodyValues.html = { value: html };
		email.htmlBody = [{ partId: 'html', type: 'text/html' }];
	}
	if (attachments.length) {
		email.attachments = attachments.map((part) => ({
			blobId: part.blobId, type: part.type || 'application/octet-stream', ...(part.name ? { name: part.name } : {}), disposition: part.cid ? 'inline' : 'attachment', ...(part.cid ? { cid: part.cid } : {}),
		}));
	}
	return email;
}

function unionBcc(bcc, always) {
	return [...bcc, ...(always ?? []).filter((one) => !bcc.some((other) => other.email === one.email))];
}

const PAUSE = 1500; // ms without a key before a draft is kept

export class Draft {
	/** `content()` gives what is written now; `told(state)` hears 'saving', 'saved' or an error. */
	constructor(store, { content, told, id = null }) {
		Object.assign(this, { store, content, told, id });
		this.dirty = false;
		this.saving = Promise.resolve();
	}

	touch() {
		this.dirty = true;
		clearTimeout(this.timer);
		this.timer = setTimeout(() => this.save().catch(() => {}), PAUSE);
	}

	/** Keeps what is written: the new version first, then the old one goes, in one step. One save at a time. */
	save() {
		clearTimeout(this.timer);
		this.saving = this.saving.catch(() => {}).then(() => this.write());
		return this.saving;
	}

	async write() {
		if (!this.dirty && this.id) return;
		const drafts = this.store.byRole('drafts');
		if (!drafts) throw new Error('no drafts');
		this.dirty = false;
		this.told('saving');
		try {
			const answer = await this.store.jmap.call('Email/set', { create: { draft: toEmail(this.content(), drafts.id) }, ...(this.id ? { destroy: [this.id] } : {}) });
			const made = answer.created?.draft;
			if (!made) throw new JmapError(answer.notCreated?.draft?.type, answer.notCreated?.draft?.description);
			this.id = made.id;
			this.threadId = made.threadId;
			this.told('saved');
		} catch (error) {
			this.dirty = true;
			this.told(error);
			throw error;
		}
	}

	async discard() {
		clearTimeout(this.timer);
		await this.saving.catch(() => {});
		this.dirty = false;
		if (this.id) await this.store.jmap.call('Email/set', { destroy: [this.id] });
	}
}
