// Where a link leads, and whether it says so: a name in its words that is not where it goes, letters that look like others
// (punycode), a name before an @. It doesn't know any list of bad places.

/** The host that the words of a link name, or null. */
export function named(text) {
	const words = text.trim().replace(/\s+/g, ' ');
	if (words.length > 300 || words.includes(' ')) return null;
	const found = /^(?:https?:\/\/)?((?:[\p{L}\p{N}-]+\.)+[\p{L}]{2,})(?::\d+)?(?:[/?#].*)?$/iu.exec(words);
	return found ? found[1].toLowerCase() : null;
}

/** 'elsewhere', 'letters', 'userinfo', or null where nothing is odd. */
export function odd(text, href) {
	let url;
	try {
		url = new URL(href);
	} catch {
		return null;
	}
	if (!/^https?:$/.test(url.protocol)) return null;
	if (url.username) return 'userinfo';
	if (/(^|\.)xn--/.test(url.hostname)) return 'letters';
	const host = named(text);
	if (!host) return null;
	const bare = (name) => name.replace(/^www\./, '');
	const [says, goes] = [bare(host), bare(url.hostname)];
	return says === goes || goes.endsWith(`.${says}`) || says.endsWith(`.${goes}`) ? null : 'elsewhere';
}
