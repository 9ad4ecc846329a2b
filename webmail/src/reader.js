// The pane that reads: a thread with its messages, the read ones folded. It fetches what it shows, marks what was seen, and
// follows changes. It knows no HTML of messages (message.js does).

import { byId, el, iconButton, show } from './dom.js';
import { t } from './texts.js';
import { Message, WHOLE } from './message.js';
import { ref } from './jmap.js';

const MOST = 100; // messages of a thread that are shown
const AFTER = 30; // ms

export class Reader {
	constructor(app) {
		this.app = app;
		this.pane = byId('reader');
		this.threadId = null;
		this.messages = new Map();
		this.fetching = new Map(); // thread → promise
		app.store.addEventListener('emails', ({ detail }) => this.changed(detail));
		app.store.addEventListener('threads', ({ detail }) => this.threadId && detail.includes(this.threadId) && this.draw());
	}

	close() {
		this.threadId = null;
		for (const message of this.messages.values()) message.forget();
		this.messages.clear();
		this.pane.replaceChildren(el('p', { class: 'empty' }, t('nothingOpen')));
	}

	async open(threadId) {
		if (this.threadId === threadId) return;
		this.close();
		this.threadId = threadId;
		try {
			if (!this.knows(threadId)) {
				this.pane.replaceChildren(el('p', { class: 'empty', role: 'status' }, t('loading')));
				await this.load(threadId);
			}
		} catch (error) {
			const kept = await this.app.offline?.thread(threadId);
			if (this.threadId !== threadId) return;
			if (!kept) {
				this.app.failed(error);
				this.pane.replaceChildren(el('p', { class: 'empty' }, t('notKept')));
				return;
			}
			this.app.store.takeThreads([{ id: threadId, emailIds: kept.map((email) => email.id) }]);
			this.app.store.takeEmails(kept);
		}
		if (this.threadId !== threadId) return;
		this.draw(true);
		// What was asked for is on screen before the rest is done.
		setTimeout(() => this.threadId === threadId && this.shown(), AFTER);
	}

	shown() {
		const { list, offline, store } = this.app;
		offline?.keepThread(this.threadId, store.thread(this.threadId));
		// Who reads on finds the next one here.
		for (const by of [1, -1]) this.ahead(list.view?.at(list.cursor.index + by));
	}

	/** Fetches what will be opened soon. */
	ahead(email) {
		if (email && !this.app.isOffline) this.load(email.threadId).catch(() => {});
	}

	knows(threadId) {
		const { store } = this.app;
		const known = store.thread(threadId);
		return known.length && known.length === store.threads.get(threadId).length && known.every((email) => email.bodyValues);
	}

	async load(threadId) {
		if (this.knows(threadId)) return;
		if (!this.fetching.has(threadId)) this.fetching.set(threadId, this.fetch(threadId).finally(() => this.fetching.delete(threadId)));
		await this.fetching.get(threadId);
	}

	async fetch(threadId) {
		const { store } = this.app;
		const [threads, got] = await store.jmap.all([
			['Thread/get', { ids: [threadId] }],
			['Email/get', { '#ids': ref(0, '/list/*/emailIds'), ...WHOLE }],
		]);
		store.takeThreads(threads.list, threads.state);
		store.takeEmails(got.list, got.state);
	}

	/** The messages of the thread that belong here: not those in the trash, unless one looks there. */
	members() {
		const { store, folder } = this.app;
		const away = ['trash', 'junk'].map((role) => store.byRole(role)?.id).filter((id) => id && id !== folder);
		const all = store.thread(this.threadId).sort((a, b) => a.receivedAt.localeCompare(b.receivedAt));
		const here = all.filter((email) => Object.keys(email.mailboxIds).some((box) => !away.includes(box)));
		return (here.length ? here : all).slice(-MOST);
	}

	draw(first = false) {
		const emails = this.members();
		if (!emails.length) return;
		if (!first && emails.some((email) => !email.bodyValues)) {
			this.load(this.threadId).then(() => this.draw(true)).catch(() => {});
			return;
		}
		const newest = emails.at(-1);
		const had = this.messages;
		this.messages = new Map(emails.map((email) => [email.id, had.get(email.id)
			?? new Message(this.app, email, { folded: email !== newest && Boolean(email.keywords.$seen) })]));
		for (const [id, message] of had) if (!this.messages.has(id)) message.forget();
		const rows = () => this.app.list.rowsOf(this.threadId);
		this.pane.replaceChildren(
			el('div', { class: 'bar reader-bar' },
				iconButton('back', t('back'), () => this.app.back(), { class: 'icon-button back' }),
				el('div', { class: 'tools', role: 'toolbar', 'aria-label': t('message') }, ...this.app.tools(rows))),
			el('div', { class: 'thread', id: 'thread', tabindex: '0', role: 'region', 'aria-label': t('conversation') },
				el('h2', { dir: 'auto', class: 'thread-subject' }, emails[0].subject || t('noSubject')),
				...[...this.messages.values()].map((message) => message.element)));
		show(this.pane, true);
		const start = [...this.messages.values()].find((message) => !message.folded && !message.email.keywords.$seen);
		if (this.takesFocus) byId('thread').focus({ preventScroll: true });
		this.takesFocus = false;
		if (first && start && start !== this.messages.values().next().value) start.element.scrollIntoView({ block: 'start' });
		setTimeout(() => this.seen(), AFTER);
	}

	unfold(message) {
		message.fold(false);
		message.element.querySelector('summary, button')?.focus();
		this.seen();
	}

	/** What stands open has been read. */
	seen() {
		const ids = [...this.messages.values()].filter((message) => !message.folded && !message.email.keywords.$seen && !message.keepUnread).map((message) => message.email.id);
		if (ids.length && !this.app.isOffline) this.app.attempt(this.app.actions.flag(ids, '$seen', true)).then(() => this.app.sync());
	}

	changed(ids) {
		if (!this.threadId) return;
		for (const id of ids) {
			const message = this.messages.get(id);
			const email = this.app.store.emails.get(id);
			if (message && email) message.take(email);
		}
	}

	/** Goes to the next or previous message of the thread. */
	step(by) {
		const all = [...this.messages.values()];
		const now = all.findIndex((message) => message.element.contains(document.activeElement));
		const next = all[Math.max(0, Math.min(all.length - 1, (now < 0 ? all.length - 1 : now) + by))];
		if (!next) return;
		if (next.folded) this.unfold(next);
		next.element.scrollIntoView({ block: 'start' });
		next.element.querySelector('summary, button')?.focus({ preventScroll: true });
	}

	/** The message that an answer is for: the one with the focus, else the newest that stands open. */
	current() {
		const all = [...this.messages.values()];
		const focused = all.find((message) => message.element.contains(document.activeElement));
		return (focused ?? all.findLast((message) => !message.folded))?.email;
	}
}
