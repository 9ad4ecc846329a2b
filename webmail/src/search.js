// The grammar of a search, and what it means as a JMAP filter (RFC 8621 §4.4.1). Words and operators are all required;
// `OR` stands between two, `-` before one that must not be. What is half typed counts for nothing yet.
//
//   from: to: cc: bcc: subject: body:   a word or "several words"
//   has:attachment   is:unread read flagged answered draft   in:FOLDER (in:all: also trash and junk)
//   before: after: on:   2026-05-31, 2026-05, 2026, 31.5.2026, today, yesterday, 7d 2w 3m 1y (ago)
//   larger: smaller:   5M, 300K
//
// It doesn't ask the server; folders are passed in.

const fields = new Set(['from', 'to', 'cc', 'bcc', 'subject', 'body']);
const keywords = { read: ['hasKeyword', '$seen'], unread: ['notKeyword', '$seen'], flagged: ['hasKeyword', '$flagged'], starred: ['hasKeyword', '$flagged'],
	answered: ['hasKeyword', '$answered'], forwarded: ['hasKeyword', '$forwarded'], draft: ['hasKeyword', '$draft'] };

/** [{name, value, not} or {or: true}]: the words of a search. */
export function tokens(text) {
	const out = [];
	const pattern = /(-?)(?:([A-Za-z]+):)?(?:"([^"]*)"?|([^\s"]+))|(-?)([A-Za-z]+):(?=\s|$)/g;
	for (const found of text.matchAll(pattern)) {
		const [, not, name, quoted, plain, , empty] = found;
		if (empty) continue;
		if (!name && !not && plain === 'OR') {
			out.push({ or: true });
			continue;
		}
		const value = quoted ?? plain ?? '';
		// An operator that is not ours is a word with a colon in it, and one without a value isn't finished.
		if (plain !== undefined && !name && /^[A-Za-z]+:$/.test(plain) && known(plain.slice(0, -1))) continue;
		if (!value.trim()) continue;
		if (name && !known(name)) out.push({ name: 'text', value: `${name}:${value}`, not: Boolean(not) });
		else out.push({ name: (name ?? 'text').toLowerCase(), value, not: Boolean(not), quoted: quoted !== undefined });
	}
	return out;
}

const known = (name) => fields.has(name.toLowerCase()) || ['has', 'is', 'in', 'before', 'after', 'on', 'larger', 'smaller'].includes(name.toLowerCase());

/** The filter of a search, null for none. `folders` are [{id, names: [...], role}]. */
export function filter(text, folders = [], now = new Date()) {
	const parts = [];
	let everywhere = false;
	let join = false;
	for (const token of tokens(text)) {
		if (token.or) {
			join = parts.length > 0;
			continue;
		}
		if (token.name === 'in') everywhere = true;
		const condition = meaning(token, folders, now);
		if (!condition) continue;
		const one = token.not ? { operator: 'NOT', conditions: [condition] } : condition;
		if (join) {
			const last = parts.pop();
			parts.push(last.operator === 'OR' ? { operator: 'OR', conditions: [...last.conditions, one] } : { operator: 'OR', conditions: [last, one] });
		} else parts.push(one);
		join = false;
	}
	if (!parts.length) return null;
	const away = folders.filter((box) => box.role === 'trash' || box.role === 'junk').map((box) => box.id);
	if (!everywhere && away.length) parts.push({ inMailboxOtherThan: away });
	return parts.length === 1 ? parts[0] : { operator: 'AND', conditions: parts };
}

function meaning({ name, value }, folders, now) {
	const low = value.toLowerCase();
	if (name === 'text' || fields.has(name)) return { [name]: value };
	if (name === 'has') return low.length > 2 && 'attachments'.startsWith(low) ? { hasAttachment: true } : null;
	if (name === 'is') return keywords[low] ? { [keywords[low][0]]: keywords[low][1] } : null;
	if (name === 'in') {
		const names = (box) => [...box.names, box.role].filter(Boolean).map((one) => one.toLowerCase());
		const box = folders.find((one) => names(one).includes(low)) ?? folders.find((one) => names(one).some((other) => other.startsWith(low)));
		return box ? { inMailbox: box.id } : null;
	}
	if (name === 'larger' || name === 'smaller') {
		const found = /^(\d+(?:\.\d+)?)\s*([kmg]?)b?$/i.exec(value);
		if (!found) return null;
		const octets = Math.round(Number(found[1]) * { '': 1, k: 1e3, m: 1e6, g: 1e9 }[found[2].toLowerCase()]);
		return name === 'larger' ? { minSize: octets } : { maxSize: octets };
	}
	const span = day(low, now);
	if (!span) return null;
	const stamp = (date) => date.toISOString().replace(/\.\d+Z$/, 'Z');
	if (name === 'before') return { before: stamp(span[0]) };
	if (name === 'after') return { after: stamp(span[0]) };
	return { operator: 'AND', conditions: [{ after: stamp(span[0]) }, { before: stamp(span[1]) }] };
}

/** From and to of a day, month or year, here and now. */
export function day(text, now) {
	const midnight = (year, month, date) => new Date(year, month, date);
	const [year, month, date] = [now.getFullYear(), now.getMonth(), now.getDate()];
	if (text === 'today') return [midnight(year, month, date), midnight(year, month, date + 1)];
	if (text === 'yesterday') return [midnight(year, month, date - 1), midnight(year, month, date)];
	let found = /^(\d{1,4})([dwmy])$/.exec(text);
	if (found) {
		const back = Number(found[1]);
		const from = { d: midnight(year, month, date - back), w: midnight(year, month, date - 7 * back), m: midnight(year, month - back, date), y: midnight(year - back, month, date) }[found[2]];
		return [from, midnight(from.getFullYear(), from.getMonth(), from.getDate() + 1)];
	}
	found = /^(\d{4})(?:[-/](\d{1,2})(?:[-/](\d{1,2}))?)?$/.exec(text);
	const german = /^(\d{1,2})\.(\d{1,2})\.(\d{4})$/.exec(text);
	if (german) found = [null, german[3], german[2], german[1]];
	if (!found) return null;
	const [y, m, d] = found.slice(1).map((part) => (part === undefined ? undefined : Number(part)));
	if (m !== undefined && (m < 1 || m > 12)) return null;
	if (d !== undefined && (d < 1 || d > 31)) return null;
	if (d !== undefined) return [midnight(y, m - 1, d), midnight(y, m - 1, d + 1)];
	if (m !== undefined) return [midnight(y, m - 1, 1), midnight(y, m, 1)];
	return [midnight(y, 0, 1), midnight(y + 1, 0, 1)];
}
