// Leaving a mailing list: by one click (RFC 8058) through the server, which alone may reach other hosts, or by a mail
// (RFC 2369). It never opens a list's page by itself.

import { OURS, reach } from './jmap.js';

/** How a message's list may be left: {kind: 'click' | 'mail' | 'page', address}, or null. */
export function wayOut(email) {
	const addresses = email['header:List-Unsubscribe:asURLs'] ?? [];
	const https = addresses.find((address) => /^https:\/\//i.test(address));
	// RFC 8058 §3.1: one click is meant only with this header, and only over https.
	const oneClick = /^\s*List-Unsubscribe\s*=\s*One-Click\s*$/i.test(email['header:List-Unsubscribe-Post:asText'] ?? '');
	if (https && oneClick) return { kind: 'click', address: https };
	const mail = addresses.find((address) => /^mailto:/i.test(address));
	if (mail) return { kind: 'mail', address: mail };
	return https ? { kind: 'page', address: https } : null;
}

/** RFC 8058 §3.2: a POST with exactly this body, without cookies of anybody: the server sends it, where this message says so. */
export function click(address, emailId) {
	return reach(`/proxy?url=${encodeURIComponent(address)}&email=${encodeURIComponent(emailId)}`, {
		method: 'POST', headers: { 'Content-Type': 'application/x-www-form-urlencoded', ...OURS }, body: 'List-Unsubscribe=One-Click',
	});
}

/** The parts of a mailto: address (RFC 6068). */
export function mailto(address) {
	const [to, query = ''] = address.replace(/^mailto:/i, '').split('?');
	const decode = (text) => {
		try {
			return decodeURIComponent(text);
		} catch {
			return text;
		}
	};
	const fields = Object.fromEntries(query.split('&').filter(Boolean).map((pair) => {
		const [name, ...value] = pair.split('=');
		return [decode(name).toLowerCase(), decode(value.join('='))];
	}));
	return { to: [decode(to), fields.to].filter(Boolean).join(', '), cc: fields.cc ?? '', subject: fields.subject ?? '', body: fields.body ?? '' };
}
