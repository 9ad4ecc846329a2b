// Addresses as people write and read them: names for display, a list typed into a field taken apart (the useful part
// of RFC 5322 §3.4), and written again. It doesn't check whether an address exists.

/** How a person is called in a row. */
export function shortName(address) {
	if (!address) return '';
	return address.name?.trim() || address.email || '';
}

export function firstName(address) {
	const name = shortName(address);
	return name.includes('@') ? name.split('@')[0] : name.split(/[\s,]+/)[0] || name;
}

/** `Ada Lovelace <ada@blue.example>`, quoted where it has to be. */
export function written({ name, email }) {
	const plain = name?.trim();
	if (!plain || plain === email) return email;
	return /^[\p{L}\p{N} .'_-]+$/u.test(plain) ? `${plain} <${email}>` : `"${plain.replace(/(["\\])/g, '\\$1')}" <${email}>`;
}

export const same = (a, b) => (a ?? '').toLowerCase() === (b ?? '').toLowerCase();

/** Looks like an address: enough to warn about a slip of the fingers. */
export const plausible = (email) => /^[^\s@<>(),;:"[\]]+@[^\s@<>(),;:"]+$/.test(email) || /^"[^"]+"@[^\s@]+$/.test(email);

/** What was typed or pasted into a field of recipients, as [{name, email}]. Groups are opened. */
export function parse(text) {
	const found = [];
	for (const part of split(text)) {
		const member = part.replace(/^[^"<>@,;]*:(?=.*@)/, '').trim();
		const angle = /^(.*?)<([^<>]*)>\s*$/s.exec(member);
		const email = (angle ? angle[2] : member).trim();
		if (!email) continue;
		const name = angle ? angle[1].trim().replace(/^"((?:[^"\\]|\\.)*)"$/s, '$1').replace(/\\(.)/g, '$1') : '';
		found.push({ name: name || null, email });
	}
	return found;
}

/** At commas, semicolons and line ends that are in no quotes and no angle brackets. */
function split(text) {
	const parts = [''];
	let quoted = false;
	let angled = false;
	for (let at = 0; at < text.length; at++) {
		const letter = text[at];
		if (quoted && letter === '\\') {
			parts[parts.length - 1] += letter + (text[++at] ?? '');
			continue;
		}
		if (letter === '"') quoted = !quoted;
		else if (!quoted && letter === '<') angled = true;
		else if (!quoted && letter === '>') angled = false;
		if (!quoted && !angled && /[,;\n]/.test(letter)) parts.push('');
		else parts[parts.length - 1] += letter;
	}
	return parts;
}

/** Each address once, in order, the first name wins; with name and email alone, as a server takes them (RFC 8621 §4.1.2.3). */
export function unique(addresses, without = []) {
	const seen = new Set(without.map((address) => (address.email ?? address).toLowerCase()));
	return addresses.filter(({ email }) => {
		const key = (email ?? '').toLowerCase();
		return key && !seen.has(key) && seen.add(key);
	}).map(({ name, email }) => ({ name: name || null, email }));
}
