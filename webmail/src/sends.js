// Sending: EmailSubmission with the time to change one's mind. Where the server can hold a message back (FUTURERELEASE,
// RFC 4865, offered as maxDelayedSend), it does, and undoing cancels the submission; elsewhere the page waits itself and
// sends from the folder of drafts when the time has come, which it can only while it is open.

import { el } from './dom.js';
import { JmapError, SUBMISSION, ref } from './jmap.js';
import { notice } from './notice.js';
import { longDate, t } from './texts.js';
import { choose, chosen } from './choices.js';

export class Sends {
	constructor(app) {
		this.app = app;
		this.store = app.store;
		this.waiting = new Map(); // draft → timer, for what the page itself holds back
		window.addEventListener('beforeunload', (event) => this.waiting.size && event.preventDefault());
	}

	get longest() {
		return this.app.jmap.session.accounts[this.app.jmap.account]?.accountCapabilities?.[SUBMISSION]?.maxDelayedSend
			?? this.app.jmap.session.capabilities[SUBMISSION]?.maxDelayedSend ?? 0;
	}

	/** Sends a draft that is stored; `at` is a Date for later. `again()` opens it for writing once more. */
	async send(draftId, identity, recipients, { at = null, again = () => {} } = {}) {
		if (!this.app.jmap.has(SUBMISSION)) throw new Error(t('cantSend'));
		const undo = Math.max(0, Number(chosen('undoSeconds')) || 0);
		const seconds = at ? Math.max(1, Math.round((at - Date.now()) / 1000)) : undo;
		if (seconds > this.longest) {
			if (at) this.later(draftId, identity, recipients, at);
			else this.waitHere(draftId, identity, recipients, seconds, again);
			return;
		}
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
		const answer = await this.app.jmap.call('EmailSubmission/set', {
			create: {
				sub: {
					emailId, identityId: identity.id,
					envelope: { mailFrom: { email: identity.email, parameters }, rcptTo: recipients.map(({ email }) => ({ email, parameters: null })) },
				},
			},
			onSuccessUpdateEmail: { '#sub': patch },
		});
		const refused = answer.notCreated?.sub;
		if (refused) throw new JmapError(refused.type, refused.description);
		return answer.created.sub.id;
	}

	async cancel(id, emailId) {
		const answer = await this.app.jmap.call('EmailSubmission/set', { update: { [id]: { undoStatus: 'canceled' } } });
		if (answer.notUpdated?.[id]) throw new Error(t('tooLate'));
		const [drafts, sent] = [this.store.byRole('drafts'), this.store.byRole('sent')];
		await this.app.jmap.call('Email/set', { update: { [emailId]: { 'keywords/$draft': true, [`mailboxIds/${drafts.id}`]: true, [`mailboxIds/${sent.id}`]: null } } });
		await this.app.sync();
	}

	waitHere(draftId, identity, recipients, seconds, again) {
		const go = () => {
			this.waiting.delete(draftId);
			this.app.attempt(this.submit(draftId, identity, recipients).then(() => this.app.sync()));
		};
		if (!seconds) {
			go();
			notice(t('sentIt'));
			return;
		}
		this.waiting.set(draftId, setTimeout(go, seconds * 1000));
		notice(t('sentIt'), {
			label: t('undo'), act: () => {
				clearTimeout(this.waiting.get(draftId));
				this.waiting.delete(draftId);
				again();
			},
		}, seconds * 1000);
	}

	/** What the server can't hold so long is sent by the page that is open then. */
	later(draftId, identity, recipients, at) {
		choose('later', [...(chosen('later') ?? []), { draftId, identityId: identity.id, recipients, at: at.getTime() }]);
		notice(t('willBeSentHere', { date: longDate(at) }));
	}

	waitsHere(draftId) {
		return (chosen('later') ?? []).some((one) => one.draftId === draftId);
	}

	/** Looks each minute for what is due. */
	watch() {
		const look = async () => {
			const all = chosen('later') ?? [];
			const due = all.filter((one) => one.at <= Date.now());
			if (!due.length || this.app.isOffline) return;
			choose('later', all.filter((one) => one.at > Date.now()));
			for (const one of due) {
				const identity = this.store.identities.find((other) => other.id === one.identityId) ?? this.store.identities[0];
				await this.app.attempt(this.submit(one.draftId, identity, one.recipients).then(() => notice(t('sentIt'))));
			}
			this.app.sync();
		};
		look();
		setInterval(look, 60_000);
	}

	/** Above a message that has not left yet: when it will, and a way to stop it. */
	async banner(email, box) {
		const sent = this.store.byRole('sent');
		const own = (chosen('later') ?? []).find((one) => one.draftId === email.id);
		if (own) {
			box.append(this.line(t('willBeSentHere', { date: longDate(own.at) }), () => choose('later', chosen('later').filter((one) => one.draftId !== email.id))));
			return;
		}
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
		const line = el('div', { class: 'banner' }, el('span', {}, words), el('button', { type: 'button', class: 'link', onclick: () => { line.remove(); act(); } }, t('dontSend')));
		return line;
	}
}
