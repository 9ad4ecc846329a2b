// The page with both webmails: puts the two halves of a mail's way together, and draws it between the inboxes, one event after the
// other, at a pace that people can follow: the mail itself is faster.

import { chosen, showColours } from '/src/choices.js';
import { speak, spoken } from '/src/texts.js';
import { strip } from '/src/way.js';

const PACE = 800; // ms from one event to the next
const HINT = { de: 'Schreiben Sie von einer Seite zur anderen und sehen Sie hier, wie die Mail reist.' };

speak(chosen('language'));
showColours();
// The webmail on the left is of this origin, and may choose others.
addEventListener('storage', showColours);

const picture = document.getElementById('journey');
if (HINT[spoken()]) picture.firstElementChild.textContent = HINT[spoken()];

/** From left to right. `seen`: what was sent before this page was opened is shown as it is. */
const sides = [...document.querySelectorAll('body > section')].map((section) => ({ section, frame: section.querySelector('.half'), seen: null, sent: [], came: [] }));
let showing = null; // {id, events of the sender's system, and of the other, that are shown}
let timer = 0;

addEventListener('message', (event) => {
	const side = sides.find(({ frame }) => frame.contentWindow === event.source && new URL(frame.src).origin === event.origin);
	if (!side) return;
	Object.assign(side, event.data);
	side.seen ??= new Set(side.sent.map((one) => one.id));
	show();
});

/** The last mail that one side sent, and what the other knows of it. */
function last() {
	const all = sides.flatMap((from, at) => from.sent.map((outgoing) => ({ from, to: sides[1 - at], outgoing })));
	const newest = all.sort((a, b) => new Date(b.outgoing.acceptedAt) - new Date(a.outgoing.acceptedAt))[0];
	return newest && { ...newest, incoming: newest.to.came.find((one) => one.messageId === newest.outgoing.messageId) };
}

/** A journey as it was after so many events. */
function after(journey, count) {
	const events = journey.events.slice(0, count);
	const state = (one) => (events.some((event) => event.recipient === one.address && event.event === one.state) ? one.state : 'waiting');
	return { ...journey, events, recipients: journey.recipients.map((one) => ({ ...one, state: state(one) })) };
}

function show() {
	if (timer) return;
	const way = last();
	if (!way) return;
	const { from, to, outgoing, incoming } = way;
	if (showing?.id !== outgoing.id) {
		const whole = from.seen.has(outgoing.id) || matchMedia('(prefers-reduced-motion: reduce)').matches;
		showing = { id: outgoing.id, sent: whole ? Infinity : 0, came: whole ? Infinity : 0 };
	}
	// The other system's events stand behind all of the sender's, whose last one is that it was handed over.
	if (showing.sent < outgoing.events.length) showing.sent++;
	else if (incoming && showing.came < incoming.events.length) showing.came++;
	else if (Number.isFinite(showing.sent)) return;
	strip(picture, after(outgoing, showing.sent), incoming && showing.came ? after(incoming, showing.came) : undefined);
	for (const rail of picture.querySelectorAll('.rail')) rail.dir = from === sides[0] ? 'ltr' : 'rtl';
	document.getElementById('told').textContent = [...picture.querySelectorAll('summary')].at(-1)?.textContent ?? '';
	to.section.classList.toggle('arrived', Boolean(picture.querySelector('.stop:last-child.good')));
	from.section.classList.remove('arrived');
	if (Number.isFinite(showing.sent)) {
		timer = setTimeout(() => {
			timer = 0;
			show();
		}, PACE);
	}
}
