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
	const each = (name, act) => root.querySelectorAll(`[data-${name}]`).forEach((node) => act(node, node.dataset[name]));
	each('text', (node, name) => { node.textContent = t(name); });
	each('label', (node, name) => {
		node.setAttribute('aria-label', t(name));
		if (node.tagName === 'BUTTON') node.title = t(name);
	});
	each('placeholder', (node, name) => { node.placeholder = t(name); });
	each('icon', (node, name) => node.replaceChildren(icon(name)));
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
