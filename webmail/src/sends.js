// Sending: EmailSubmission with the time to change one's mind, or for later: the server holds the message back (FUTURERELEASE, RFC 4865,
// offered as maxDelayedSend), and undoing cancels the submission.

import { el } from './dom.js';
import { SUBMISSION, ref } from './jmap.js';
import { notice } from './notice.js';
import { longDate, t } from './texts.js';
import { chosen } from './choices.js';

export class Sends {
	constructor(app) {
		this.app = app;
		this.store = app.store;
	}

	/** Sends a draft that is stored; `at` is a Date for later. `again()` opens it for writing once more. */
	async send(draftId, identity, recipients, { at = null, again = () => {} } = {}) {
		if (!this.app.jmap.has(SUBMISSION)) throw new Error(t('cantSend'));
		const undo = Math.max(0, Number(chosen('undoSeconds')) || 0);
		const seconds = at ? Math.max(1, Math.round((at - Date.now()) / 1000)) : undo;
		const id = await this.submit(draftId, identity, recipients, seconds);
		this.app.sync();
		const words = at ? t('willBeSent', { date: longDate(at) }) : t('sentIt');
		if (!seconds) notice(words);
		else notice(words, { label: t('undo'), act: () => this.app.attempt(this.cancel(id, draftId).then(again)) }, (at ? 8 : seconds) * 1000);
	}

	/** RFC 8621 §7.5: the message leaves the drafts in the same step, if and when the submission is taken. */
	async submit(emailId, identity, recipients, seconds = 0) {
		const [drafts, sent] = [this.store.byRole('drafts'), this.store.byRole('sent')];
		const parameters = seconds ? { HOLDFOR: String(seconds) } : null;
		const patch = { 'keywords/$draft': null };
		if (drafts && sent) Object.assign(patch, { [`mailboxIds/${drafts.id}`]: null, [`mailboxIds/${sent.id}`]: true });
		const answer = await this.app.jmap.set('EmailSubmission/set', {
			create: {
				sub: {
					emailId, identityId: identity.id,
					envelope: { mailFrom: { email: identity.email, parameters }, rcptTo: recipients.map(({ email }) => ({ email, parameters: null })) },
				},
			},
			onSuccessUpdateEmail: { '#sub': patch },
		});
		return answer.created.sub.id;
	}

	async cancel(id, emailId) {
		const answer = await this.app.jmap.call('EmailSubmission/set', { update: { [id]: { undoStatus: 'canceled' } } });
		if (answer.notUpdated?.[id]) throw new Error(t('tooLate'));
		const [drafts, sent] = [this.store.byRole('drafts'), this.store.byRole('sent')];
		await this.app.jmap.call('Email/set', { update: { [emailId]: { 'keywords/$draft': true, [`mailboxIds/${drafts.id}`]: true, [`mailboxIds/${sent.id}`]: null } } });
		await this.app.sync();
	}

	/** Above a message that has not left yet: when it will, and a way to stop it. */
	async banner(email, box) {
		const sent = this.store.byRole('sent');
		if (!sent || !email.mailboxIds[sent.id] || !this.app.jmap.has(SUBMISSION)) return;
		const [, got] = await this.app.jmap.all([
			['EmailSubmission/query', { filter: { emailIds: [email.id], undoStatus: 'pending' } }],
			['EmailSubmission/get', { '#ids': ref(0, '/ids'), properties: ['sendAt', 'undoStatus'] }],
		], { tolerant: true });
		for (const one of got.list ?? []) {
			box.append(this.line(t('willBeSent', { date: longDate(one.sendAt) }), () => this.app.attempt(this.cancel(one.id, email.id).then(() => this.app.back()))));
		}
	}

	line(words, act) {
		const line = el('div', { class: 'banner' }, el('span', {}, words), el('button', { class: 'link', onclick: () => { line.remove(); act(); } }, t('dontSend')));
		return line;
	}
}
