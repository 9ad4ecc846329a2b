// What an answer begins with: recipients, subject, threading headers, and the quoted text, plain and as HTML nodes. It
// sends and shows nothing; who we are is passed in.

import { same, unique, written } from './addresses.js';

/** `Re:` once (RFC 5322 §3.6.5), also where others write it in their language. */
export function replySubject(subject) {
	return `Re: ${strip(subject, /^\s*(re|aw|sv|antw|odp|vs|ref)(\[\d+\])?\s*:\s*/i)}`.trimEnd();
}

export function forwardSubject(subject) {
	return `Fwd: ${strip(subject, /^\s*(fwd?|wg|vb|tr|enc|rv)\s*:\s*/i)}`.trimEnd();
}

function strip(subject, prefix) {
	let rest = subject ?? '';
	while (prefix.test(rest)) rest = rest.replace(prefix, '');
	return rest.trim();
}

/**
 * RFC 5322 §3.6.4: In-Reply-To is the parent's Message-ID; References are the parent's and that; where the parent has
 * none, its In-Reply-To serves if it names one message. Long ones keep their first and their last.
 */
export function threading(email) {
	const parent = email.messageId ?? [];
	if (!parent.length) return { inReplyTo: null, references: null };
	const before = email.references?.length ? email.references : email.inReplyTo?.length === 1 ? email.inReplyTo : [];
	const all = [...before, ...parent].filter((id, at, ids) => ids.indexOf(id) === at);
	return { inReplyTo: parent, references: all.length > 40 ? [all[0], ...all.slice(-39)] : all };
}

/**
 * To whom an answer goes. `own` are our addresses: they are left out, unless nobody else is left. Mail-Reply-To and
 * Mail-Followup-To are what mailing lists' readers ask for; Reply-To is the standard's (RFC 5322 §3.6.2).
 */
export function recipients(email, kind, own) {
	const isOwn = (address) => own.some((mine) => same(mine, address.email));
	const list = (name) => email[`header:${name}:asAddresses`] ?? [];
	const replyTo = list('Mail-Reply-To').length ? list('Mail-Reply-To') : email.replyTo?.length ? email.replyTo : email.from ?? [];
	// An answer to what we have sent goes to those to whom we sent it.
	const mine = (email.from ?? []).some(isOwn);
	if (kind === 'reply') return mine && email.to?.length ? { to: unique(email.to), cc: [] } : { to: unique(replyTo), cc: [] };
	const followup = list('Mail-Followup-To');
	if (followup.length && !mine) return { to: unique(followup, own), cc: [] };
	if (mine) {
		const to = unique(email.to ?? [], own);
		const cc = unique(email.cc ?? [], [...own, ...to.map((one) => one.email)]);
		return { to: to.length ? to : unique(email.to ?? []), cc };
	}
	const to = unique(replyTo, own);
	const cc = unique([...(email.to ?? []), ...(email.cc ?? [])], [...own, ...to.map((one) => one.email)]);
	if (!to.length) return cc.length ? { to: cc, cc: [] } : { to: unique(replyTo), cc: [] };
	return { to, cc };
}

/** Which of our identities an answer comes from: the one that was written to, else the first. */
export function identityFor(email, identities) {
	const addressed = [...(email.to ?? []), ...(email.cc ?? []), ...(email.bcc ?? []), ...(email.from ?? [])];
	return identities.find((identity) => addressed.some((one) => same(one.email, identity.email))) ?? identities[0];
}

/** The text with `> ` before each line; a quote in it gets `>` alone, and the signature goes. */
export function quoted(text) {
	const lines = text.replace(/\r\n?/g, '\n').replace(/\n+$/, '').split('\n');
	const end = lines.lastIndexOf('-- ');
	const kept = end > 0 ? lines.slice(0, end) : lines;
	while (kept.length && !kept.at(-1).trim()) kept.pop();
	return kept.map((line) => (line.startsWith('>') ? `>${line}` : line ? `> ${line}` : '>')).join('\n');
}

/** The lines above a forwarded text: [name, value]. */
export function forwardHead(email, date) {
	return [['from', (email.from ?? []).map(written).join(', ')], ['date', date], ['subject', email.subject ?? ''], ['to', (email.to ?? []).map(written).join(', ')],
		['cc', (email.cc ?? []).map(written).join(', ')]].filter(([, value]) => value);
}

/** The plain text of a message: its text part, or what its HTML says. */
export function textOf(email, parse) {
	const parts = email.textBody ?? [];
	return parts.map((part) => {
		const value = email.bodyValues?.[part.partId]?.value;
		if (value === undefined) return '';
		return /html/i.test(part.type) ? toText(parse(value)) : value;
	}).filter(Boolean).join('\n');
}

const blocks = /^(p|div|section|article|header|footer|main|h[1-6]|ul|ol|dl|li|dt|dd|tr|table|blockquote|pre|center|address|figure|hr|details|summary)$/;

/** What a tree of HTML says as plain text: paragraphs apart, quotes with `>`, links with their address. */
export function toText(root) {
	const state = { out: [''], prefix: '', pre: false };
	walk(root, state, 0);
	return state.out.join('\n').replace(/(?<!^--)[ \t]+$/gm, '').replace(/\n{3,}/g, '\n\n').replace(/^\n+|\n+$/g, '');
}

function fresh(state) {
	if (state.out.at(-1) !== state.prefix) state.out.push(state.prefix);
}

function say(state, text) {
	state.out[state.out.length - 1] += text;
}

function walk(node, state, depth) {
	for (const child of node.childNodes) {
		if (child.nodeType === 3) {
			const line = state.out.at(-1);
			if (state.pre) {
				const [first, ...rest] = child.data.split('\n');
				say(state, first);
				for (const more of rest) state.out.push(state.prefix + more);
				continue;
			}
			const text = child.data.replace(/[ \t\r\n]+/g, ' ');
			say(state, line === state.prefix || line.endsWith(' ') ? text.trimStart() : text);
			continue;
		}
		if (child.nodeType !== 1 || depth > 200) continue;
		const name = child.localName;
		if (name === 'br') state.out.push(state.prefix);
		else if (name === 'hr') {
			fresh(state);
			say(state, '----------');
			state.out.push(state.prefix);
		} else if (name === 'img') say(state, child.getAttribute('alt') ? `[${child.getAttribute('alt')}]` : '');
		else if (name === 'blockquote') {
			const before = state.prefix;
			if (state.out.at(-1) === before) state.out.pop();
			state.prefix = `>${before.startsWith('>') ? before : ` ${before}`}`;
			state.out.push(state.prefix);
			walk(child, state, depth + 1);
			if (state.out.at(-1) === state.prefix) state.out.pop();
			state.prefix = before;
			state.out.push(before);
		} else if (name === 'a') {
			walk(child, state, depth + 1);
			const href = child.getAttribute('href') ?? '';
			const words = child.textContent.trim();
			if (/^https?:/.test(href) && words && href.replace(/\/$/, '') !== words.replace(/\/$/, '')) say(state, ` <${href}>`);
		} else if (blocks.test(name)) {
			fresh(state);
			if (/^(p|h[1-6]|table|ul|ol|dl)$/.test(name) && state.out.length > 1 && state.out.at(-2) !== state.prefix && state.out.at(-1) === state.prefix) state.out.push(state.prefix);
			if (name === 'li') say(state, node.localName === 'ol' ? `${[...node.children].indexOf(child) + 1}. ` : '* ');
			const pre = state.pre;
			state.pre ||= name === 'pre';
			walk(child, state, depth + 1);
			state.pre = pre;
			fresh(state);
		} else {
			walk(child, state, depth + 1);
			if (name === 'td' || name === 'th') say(state, '  ');
		}
	}
}
