// Making elements. The only way in which the page makes any: by name, attributes and text nodes, so nothing that came
// from outside is ever parsed as HTML here. It doesn't hold state and knows nothing of mail.

/** `el('p', {class: 'x', onclick: f}, 'text', child)`; null and false children and attributes are left out. */
export function el(name, attributes = {}, ...children) {
	const node = document.createElement(name);
	if (name === 'button') node.type = name;
	set(node, attributes);
	node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
	return node;
}

/** Sets attributes; `on…` are listeners, `true` is an attribute without value, null and false take one away. */
export function set(node, attributes) {
	for (const [name, value] of Object.entries(attributes)) {
		if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
		else if (name === 'value') node.value = value;
		else if (value === null || value === undefined || value === false) node.removeAttribute(name);
		else node.setAttribute(name, value === true ? '' : value);
	}
	return node;
}

export const byId = (id) => document.getElementById(id);

/** Where the address line says that we are: `#/folder/ID`, `#/folder/ID/THREAD`, `#/search/WORDS`, `#/search/WORDS/THREAD`. */
export const place = () => location.hash.replace(/^#\/?/, '').split('/').map(decodeURIComponent);

/** Shows or hides. */
export function show(node, visible) {
	node.hidden = !visible;
	return node;
}

const paths = {
	menu: 'M3 6h18M3 12h18M3 18h18',
	pen: 'M12 20h9M16.5 3.5a2.1 2.1 0 0 1 3 3L7 19l-4 1 1-4z',
	inbox: 'M22 12h-6l-2 3h-4l-2-3H2M5.5 5.1 2 12v6a2 2 0 0 0 2 2h16a2 2 0 0 0 2-2v-6l-3.5-6.9A2 2 0 0 0 16.8 4H7.2a2 2 0 0 0-1.7 1.1z',
	drafts: 'M14 2H6a2 2 0 0 0-2 2v16a2 2 0 0 0 2 2h12a2 2 0 0 0 2-2V8zM14 2v6h6M8 13h8M8 17h5',
	sent: 'M22 2 11 13M22 2l-7 20-4-9-9-4z',
	archive: 'M21 8v13H3V8M1 3h22v5H1zM10 12h4',
	junk: 'M12 9v4M12 17h.01M10.3 3.9 1.8 18a2 2 0 0 0 1.7 3h17a2 2 0 0 0 1.7-3L13.7 3.9a2 2 0 0 0-3.4 0z',
	trash: 'M3 6h18M19 6v14a2 2 0 0 1-2 2H7a2 2 0 0 1-2-2V6M8 6V4a2 2 0 0 1 2-2h4a2 2 0 0 1 2 2v2M10 11v6M14 11v6',
	folder: 'M22 19a2 2 0 0 1-2 2H4a2 2 0 0 1-2-2V5a2 2 0 0 1 2-2h5l2 3h9a2 2 0 0 1 2 2z',
	search: 'M11 19a8 8 0 1 0 0-16 8 8 0 0 0 0 16zM21 21l-4.3-4.3',
	star: 'M12 2l3.1 6.3 6.9 1-5 4.9 1.2 6.8-6.2-3.2L5.8 21 7 14.2 2 9.3l6.9-1z',
	clip: 'M21.4 11.1 12.3 20.2a6 6 0 0 1-8.5-8.5l9.2-9.2a4 4 0 0 1 5.7 5.7l-9.2 9.2a2 2 0 0 1-2.8-2.8l8.5-8.5',
	reply: 'M9 17l-5-5 5-5M4 12h11a5 5 0 0 1 5 5v2',
	replyall: 'M7 17l-5-5 5-5M12 17l-5-5 5-5M7 12h10a5 5 0 0 1 5 5v2',
	forward: 'M15 17l5-5-5-5M20 12H9a5 5 0 0 0-5 5v2',
	move: 'M22 19a2 2 0 0 1-2 2H4a2 2 0 0 1-2-2V5a2 2 0 0 1 2-2h5l2 3h9a2 2 0 0 1 2 2zM9 14h6M12 11l3 3-3 3',
	unread: 'M4 4h16a2 2 0 0 1 2 2v12a2 2 0 0 1-2 2H4a2 2 0 0 1-2-2V6a2 2 0 0 1 2-2zM22 6l-10 7L2 6',
	more: 'M12 5h.01M12 12h.01M12 19h.01',
	close: 'M18 6 6 18M6 6l12 12',
	back: 'M19 12H5M12 19l-7-7 7-7',
	gear: 'M12 15a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM19.4 15a1.7 1.7 0 0 0 .3 1.9l.1.1a2 2 0 1 1-2.9 2.9l-.1-.1a1.7 1.7 0 0 0-2.8 1.2V21a2 2 0 0 1-4 0v-.1a1.7 1.7 0 0 0-2.9-1.2l-.1.1A2 2 0 1 1 4.2 17l.1-.1a1.7 1.7 0 0 0-1.2-2.9H3a2 2 0 0 1 0-4h.1a1.7 1.7 0 0 0 1.2-2.9l-.1-.1A2 2 0 1 1 7 4.2l.1.1a1.7 1.7 0 0 0 2.9-1.2V3a2 2 0 0 1 4 0v.1a1.7 1.7 0 0 0 2.9 1.2l.1-.1A2 2 0 1 1 19.8 7l-.1.1a1.7 1.7 0 0 0 1.2 2.9h.1a2 2 0 0 1 0 4h-.1a1.7 1.7 0 0 0-1.5 1z',
	moon: 'M21 12.8A9 9 0 1 1 11.2 3 7 7 0 0 0 21 12.8z',
	help: 'M12 22a10 10 0 1 0 0-20 10 10 0 0 0 0 20zM9.1 9a3 3 0 0 1 5.8 1c0 2-3 3-3 3M12 17h.01',
	out: 'M9 21H5a2 2 0 0 1-2-2V5a2 2 0 0 1 2-2h4M16 17l5-5-5-5M21 12H9',
	image: 'M5 3h14a2 2 0 0 1 2 2v14a2 2 0 0 1-2 2H5a2 2 0 0 1-2-2V5a2 2 0 0 1 2-2zM8.5 10a1.5 1.5 0 1 0 0-3 1.5 1.5 0 0 0 0 3zM21 15l-5-5L5 21',
	print: 'M6 9V2h12v7M6 18H4a2 2 0 0 1-2-2v-5a2 2 0 0 1 2-2h16a2 2 0 0 1 2 2v5a2 2 0 0 1-2 2h-2M6 14h12v8H6z',
	clock: 'M12 22a10 10 0 1 0 0-20 10 10 0 0 0 0 20zM12 6v6l4 2',
	link: 'M10 13a5 5 0 0 0 7.5.5l3-3a5 5 0 0 0-7-7l-1.7 1.7M14 11a5 5 0 0 0-7.5-.5l-3 3a5 5 0 0 0 7 7l1.7-1.7',
	bullets: 'M9 6h12M9 12h12M9 18h12M4 6h.01M4 12h.01M4 18h.01',
	numbers: 'M10 6h11M10 12h11M10 18h11M4 5l1.5-1v5M3.5 14c.4-1.2 2.4-1.2 2.4.2 0 1.2-2.4 1.8-2.4 3.3h2.6',
	unformat: 'M5 7V4h14v3M9 20h6M12 4v4M12 13v7M3 3l18 18',
	check: 'M20 6 9 17l-5-5',
	way: 'M5 21a2 2 0 1 0 0-4 2 2 0 0 0 0 4zM19 7a2 2 0 1 0 0-4 2 2 0 0 0 0 4zM7 19h8a4 4 0 0 0 0-8H9a3 3 0 0 1 0-6h8',
	person: 'M12 11a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM4 21c.5-4 4-6 8-6s7.5 2 8 6',
	server: 'M4 4h16v6H4zM4 14h16v6H4zM8 7h.01M8 17h.01',
	lock: 'M5 11h14v10H5zM8 11V7a4 4 0 0 1 8 0v4',
	unlock: 'M5 11h14v10H5zM8 11V7a4 4 0 0 1 7.5-2',
	refresh: 'M23 4v6h-6M1 20v-6h6M3.5 9a9 9 0 0 1 14.9-3.4L23 10M1 14l4.6 4.4A9 9 0 0 0 20.5 15',
};

/** A drawing of our own; it says nothing to who can't see it, so what holds it needs a label. */
export function icon(name) {
	const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
	svg.setAttribute('viewBox', '0 0 24 24');
	svg.setAttribute('aria-hidden', 'true');
	svg.setAttribute('class', `icon icon-${name}`);
	const path = document.createElementNS('http://www.w3.org/2000/svg', 'path');
	path.setAttribute('d', paths[name] ?? paths.folder);
	svg.append(path);
	return svg;
}

/** A button with a drawing and a label that is read, and shown when the pointer rests. */
export function iconButton(name, label, onclick, more = {}) {
	return el('button', { class: 'icon-button', 'aria-label': label, title: label, onclick, ...more }, icon(name));
}
