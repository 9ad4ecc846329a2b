// From the HTML of a message to a tree that is safe to show: what is not allowed by name is not there. The tree is made
// anew, element by element, and is never written out and parsed again, so nothing can mutate into something else on the
// way. It is the first of three walls; the frame's sandbox and its content security policy (frame.js) stand without it.
//
// It doesn't fetch anything: for each image the caller says what may be shown (`image`). Styles are taken apart by the
// browser's own parser and put together again from a list of properties (css.js).

import { declarations, sheet } from './css.js';

/** The only maker of trusted HTML in the page, and what it makes is parsed without being run. */
const policy = globalThis.trustedTypes?.createPolicy('postrider', {
	createHTML: (text) => text,
	// The only script that is ever named by address: the service worker.
	createScriptURL: (address) => {
		if (address !== new URL('sw.js', document.baseURI).href) throw new TypeError('not our worker');
		return address;
	},
});
export const trusted = (text) => policy?.createHTML(text) ?? text;
export const trustedAddress = (address) => policy?.createScriptURL(address) ?? address;

const MOST_NODES = 60_000;
const MOST_DEPTH = 120;

const words = (text) => new Set(text.split(' '));

const keep = words('a abbr address article aside b bdi bdo big blockquote br caption center cite code col colgroup dd del details dfn div dl dt em figcaption '
	+ 'figure font footer h1 h2 h3 h4 h5 h6 header hr i img ins kbd label li main mark nav ol p pre q rp rt ruby s samp section small span strike strong sub '
	+ 'summary sup table tbody td tfoot th thead time tr tt u ul var wbr');
/** These become something without meaning. */
const rename = { body: 'div', form: 'div', fieldset: 'div', legend: 'div', dir: 'ul', menu: 'ul', nobr: 'span', xmp: 'pre', listing: 'pre', plaintext: 'pre', marquee: 'div' };
/** These go with all that is in them; any other unknown element goes, and what is in it stays. */
const drop = words('script style head title meta link base noscript noembed noframes template iframe frame frameset object embed applet param svg math audio video '
	+ 'source track canvas portal textarea select option datalist input button keygen map area dialog slot');

const everywhere = words('dir lang title align valign width height bgcolor color face size border cellpadding cellspacing colspan rowspan nowrap hspace vspace clear class '
	+ 'start reversed datetime compact abbr scope span role aria-label aria-hidden');
const colours = words('bgcolor color');

/** What may stand in an address of a link. */
const schemes = words('http: https: mailto: tel:');

/** The address of a link as an absolute one with a harmless scheme, or null. */
export function safeLink(text) {
	try {
		const url = new URL(text.trim());
		return schemes.has(url.protocol) ? url.href : null;
	} catch {
		return null;
	}
}

/** Kinds of images that can't hold more than an image. */
const rasters = /^data:image\/(png|jpe?g|gif|webp|bmp|avif);base64,[a-z0-9+/=\s]*$/i;
export const safeRaster = (type) => /^image\/(png|jpe?g|gif|webp|bmp|avif)$/i.test(type ?? '');

/** What an image's address is: 'remote', 'cid', 'data' or null. */
export function imageKind(text) {
	const address = text.trim();
	if (/^cid:/i.test(address)) return 'cid';
	if (rasters.test(address)) return 'data';
	return /^(https?:)?\/\//i.test(address) ? 'remote' : null;
}

/**
 * Gives {nodes: a fragment of `into`, css: text of a style sheet, remote: how many remote images there are, coloured: whether it
 * sets colours itself}. `image(kind, address, node)` gives the address to show, or null; it may set the node's `src` later.
 */
export function sanitise(html, { into = document, image = () => null } = {}) {
	const source = new DOMParser().parseFromString(trusted(html), 'text/html');
	const state = { into, image, remote: 0, coloured: false };
	const css = [];
	let left = 200_000;
	for (const style of source.querySelectorAll('style')) {
		if (style.namespaceURI !== 'http://www.w3.org/1999/xhtml') continue;
		const text = style.textContent.slice(0, left);
		left -= text.length;
		css.push(sheet(text, state));
	}
	const nodes = into.createDocumentFragment();
	copy(source.body, nodes, state);
	return { nodes, css: css.join('\n'), remote: state.remote, coloured: state.coloured };
}

/** Walks without recursion: depth is the sender's choice. */
function copy(root, target, state) {
	const stack = [[root, target, 0]];
	let count = 0;
	while (stack.length && count < MOST_NODES) {
		const [node, parent, depth] = stack.pop();
		count += 1;
		if (node.nodeType === 3) {
			parent.append(state.into.createTextNode(node.data));
			continue;
		}
		if (node.nodeType !== 1 || node.namespaceURI !== 'http://www.w3.org/1999/xhtml') continue;
		const name = node.localName;
		if (drop.has(name)) {
			if (name === 'input' || name === 'video') countRemote(node, state);
			continue;
		}
		const as = keep.has(name) ? name : rename[name];
		let next = parent;
		if (as && depth < MOST_DEPTH) {
			next = element(node, as, state);
			if (!next) continue;
			if (node === root && !next.attributes.length) next = parent;
			else parent.append(next);
		}
		// The last child is pushed first. `childNodes` of a form could be an input of that name: the prototype's is meant.
		for (let child = lastChild.call(node); child; child = previous.call(child)) stack.push([child, next, next === parent ? depth : depth + 1]);
	}
}

const getter = (name) => Object.getOwnPropertyDescriptor(Node.prototype, name).get;
const lastChild = getter('lastChild');
const previous = getter('previousSibling');
const attributeOf = Element.prototype.getAttribute;

function countRemote(node, state) {
	const address = attributeOf.call(node, 'src') ?? attributeOf.call(node, 'poster');
	if (address && imageKind(address) === 'remote') state.remote += 1;
}

function element(node, name, state) {
	const made = state.into.createElement(name);
	const attribute = (key) => attributeOf.call(node, key);
	for (const { name: key, value } of Object.getOwnPropertyDescriptor(Element.prototype, 'attributes').get.call(node)) {
		if (!everywhere.has(key) || value.length > 2000) continue;
		made.setAttribute(key, value);
		if (colours.has(key)) state.coloured = true;
	}
	const style = attribute('style');
	if (style) for (const [property, value] of declarations(style, state)) made.style.setProperty(property, value);
	if (name === 'a') {
		const href = safeLink(attribute('href') ?? '');
		if (href) {
			made.setAttribute('href', href);
			made.setAttribute('rel', 'noopener noreferrer');
			made.setAttribute('target', '_blank');
			made.setAttribute('referrerpolicy', 'no-referrer');
		}
	}
	if (name === 'img') return picture(made, attribute('src') ?? '', state);
	return made;
}

function picture(made, address, state) {
	const kind = imageKind(address);
	made.setAttribute('referrerpolicy', 'no-referrer');
	if (!made.hasAttribute('alt')) made.setAttribute('alt', '');
	// A picture of a point is no picture; it is there to be fetched.
	if (kind === 'remote' && (Number(made.getAttribute('width')) === 1 || Number(made.getAttribute('height')) === 1)) {
		state.remote += 1;
		return null;
	}
	if (kind === 'remote') state.remote += 1;
	const shown = kind && state.image(kind, kind === 'remote' ? address.trim().replace(/^\/\//, 'https://') : address.trim(), made);
	if (shown) made.setAttribute('src', shown);
	return made;
}
