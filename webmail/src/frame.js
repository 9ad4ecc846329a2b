// The frame that foreign HTML is shown in, and edited in. Two walls that hold without the sanitiser:
//
//  - the sandbox: no scripts, no forms, no plug-ins, no pop-ups but by a click on a link, no leaving for another page.
//    `allow-same-origin` is there so that this page can put the tree in, measure it and listen to its keys; without
//    `allow-scripts` nothing inside can use it.
//  - the content security policy, inherited from the page and narrowed here: pictures from memory only, and from the
//    server's proxy where the reader asked for them; no style sheets. Ours and the styles of the message are set through the
//    object model, which the policy lets pass: what it refuses is styles that the parser meets.

import { el } from './dom.js';
import { trusted } from './sanitise.js';

const SANDBOX = 'allow-same-origin allow-popups allow-popups-to-escape-sandbox';
const SMALLEST = 0.6; // of its size
const HIGHEST = 30_000; // px; more than that scrolls inside

/** Asked for once: a sheet that each frame names would hold each message up until the server has said that it is current. */
const look = fetch('frame.css').then((answer) => answer.text()).catch(() => '');

/** The empty document; nothing of a message is in this text. */
function shell(remote) {
	const images = remote ? `blob: data: ${location.origin}/proxy` : 'blob: data:';
	const policy = `default-src 'none'; img-src ${images}; form-action 'none'; base-uri 'none'`;
	return `<!doctype html><html><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="${policy}">`
		+ '<meta name="referrer" content="no-referrer"></head><body></body></html>';
}

export class Frame {
	/** `remote`: pictures through the proxy may be shown. */
	constructor(title, { remote = false, kind = 'reading' } = {}) {
		this.kind = kind;
		this.element = el('iframe', { class: 'mail-frame', title, sandbox: SANDBOX, referrerpolicy: 'no-referrer' });
		// The empty page of a frame is there with the frame: written into it at once, the message is on screen with what is around it.
		// An address, also `srcdoc`, would be gone to first, which takes longer than all the rest.
		this.ready = new Promise((resolve) => {
			this.element.addEventListener('load', () => {
				this.document.open();
				this.document.write(trusted(shell(remote)));
				this.document.close();
				resolve(this.document);
			}, { once: true });
		});
	}

	get document() {
		return this.element.contentDocument;
	}

	/** Puts nodes in, once the frame is in the page, and gives it the height that they need. */
	async fill(nodes, { css = '', className = '', dark = false } = {}) {
		const [inside, ours] = await Promise.all([this.ready, look]);
		if (!inside) return;
		inside.documentElement.className = `${this.kind} ${className} ${dark ? 'dark' : ''}`;
		inside.body.dir = 'auto';
		inside.body.replaceChildren(nodes);
		inside.adoptedStyleSheets = [ours, css].map((text) => {
			const sheet = new this.element.contentWindow.CSSStyleSheet();
			sheet.replaceSync(text);
			return sheet;
		});
		if (this.kind === 'reading') this.follow(inside);
	}

	/** The frame grows with what is in it; what is wider than a small screen is made smaller, as far as it can be read. */
	follow(inside) {
		let zoom = 1;
		let width = 0;
		const measure = () => {
			if (!this.element.isConnected || !inside.body) return;
			const room = inside.documentElement.clientWidth;
			if (room !== width) {
				width = room;
				inside.body.style.zoom = '';
				const wide = inside.documentElement.scrollWidth;
				zoom = wide > room && room ? Math.max(SMALLEST, room / wide) : 1;
				inside.body.style.zoom = zoom < 1 ? String(zoom) : '';
			}
			const bar = inside.documentElement.scrollWidth > inside.documentElement.clientWidth ? 16 : 0;
			const height = Math.min(HIGHEST, Math.ceil(inside.body.getBoundingClientRect().height) + bar + 2);
			if (height !== this.height) {
				this.height = height;
				this.element.style.height = `${height}px`;
			}
		};
		const observer = new ResizeObserver(measure);
		observer.observe(inside.body);
		observer.observe(this.element);
		measure();
	}
}
