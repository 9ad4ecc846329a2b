// One system's half of the ways of mail: asks its own JMAP for the last journeys whenever something changes, with the cookie of
// the webmail beside it, and hands them to the page with both webmails, to that origin alone. It shows nothing.

import { Jmap, ref } from '/src/jmap.js';
import { Push } from '/src/push.js';

const AGAIN = 1000; // ms
const MOST = 5; // journeys that are looked at

const again = () => setTimeout(() => location.reload(), AGAIN);

/** What was sent and what came last. A journey of what came has the message's own id. */
async function tell(jmap) {
	const [, sent, , came] = await jmap.all([
		['Journey/query', { limit: MOST }], ['Journey/get', { '#ids': ref(0, '/ids') }],
		['Email/query', { sort: [{ property: 'receivedAt', isAscending: false }], limit: MOST }], ['Journey/get', { '#ids': ref(2, '/ids') }],
	]);
	parent.postMessage({ sent: sent.list, came: came.list.filter((one) => one.queueId) }, document.documentElement.dataset.to);
}

async function begin() {
	const jmap = await Jmap.connect();
	// One after the other, so that no older answer comes last.
	let last = Promise.resolve();
	const changed = () => {
		last = last.then(() => tell(jmap)).catch((error) => error.kind === 'login' && again());
		return last.then(() => true);
	};
	return new Push(jmap, { changed, state() {} });
}

// Nobody is logged in yet, or no more.
begin().catch(again);
