// One row of the list: made once, filled again and again as the list scrolls. Only text nodes are changed. It doesn't
// know the list, nor what a click does.

import { el, icon } from './dom.js';
import { shortDate, t } from './texts.js';
import { firstName, shortName } from './addresses.js';

/** An empty row. Nothing in it takes the focus: the list is one stop, its keys do the rest. */
export function makeRow() {
	const row = el('div', { class: 'row', role: 'option', draggable: 'true' });
	const parts = {
		mark: el('span', { class: 'mark', 'aria-hidden': 'true' }),
		who: el('span', { class: 'who', dir: 'auto' }),
		count: el('span', { class: 'thread-count' }),
		date: el('span', { class: 'date' }),
		subject: el('span', { class: 'subject', dir: 'auto' }),
		preview: el('span', { class: 'preview', dir: 'auto' }),
		star: el('span', { class: 'star', 'aria-hidden': 'true' }, icon('star')),
		clip: el('span', { class: 'clip' }, icon('clip')),
		state: el('span', { class: 'unseen' }),
	};
	row.append(parts.mark, el('span', { class: 'line first' }, parts.who, parts.count, parts.clip, parts.date), el('span', { class: 'line second' }, parts.subject, parts.star), parts.preview, parts.state);
	row.parts = parts;
	return row;
}

/**
 * Fills a row with a message (and what else is in its thread); without one it shows that it is coming. What is shown already stays: drawn again,
 * all rows would be laid out again.
 */
export function fillRow(row, index, total, email, { thread = [], selected, active, open, snippet, outgoing }) {
	const { parts } = row;
	const shown = [index, total, email, selected, active, open, snippet, outgoing, new Date().getDate(), ...thread];
	if (row.id && shown.length === row.shown.length && shown.every((one, at) => one === row.shown[at])) return;
	Object.assign(row, { index, shown });
	row.id = `row-${index}`;
	row.setAttribute('aria-posinset', index + 1);
	row.setAttribute('aria-setsize', total);
	row.setAttribute('aria-selected', Boolean(selected));
	row.classList.toggle('active', active);
	row.classList.toggle('open', open);
	row.classList.toggle('blank', !email);
	if (!email) {
		for (const name of ['who', 'count', 'date', 'subject', 'preview']) parts[name].textContent = '';
		parts.mark.textContent = '';
		parts.state.textContent = t('loading');
		row.classList.remove('unread', 'starred');
		parts.clip.hidden = true;
		return;
	}
	const members = thread.length ? thread : [email];
	const unread = members.some((one) => !one.keywords.$seen && !one.keywords.$draft);
	const starred = members.some((one) => one.keywords.$flagged);
	row.classList.toggle('unread', unread);
	row.classList.toggle('starred', starred);
	parts.clip.hidden = !members.some((one) => one.hasAttachment);
	const who = people(email, members, outgoing);
	parts.who.textContent = who;
	parts.mark.textContent = selected ? '✓' : letter(who);
	parts.mark.className = `mark tint-${tint(who)}`;
	parts.count.textContent = members.length > 1 ? members.length : '';
	parts.date.textContent = shortDate(email.receivedAt);
	mark(parts.subject, snippet?.subject, email.subject || t('noSubject'));
	mark(parts.preview, snippet?.preview, email.preview || '');
	parts.state.textContent = [unread && t('unread'), starred && t('starred'), !parts.clip.hidden && t('attachment')].filter(Boolean).join(', ');
}

function people(email, members, outgoing) {
	if (outgoing || email.keywords.$draft) return (email.to ?? []).map(shortName).join(', ') || t('draft');
	const names = [...new Map(members.filter((one) => one.from?.length).map((one) => [one.from[0].email, one.from[0]])).values()];
	if (names.length > 1) return names.slice(-3).map(firstName).join(', ');
	return shortName(email.from?.[0]) || t('noSender');
}

function letter(name) {
	return (/[\p{L}\p{N}]/u.exec(name)?.[0] ?? '?').toUpperCase();
}

function tint(name) {
	let sum = 0;
	for (let at = 0; at < name.length; at++) sum = (sum * 31 + name.charCodeAt(at)) >>> 0;
	return sum % 8;
}

/**
 * Puts a search snippet into a node. RFC 8621 §5: it is HTML in which `<mark>` is the only element; the rest is escaped.
 * It is taken apart as text: whatever else is in it is shown, never parsed.
 */
export function mark(node, snippet, plain) {
	if (!snippet) {
		if (node.childNodes.length === 1 && node.firstChild.nodeType === 3) node.firstChild.data = plain;
		else node.textContent = plain;
		return;
	}
	const unescape = (text) => text.replace(/&(lt|gt|quot|#39|apos|amp);/g, (_, name) => ({ lt: '<', gt: '>', quot: '"', '#39': "'", apos: "'", amp: '&' }[name]));
	node.replaceChildren(...snippet.split(/<mark>(.*?)<\/mark>/s).map((text, at) => (at % 2 ? el('mark', {}, unescape(text)) : unescape(text))));
}
