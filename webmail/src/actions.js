// What happens to messages: flags, moving, deleting. Each is presumed here at once, then asked of the server, taken back
// where the server refuses, and can be undone for a while. It draws nothing but the word about it (`notice`).

import { JmapError } from './jmap.js';
import { t } from './texts.js';
import { folderName } from './folders.js';

export class Actions {
	/** `notice` says what was done; `undone()` is told when it was taken back. */
	constructor(store, notice, undone) {
		Object.assign(this, { store, notice, undone });
	}

	/** Applies {keywords, mailboxIds} patches, by message: Map id → patch. */
	async apply(patches) {
		const before = new Map([...patches.keys()].map((id) => [id, this.store.emails.get(id)]));
		for (const [id, patch] of patches) this.store.presume(id, patch);
		const most = this.store.jmap.limits.maxObjectsInSet ?? 500;
		const entries = [...patches];
		let refused = null;
		for (let at = 0; at < entries.length; at += most) {
			const part = entries.slice(at, at + most);
			try {
				const answer = await this.store.jmap.call('Email/set', { update: Object.fromEntries(part.map(([id, patch]) => [id, written(patch)])) });
				for (const [id, error] of Object.entries(answer.notUpdated ?? {})) {
					if (before.get(id)) this.store.takeEmails([before.get(id)]);
					refused = error;
				}
			} catch (error) {
				for (const [id] of part) if (before.get(id)) this.store.takeEmails([before.get(id)]);
				throw error;
			}
		}
		if (refused) throw new JmapError(refused.type, refused.description);
	}

	flag(ids, keyword, on) {
		const wanted = ids.filter((id) => Boolean(this.store.emails.get(id)?.keywords[keyword]) !== on);
		if (!wanted.length) return Promise.resolve();
		return this.apply(new Map(wanted.map((id) => [id, { keywords: { [keyword]: on || null } }])));
	}

	/** Moves out of `from` (out of everything, when there is none) into `to`; `keywords` change with it. */
	async move(ids, from, to, keywords = {}) {
		const patches = new Map();
		const back = new Map();
		for (const id of ids) {
			const email = this.store.emails.get(id);
			if (!email) continue;
			const leave = from && email.mailboxIds[from] ? [from] : Object.keys(email.mailboxIds);
			const mailboxIds = Object.fromEntries(leave.map((box) => [box, null]));
			const undo = Object.fromEntries(leave.map((box) => [box, true]));
			if (!email.mailboxIds[to]) undo[to] = null;
			mailboxIds[to] = true;
			if (leave.includes(to)) undo[to] = true;
			patches.set(id, { mailboxIds, keywords });
			back.set(id, { mailboxIds: undo, keywords: Object.fromEntries(Object.keys(keywords).map((name) => [name, email.keywords[name] || null])) });
		}
		const done = this.apply(patches);
		this.notice(t('movedTo', { n: patches.size, folder: folderName(this.store.mailboxes.get(to)) }), {
			label: t('undo'),
			act: () => this.apply(back).then(() => this.undone()),
		});
		await done;
	}

	/** For good. There is no way back, so whoever calls this has asked. */
	async destroy(ids) {
		const answer = await this.store.jmap.call('Email/set', { destroy: ids });
		for (const id of answer.destroyed ?? []) this.store.emails.delete(id);
		this.notice(t('destroyed', { n: (answer.destroyed ?? []).length }));
	}
}

/** As a patch object (RFC 8620 §5.3): `~` and `/` of a key are escaped. */
export function written(patch) {
	const out = {};
	for (const [field, values] of Object.entries(patch)) {
		for (const [key, value] of Object.entries(values)) out[`${field}/${key.replace(/~/g, '~0').replace(/\//g, '~1')}`] = value;
	}
	return out;
}
