// The JMAP client (RFC 8620): the session, requests of several calls with result references, uploads with progress,
// addresses of downloads. It knows how to ask, not what: no method's meaning is in here, and it keeps no objects.

const CORE = 'urn:ietf:params:jmap:core';
export const MAIL = 'urn:ietf:params:jmap:mail';
export const SUBMISSION = 'urn:ietf:params:jmap:submission';
export const VACATION = 'urn:ietf:params:jmap:vacationresponse';
export const VAPID = 'urn:ietf:params:jmap:webpush-vapid';
export const JOURNEY = 'urn:postrider:jmap:journey';

const needs = { Identity: SUBMISSION, EmailSubmission: SUBMISSION, VacationResponse: VACATION, Journey: JOURNEY };

/** Every POST carries it: a form of another site can't set a header, and its scripts would be asked about first (CORS). */
export const OURS = { 'Postrider-Request': '1' };

/** What a method, a request or the way to the server refused. `kind` is JMAP's error type, 'network' or 'login'. */
export class JmapError extends Error {
	constructor(kind, detail) {
		super(detail || kind);
		this.kind = kind;
	}
}

/** Refers to the answer of the call with that place in the same `all` (RFC 8620 §3.7). */
export const ref = (call, path) => ({ call, path });

export class Jmap {
	/** `base`: where the session object was found. */
	constructor(session, base = '/jmap/session') {
		this.session = session;
		for (const name of ['apiUrl', 'downloadUrl', 'uploadUrl', 'eventSourceUrl']) session[name] = here(session[name], base);
		this.account = session.primaryAccounts?.[MAIL] ?? Object.keys(session.accounts)[0];
		this.limits = session.capabilities[CORE] ?? {};
		this.waiting = [];
		this.inFlight = 0;
	}

	/** RFC 8620 §2.2: the session is found at a well-known place. */
	static async connect() {
		const answer = await reach('/.well-known/jmap', { headers: { Accept: 'application/json' } });
		return new Jmap(await answer.json(), new URL(answer.url).pathname);
	}

	has(capability) {
		return capability in (this.session.accounts[this.account]?.accountCapabilities ?? {});
	}

	/** One call; calls of the same moment share a request. */
	async call(method, args) {
		return (await this.all([[method, args]]))[0];
	}

	/** A call of `…/set` of which nothing may be refused. */
	async set(method, args) {
		const answer = await this.call(method, args);
		const refused = [answer.notCreated, answer.notUpdated, answer.notDestroyed].flatMap((one) => Object.values(one ?? {}))[0];
		if (refused) throw new JmapError(refused.type, refused.description);
		return answer;
	}

	/**
	 * Calls that belong together and go in one request; an argument `'#name': ref(0, '/path')` takes its value from an
	 * answer. With `tolerant`, a refused call's answer is its error object; otherwise the first refusal is thrown.
	 */
	all(calls, { tolerant = false } = {}) {
		return new Promise((resolve, reject) => {
			this.waiting.push({ calls, tolerant, resolve, reject });
			if (this.waiting.length === 1) queueMicrotask(() => this.flush());
		});
	}

	flush() {
		const most = this.limits.maxCallsInRequest ?? 16;
		const waiting = this.waiting.splice(0);
		let batch = [];
		let size = 0;
		for (const group of waiting) {
			if (size && size + group.calls.length > most) {
				this.send(batch);
				[batch, size] = [[], 0];
			}
			batch.push(group);
			size += group.calls.length;
		}
		this.send(batch);
	}

	async send(groups) {
		const { using, methodCalls } = encode(groups, this.account);
		try {
			const answer = await reach(this.session.apiUrl, {
				method: 'POST',
				headers: { 'Content-Type': 'application/json', Accept: 'application/json', ...OURS },
				body: JSON.stringify({ using, methodCalls }),
			});
			deal(groups, (await answer.json()).methodResponses);
		} catch (error) {
			for (const group of groups) group.reject(error);
		}
	}

	/** Where a blob is (RFC 8620 §6.2). */
	download(blobId, name = 'file', type = 'application/octet-stream') {
		return fill(this.session.downloadUrl, { accountId: this.account, blobId, name: name || 'file', type });
	}

	events(types, ping = 30) {
		return fill(this.session.eventSourceUrl, { types: types.join(','), closeafter: 'no', ping });
	}

	/** RFC 8620 §6.1. `fetch` can't tell how far an upload is, so this is the old way. Gives {promise, abort}. */
	upload(file, onprogress) {
		const request = new XMLHttpRequest();
		const promise = new Promise((resolve, reject) => {
			request.open('POST', fill(this.session.uploadUrl, { accountId: this.account }));
			request.setRequestHeader('Content-Type', file.type || 'application/octet-stream');
			for (const [name, value] of Object.entries(OURS)) request.setRequestHeader(name, value);
			request.responseType = 'json';
			request.upload.onprogress = (event) => onprogress?.(event.loaded / (event.total || 1));
			request.onload = () => (request.status < 300 && request.response?.blobId
				? resolve(request.response) : reject(new JmapError(request.status === 401 ? 'login' : 'upload', request.response?.detail)));
			request.onerror = () => reject(new JmapError('network'));
			request.onabort = () => reject(new JmapError('aborted'));
			request.send(file);
		});
		return { promise, abort: () => request.abort() };
	}
}

/** The request's `using` and `methodCalls`: every call gets a name of its own, references are written out. */
export function encode(groups, accountId) {
	const using = new Set([CORE, MAIL]);
	const methodCalls = [];
	groups.forEach((group, g) => {
		group.calls.forEach(([method, args], c) => {
			const capability = needs[method.split('/')[0]];
			if (capability) using.add(capability);
			const whole = /^(Core|PushSubscription)\//.test(method) ? {} : { accountId };
			for (const [name, value] of Object.entries(args)) {
				whole[name] = name.startsWith('#') ? { resultOf: `${g}.${value.call}`, name: group.calls[value.call][0], path: value.path } : value;
			}
			methodCalls.push([method, whole, `${g}.${c}`]);
		});
	});
	return { using: [...using], methodCalls };
}

/** Hands each group its answers. A call may have further, implicit answers (RFC 8621 §7.5); the first one counts. */
export function deal(groups, responses) {
	const found = new Map();
	for (const [name, value, id] of responses) if (!found.has(id)) found.set(id, name === 'error' ? { error: value.type, ...value } : value);
	groups.forEach((group, g) => {
		const answers = group.calls.map((_, c) => found.get(`${g}.${c}`) ?? { error: 'serverFail' });
		const refused = answers.find((answer) => answer.error);
		if (refused && !group.tolerant) group.reject(new JmapError(refused.error, refused.description));
		else group.resolve(answers);
	});
}

/** `fetch` whose refusals are errors with a kind. */
export async function reach(url, options) {
	let answer;
	try {
		answer = await fetch(url, { credentials: 'same-origin', ...options });
	} catch {
		throw new JmapError('network');
	}
	if (answer.ok) return answer;
	const problem = await answer.json().catch(() => ({}));
	throw Object.assign(new JmapError(answer.status === 401 ? 'login' : answer.status >= 502 && problem.code !== 'outside' ? 'network' : problem.type || 'request', problem.detail), { problem });
}

/**
 * An address of the session as one on the page's own server, whatever the server is called: the page speaks to no other, and
 * its policy would refuse. Relative ones are meant from the session object (RFC 8620 §2). Braces stay as they are.
 */
export function here(address, base) {
	const path = address.replace(/^https?:\/\/[^/]+/i, '');
	return path.startsWith('/') ? path : base.replace(/[^/]*$/, '') + path;
}

/** RFC 8620 §1.4: a UTCDate has no fraction that is zero. */
export const stamp = (date) => date.toISOString().replace(/\.\d+Z$/, 'Z');

/** RFC 6570 level 1: what the session's addresses use. */
export function fill(template, values) {
	return template.replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(values[name] ?? ''));
}
