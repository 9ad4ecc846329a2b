// What the page knows of the account: mailboxes, messages, threads, identities, each with the state (RFC 8620 §1.6.3) it
// is of; and how changes are fetched and applied. Views and panes listen; nobody else writes here. It draws nothing, and
// what it holds is bounded: the messages looked at longest ago are forgotten.

import { SUBMISSION, ref } from './jmap.js';

/** What a row of the list, and a line of a thread, needs of a message. */
export const ROW = ['id', 'blobId', 'threadId', 'mailboxIds', 'keywords', 'from', 'to', 'subject', 'receivedAt', 'size', 'preview', 'hasAttachment'];
/** The order of lists. */
export const NEWEST = [{ property: 'receivedAt', isAscending: false }];
const MAILBOX = ['id', 'name', 'parentId', 'role', 'sortOrder', 'totalEmails', 'unreadEmails', 'totalThreads', 'unreadThreads', 'myRights', 'isSubscribed'];
const MOST_EMAILS = 6000;

export class Store extends EventTarget {
	constructor(jmap) {
		super();
		this.jmap = jmap;
		this.mailboxes = new Map();
		this.emails = new Map();
		this.threads = new Map();
		this.identities = [];
		this.states = {};
		this.views = new Set();
		this.syncing = null;
	}

	tell(type, detail) {
		this.dispatchEvent(new CustomEvent(type, { detail }));
	}

	/** What all begins with. */
	async load() {
		await Promise.all([this.loadMailboxes(), this.loadIdentities()]);
	}

	async loadMailboxes() {
		const answer = await this.jmap.call('Mailbox/get', { ids: null, properties: MAILBOX });
		this.mailboxes = new Map(answer.list.map((box) => [box.id, box]));
		this.states.Mailbox = answer.state;
		this.tell('mailboxes');
	}

	async loadIdentities() {
		// A capability that the server doesn't have would have the whole request refused (RFC 8620 §3.3).
		const [answer] = this.jmap.has(SUBMISSION) ? await this.jmap.all([['Identity/get', { ids: null }]], { tolerant: true }) : [{}];
		this.identities = answer.list?.length ? answer.list : [{ id: null, name: '', email: this.jmap.session.username, textSignature: '' }];
	}

	byRole(role) {
		return [...this.mailboxes.values()].find((box) => box.role === role);
	}

	/** The folder of that id; where there is none, the one to begin with. */
	folder(id) {
		return this.mailboxes.get(id) ?? this.byRole('inbox') ?? [...this.mailboxes.values()][0];
	}

	/** Takes what Email/get answered; properties that were not asked for stay. */
	takeEmails(list, state) {
		for (const email of list) {
			const whole = { ...this.emails.get(email.id), ...email };
			this.emails.delete(email.id);
			this.emails.set(email.id, whole);
		}
		if (state) this.states.Email ??= state;
		// The oldest by use; what a view shows is looked up again when it is missing.
		const excess = this.emails.size - MOST_EMAILS;
		if (excess > 0) for (const id of [...this.emails.keys()].slice(0, excess)) this.emails.delete(id);
		this.tell('emails', list.map((email) => email.id));
	}

	takeThreads(list, state) {
		for (const thread of list) this.threads.set(thread.id, thread.emailIds);
		if (this.threads.size > MOST_EMAILS) for (const id of [...this.threads.keys()].slice(0, this.threads.size - MOST_EMAILS)) this.threads.delete(id);
		if (state) this.states.Thread ??= state;
	}

	/** The messages of a thread that are known, oldest first. */
	thread(threadId) {
		return (this.threads.get(threadId) ?? []).map((id) => this.emails.get(id)).filter(Boolean);
	}

	/** Changes a message here before the server has said so: {keywords: {$seen: true}, mailboxIds: {…}} with null for off. */
	presume(id, patch) {
		const email = this.emails.get(id);
		if (!email) return;
		const next = { ...email };
		for (const field of ['keywords', 'mailboxIds']) {
			if (!patch[field]) continue;
			next[field] = { ...email[field] };
			for (const [key, value] of Object.entries(patch[field])) {
				if (value) next[field][key] = true;
				else delete next[field][key];
			}
		}
		this.countAgain(email, next);
		this.emails.set(id, next);
		this.tell('emails', [id]);
	}

	/** The counts of folders follow at once, too. */
	countAgain(before, after) {
		for (const key of new Set([...Object.keys(before.mailboxIds), ...Object.keys(after.mailboxIds)])) {
			const box = this.mailboxes.get(key);
			if (!box) continue;
			const unread = (email) => (email.mailboxIds[key] && !email.keywords.$seen ? 1 : 0);
			const there = (email) => (email.mailboxIds[key] ? 1 : 0);
			box.unreadEmails = Math.max(0, box.unreadEmails + unread(after) - unread(before));
			box.totalEmails = Math.max(0, box.totalEmails + there(after) - there(before));
		}
		this.tell('mailboxes');
	}

	/** Fetches what changed since what is known. Calls during one are answered by one more after it. */
	sync() {
		if (this.syncing) {
			this.again = true;
			return this.syncing;
		}
		this.syncing = this.fetchChanges().finally(() => {
			this.syncing = null;
			if (this.again) {
				this.again = false;
				this.sync().catch(() => {});
			}
		});
		return this.syncing;
	}

	async fetchChanges() {
		// Begun without the server: nothing has a state yet.
		if (!this.states.Mailbox) await this.load();
		const calls = [];
		const want = {};
		const add = (name, group) => {
			want[name] = calls.length;
			calls.push(...group(calls.length));
		};
		add('mailbox', (at) => [
			['Mailbox/changes', { sinceState: this.states.Mailbox, maxChanges: 500 }],
			['Mailbox/get', { '#ids': ref(at, '/created'), properties: MAILBOX }],
			['Mailbox/get', { '#ids': ref(at, '/updated'), properties: MAILBOX }],
		]);
		if (this.states.Email) add('email', () => [['Email/changes', { sinceState: this.states.Email, maxChanges: 500 }]]);
		if (this.states.Thread) {
			add('thread', (at) => [
				['Thread/changes', { sinceState: this.states.Thread, maxChanges: 200 }],
				['Thread/get', { '#ids': ref(at, '/updated') }],
			]);
		}
		const answers = await this.jmap.all(calls, { tolerant: true });
		let more = await this.takeMailboxChanges(answers.slice(want.mailbox, want.mailbox + 3));
		if (want.thread !== undefined) more = this.takeThreadChanges(answers.slice(want.thread, want.thread + 2)) || more;
		if (want.email !== undefined) more = (await this.takeEmailChanges(answers[want.email])) || more;
		await Promise.all([...this.views].map((view) => view.refresh()));
		if (more) this.again = true;
	}

	async takeMailboxChanges([changes, created, updated]) {
		// RFC 8620 §5.2: cannotCalculateChanges: all of it again.
		if (changes.error || created.error || updated.error) {
			await this.loadMailboxes();
			return false;
		}
		applyChanges(this.mailboxes, [...created.list, ...updated.list], changes.destroyed);
		this.states.Mailbox = changes.newState;
		if (created.list.length || updated.list.length || changes.destroyed.length) this.tell('mailboxes');
		return changes.hasMoreChanges;
	}

	takeThreadChanges([changes, got]) {
		if (changes.error) {
			this.threads.clear();
			delete this.states.Thread;
			return false;
		}
		this.states.Thread = changes.newState;
		for (const id of changes.destroyed) this.threads.delete(id);
		if (got.error) for (const id of changes.updated) this.threads.delete(id);
		else for (const thread of got.list) this.threads.set(thread.id, thread.emailIds);
		if (changes.updated.length || changes.destroyed.length) this.tell('threads', [...changes.updated, ...changes.destroyed]);
		return changes.hasMoreChanges;
	}

	async takeEmailChanges(changes) {
		if (changes.error) {
			const ids = [...this.emails.keys()].slice(-500);
			delete this.states.Email;
			const got = await this.jmap.call('Email/get', { ids, properties: ROW });
			for (const id of got.notFound) this.emails.delete(id);
			this.takeEmails(got.list, got.state);
			return false;
		}
		const known = changes.updated.filter((id) => this.emails.has(id));
		const created = changes.created.slice(0, 50);
		const ids = [...known, ...created];
		const got = ids.length ? await this.jmap.call('Email/get', { ids, properties: ROW }) : { list: [] };
		for (const id of changes.destroyed) this.emails.delete(id);
		this.states.Email = changes.newState;
		this.takeEmails(got.list);
		if (changes.destroyed.length) this.tell('emails', changes.destroyed);
		if (created.length) this.tell('arrived', got.list.filter((email) => created.includes(email.id)));
		return changes.hasMoreChanges;
	}
}

/** Puts what was created or updated, takes out what was destroyed. */
export function applyChanges(map, changed, destroyed) {
	for (const object of changed) map.set(object.id, { ...map.get(object.id), ...object });
	for (const id of destroyed) map.delete(id);
	return map;
}
