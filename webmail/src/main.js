// The page's beginning: language, colours, log-in; then the app. What happens in the app is in app.js, which comes while its
// first folder is asked for: neither waits for the other.

import { byId, icon, place, show } from './dom.js';
import { speak, t } from './texts.js';
import { chosen, showColours } from './choices.js';
import { logIn, resume } from './session.js';
import { Jmap } from './jmap.js';
import { Offline } from './offline.js';
import { Store } from './store.js';
import { begin as ask } from './view.js';

const app = import('./app.js');

/** Fills in the texts and drawings that the HTML names. */
function label(root) {
	for (const node of root.querySelectorAll('[data-text]')) node.textContent = t(node.dataset.text);
	for (const node of root.querySelectorAll('[data-label]')) {
		node.setAttribute('aria-label', t(node.dataset.label));
		if (node.tagName === 'BUTTON') node.title = t(node.dataset.label);
	}
	for (const node of root.querySelectorAll('[data-placeholder]')) node.placeholder = t(node.dataset.placeholder);
	for (const node of root.querySelectorAll('[data-icon]')) node.replaceChildren(icon(node.dataset.icon));
}

async function begin() {
	speak(chosen('language'));
	showColours();
	label(document);
	document.title = t('app');
	const offline = new Offline();
	let jmap = null;
	try {
		jmap = await resume();
	} catch {
		// No way to the server: with what was kept for this, if anything was.
		const session = await offline.get('kept', 'session');
		if (session) jmap = new Jmap(session);
	}
	jmap ??= await logIn();
	show(byId('login-page'), false);
	const store = new Store(jmap);
	const loaded = store.load();
	loaded.then(() => ask(store, place()), () => {}); // the app hears why not
	const { App } = await app;
	await new App(store, offline).start(loaded);
}

begin();
