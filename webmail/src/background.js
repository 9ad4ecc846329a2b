// New mail told while the page is closed: the server tells the browser's push service (RFC 8620 §7.2, RFC 8030), which wakes the
// service worker (sw.js). It is begun, kept up at each start and ended here. The server's half ends with the log-in.

import { VAPID, stamp } from './jmap.js';
import { choose, chosen } from './choices.js';

/** Whether browser and server can. */
export const able = ({ jmap }) => Boolean(navigator.serviceWorker && globalThis.PushManager && jmap.session.capabilities[VAPID]);

export async function set({ jmap, store }, on) {
	const { pushManager } = await navigator.serviceWorker.ready;
	const { applicationServerKey } = jmap.session.capabilities[VAPID];
	const { list } = await jmap.call('PushSubscription/get', { ids: null });
	const { endpoint, keys } = on ? (await pushManager.subscribe({ userVisibleOnly: true, applicationServerKey })).toJSON() : {};
	choose('push', on); // a start tries again what fails from here
	// Before the code comes: what the worker needs for asking.
	const asks = { api: jmap.session.apiUrl, accountId: jmap.account, inMailbox: store.byRole('inbox')?.id, after: stamp(new Date()) };
	await (await caches.open('postrider-blobs-told')).put('./', new Response(JSON.stringify(asks)));
	// The browser may have another address by now. The server tells none; a key belongs to one.
	const known = list.find((one) => on && one.deviceClientId === keys.p256dh);
	await jmap.set('PushSubscription/set', {
		destroy: list.filter((one) => one !== known).map(({ id }) => id),
		update: known ? { [known.id]: { expires: null } } : {},
		create: on && !known ? { here: { deviceClientId: keys.p256dh, url: endpoint, keys, types: ['EmailDelivery'] } } : {},
	});
	if (!on) await (await pushManager.getSubscription())?.unsubscribe();
}

/** At each start: neither half is for ever. */
export const keep = async (app) => chosen('push') && able(app) && set(app, true);
