// A plain text shown: links that can be clicked, quotes by their depth, a signature apart. Made of text nodes, so it needs
// no frame. It doesn't wrap or change the text.

import { el } from './dom.js';
import { safeLink } from './sanitise.js';

const link = /\b(?:https?:\/\/|www\.)[^\s<>"']+|\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+\b/gi;
const MOST = 500_000;

/** Text with its links, as nodes. */
export function linked(text) {
	const out = [];
	let at = 0;
	for (const found of text.matchAll(link)) {
		// A full stop or bracket at the end belongs to the sentence.
		let words = found[0].replace(/[.,;:!?'")\]]+$/, '');
		if (found[0].slice(words.length).startsWith(')') && words.includes('(')) words += ')';
		const address = words.includes('@') && !words.includes('/') ? `mailto:${words}` : /^www\./i.test(words) ? `https://${words}` : words;
		const href = safeLink(address);
		if (!href) continue;
		out.push(text.slice(at, found.index), el('a', { href, target: '_blank', rel: 'noopener noreferrer', referrerpolicy: 'no-referrer' }, words));
		at = found.index + words.length;
	}
	out.push(text.slice(at));
	return out.filter((part) => part !== '');
}

/** The whole text as an element. */
export function plainText(text) {
	const root = el('div', { class: 'plain', dir: 'auto' });
	const lines = text.slice(0, MOST).replace(/\r\n?/g, '\n').split('\n');
	let depth = -1;
	let block = [];
	let signature = false;
	const flush = () => {
		if (!block.length) return;
		const body = block.join('\n');
		if (depth > 0) root.append(quote(body, depth));
		else root.append(el('div', { class: signature ? 'signature' : 'part', dir: 'auto' }, ...linked(body)));
		block = [];
	};
	for (const line of lines) {
		const marks = /^(?:>[ ]?)+/.exec(line)?.[0] ?? '';
		const level = Math.min(6, (marks.match(/>/g) ?? []).length);
		const begins = level === 0 && line === '-- ';
		if (level !== depth || begins) {
			flush();
			depth = level;
			if (begins) signature = true;
			else if (level) signature = false;
		}
		block.push(line.slice(marks.length));
	}
	flush();
	return root;
}

function quote(text, depth) {
	const inside = el('div', { class: `quote quote-${depth}`, dir: 'auto' }, ...linked(text));
	// Long quotes are folded: they have been read before.
	if (text.split('\n').length <= 12) return inside;
	return el('details', { class: 'folded' }, el('summary', {}, '› …'), inside);
}
