// The service worker: keeps the page itself, so that it opens without a connection, and the pictures and attachments that
// were looked at. Mail and folders are the page's own business (offline.js). It never answers for log-in, API or events. And where
// it is woken by a push (background.js) it tells of new mail, if there is no page to do so.
//
// All files of the page are fetched together when this one changes, and it changes with any of them: what is kept is one
// version, whole. It is shown only where the server can't be reached.

const SHELL = 'postrider-shell-' + 'VERSION'; // who serves this file puts in a mark of all files,
const FILES = ['FILES']; // and their names
const BLOBS = 'postrider-blobs-1';
const MOST_BLOBS = 200;
const LARGEST = 2_000_000; // octets
const TOLD = 'postrider-blobs-told'; // in it, when mail was told of
const MOST_TOLD = 3;

self.addEventListener('install', (event) => {
	event.waitUntil(caches.open(SHELL).then((cache) => cache.addAll(FILES)).then(() => self.skipWaiting()));
});

self.addEventListener('activate', (event) => {
	event.waitUntil(caches.keys().then((names) => Promise.all(names.filter((name) => name.startsWith('postrider-') && ![SHELL, BLOBS, TOLD].includes(name)).map((name) => caches.delete(name))))
		.then(() => self.clients.claim()));
});

self.addEventListener('fetch', (event) => {
	const { request } = event;
	const url = new URL(request.url);
	if (request.method !== 'GET' || url.origin !== location.origin) return;
	const path = url.pathname.slice(new URL(registration.scope).pathname.length);
	const ours = request.mode === 'navigate' ? path === '' : /^(src\/[\w-]+\.js|[\w-]+\.(css|svg|webmanifest))$/.test(path);
	if (ours) event.respondWith(fresh(request));
	else if (url.pathname.startsWith('/jmap/download/')) event.respondWith(kept(request));
});

/** From the server, so that a new version is there at once; from here where it can't be reached. */
async function fresh(request) {
	try {
		return await fetch(request);
	} catch (error) {
		const found = await (await caches.open(SHELL)).match(request.mode === 'navigate' ? './' : request);
		if (found) return found;
		throw error;
	}
}

/** A blob never changes (RFC 8620 §6). */
async function kept(request) {
	const cache = await caches.open(BLOBS);
	const found = await cache.match(request);
	if (found) return found;
	const answer = await fetch(request);
	if (answer.ok && Number(answer.headers.get('Content-Length') ?? LARGEST) < LARGEST) {
		await cache.put(request, answer.clone());
		const all = await cache.keys();
		for (const old of all.slice(0, Math.max(0, all.length - MOST_BLOBS))) await cache.delete(old);
	}
	return answer;
}

self.addEventListener('push', (event) => event.waitUntil(heard(event.data.json())));

self.addEventListener('notificationclick', (event) => {
	event.notification.close();
	event.waitUntil(clients.openWindow(event.notification.data));
});

/** RFC 8620 §7.2: a code that goes back, or that mail has come. */
async function heard(said) {
	const cache = await caches.open(TOLD);
	const { api, accountId, inMailbox, after } = await (await cache.match('./')).json();
	const ask = (methodCalls) => fetch(api, {
		method: 'POST', headers: { 'Content-Type': 'application/json', 'Postrider-Request': '1' },
		body: JSON.stringify({ using: ['urn:ietf:params:jmap:core', 'urn:ietf:params:jmap:mail'], methodCalls }),
	});
	if (said['@type'] === 'PushVerification') {
		await ask([['PushSubscription/set', { update: { [said.pushSubscriptionId]: { verificationCode: said.verificationCode } } }, '0']]);
		return;
	}
	const answer = await ask([
		['Email/query', { accountId, filter: { inMailbox, after, notKeyword: '$seen' }, sort: [{ property: 'receivedAt', isAscending: false }], limit: MOST_TOLD }, '0'],
		['Email/get', { accountId, '#ids': { resultOf: '0', name: 'Email/query', path: '/ids' }, properties: ['from', 'subject', 'threadId'] }, '1'],
	]);
	// By the server's clock, which is that of the mail.
	await cache.put('./', new Response(JSON.stringify({ api, accountId, inMailbox, after: new Date(answer.headers.get('Date')).toISOString().replace(/\.\d+/, '') })));
	// A page that is open tells by itself.
	if ((await clients.matchAll({ type: 'window', includeUncontrolled: true })).length) return;
	const [, [, { list }]] = (await answer.json()).methodResponses;
	for (const { id, from, subject, threadId } of list) {
		await registration.showNotification(from?.[0]?.name || from?.[0]?.email || 'Postrider', { body: subject ?? '', tag: id, icon: 'icon.svg', data: `./#/folder/${inMailbox}/${threadId}` });
	}
}
