// The picture of a message's way, from journeys as the server gives them (docs/jmap.md), in words for people who don't know how
// mail is moved; behind each line stands exactly what was said and done. It only draws: it asks nobody for anything, and what
// servers said becomes text. Other pages may draw with it, too (`strip`).

import { el, icon } from './dom.js';
import { clock, longDate, soon, t } from './texts.js';

const domain = (address) => address?.slice(address.lastIndexOf('@') + 1) ?? '';
/** A server's words without the codes, which are for programs. */
const plain = (words) => (words ?? '').replace(/^\d{3}[ -]?(\d\.\d{1,3}\.\d{1,3} ?)?/, '') || '–';
/** The other side's words begin with a code; else they are our own. */
const isSaid = (words) => /^[245]\d\d/.test(words ?? '');
const kindOf = (state) => ({ delivered: 'good', relayed: 'good', bounced: 'bad', expired: 'bad', discarded: 'bad' })[state] ?? 'wait';
const seals = { open: 'jOpen', sealed: 'jTls', checked: 'jChecked' };
const sealOf = (tls) => (!tls ? 'open' : tls.verified ? 'checked' : 'sealed');
/** By `with` (RFC 3848), or what the field says beside it. */
const hopSeal = (hop) => (hop.tls || /SMTPS/i.test(hop.with ?? '') ? 'sealed' : 'open');
const folderOf = ({ mailbox }) => (mailbox === 'INBOX' ? t('inbox') : mailbox);
/** A name that may be broken where it has a joint. */
const broken = (text) => text.split(/(?=[.@])/).flatMap((part) => [el('wbr'), part]);

const next = (at) => (new Date(at) > Date.now() ? t('jNext', { soon: soon(at) }) : '');

/** What happened: [sentence, kind]. */
function told(event, journey) {
	const address = event.recipient ?? '';
	const host = event.host ?? domain(address);
	const tls = t(seals[sealOf(event.tls)]);
	const words = plain(event.words);
	const said = isSaid(event.words);
	const more = event.report ? ` ${t('jTold')}` : '';
	switch (event.event) {
		case 'received':
			if (event.protocol === 'local') return [t('jMade')];
			return [t(journey.kind === 'sent' ? 'jFromYou' : 'jFrom', { host: event.helo ?? event.from ?? event.sender, tls }), 'good'];
		case 'authenticated': return [t({ pass: 'jPass', fail: 'jFail' }[event.dmarc] ?? 'jUnknown', { what: t('jAuth_dmarc'), who: event.domain || '–' }), { pass: 'good', fail: 'bad' }[event.dmarc] ?? 'wait'];
		case 'expanded': return [t(journey.kind === 'sent' ? 'jAlias' : 'jCameBy', { address })];
		case 'delivered': return [event.mailbox ? t('jFolder', { folder: folderOf(event) }) : t('jBox', { address }), 'good'];
		case 'trusted': return [t('jTrusted', { network: event.network })];
		case 'filtered': return [t('jFiltered', { milter: event.milter, words })];
		case 'held': return [t('jHeld', { date: longDate(event.until) }), 'wait'];
		case 'queued': return [t('jQueued', { host: event.destination ?? host })];
		case 'routed': {
			const none = { 'null-mx': 'jNullMx', 'no-domain': 'jNoDomain' }[event.rule] ?? (event.hosts?.length ? '' : 'jNoWay');
			const name = event.hosts?.[0]?.split(' ')[0];
			return [host ? t(none || 'jRoute', { host, name }) : t('jQueued', { host: name }), none && 'bad'];
		}
		case 'failed': return [t(said ? 'jNotTaken' : 'jUnreached', { host, words }), 'wait'];
		case 'deferred': return [`${event.words ? t(said ? 'jLater' : 'jWaits', { host, words }) : t('jState_waiting')} ${next(event.next)}`, 'wait'];
		case 'relayed': return [event.host ? t('jRelayed', { host, tls }) : t('jState_relayed'), 'good'];
		case 'bounced': return [t(said ? 'jRefused' : 'jFailed', { host, words }) + more, 'bad'];
		case 'expired': return [t('jExpired', { words }) + more, 'bad'];
		case 'reported': return [t('jTold')];
		case 'answered': return [t('jAnswered')];
		case 'not-answered': return [t('jNotAnswered', { words })];
		case 'judged': return [t(event.junk ? 'jJunk' : 'jNoJunk', { words: event.evidence.map((one) => `${one.what} ${one.percent} %`).join(', ') })];
		case 'operator': return [t('jOperator', { action: event.action })];
		default: return [t(`jState_${event.event}`), kindOf(event.event)];
	}
}

/** Names of the protocol: not translated. */
function exact(facts) {
	const text = (value) => (typeof value === 'object' ? Object.entries(value).map(([key, one]) => (Array.isArray(value) ? one : `${key}: ${one}`)).join(', ') : String(value));
	return el('dl', {}, ...Object.entries(facts).filter(([, value]) => value !== null && text(value)).flatMap(([name, value]) => [el('dt', {}, name), el('dd', { dir: 'auto' }, text(value))]));
}

let day; // of the line before

function line([sentence, kind = ''], facts, key) {
	const date = facts.at ? new Date(facts.at) : null;
	const time = date ? clock(date, date.toDateString() !== day) : '';
	if (date) day = date.toDateString();
	return el('li', { class: `step ${kind}` }, el('details', { 'data-key': key },
		el('summary', {}, el('time', { datetime: facts.at }, time), el('span', { dir: 'auto' }, sentence)), exact(facts)));
}

const steps = (events, journey, name) => el('ol', { class: 'steps' }, ...events.map((event, index) => line(told(event, journey), event, `${name}-${index}`)));

/** Stations from end to end: {name, more, icon, kind, seal}; `seal` is of the way that leads there. */
function rail(stops) {
	return el('ol', { class: 'rail' }, ...stops.map(({ name, more, icon: sign, kind, seal }) => el('li', { class: `stop ${kind}` },
		seal && el('span', { class: `seal ${seal}`, role: 'img', title: t(seals[seal]), 'aria-label': t(seals[seal]) }, icon(seal === 'open' ? 'unlock' : 'lock')),
		el('span', { class: 'spot' }, icon(sign)), el('strong', { dir: 'auto' }, ...broken(name)), more && el('span', { class: 'soft', dir: 'auto' }, more))));
}

function sentStops(journey, { address, state }, from, came) {
	const kind = came ? 'good' : kindOf(state);
	const events = journey.events.filter((event) => event.recipient === address);
	const first = journey.events.find((event) => event.event === 'received');
	const last = events.findLast((event) => event.host);
	const sign = kind === 'bad' ? 'close' : 'person';
	const stops = [{ name: from, icon: 'person', kind: 'good' }, { name: domain(journey.sender) || t('jServer'), icon: 'server', kind: 'good', seal: sealOf(first?.tls) }];
	if (!['delivered', 'discarded'].includes(state)) stops.push({ name: last?.host ?? domain(address), icon: kind === 'bad' ? 'close' : 'server', kind, seal: last && kind === 'good' && sealOf(last.tls) });
	// What becomes of it behind the next server, that server alone knows.
	return [...stops, { name: address, more: came && t('jFolder', { folder: folderOf(came) }), icon: sign, kind: came || state === 'delivered' || kind === 'bad' ? kind : 'far' }];
}

function sent(journey) {
	return [steps(journey.events.filter((event) => !event.recipient), journey, 'all'), ...journey.recipients.map((recipient, index) => {
		const { address, state, nextTry } = recipient;
		const kind = kindOf(state);
		return el('section', { class: 'way', 'aria-label': address },
			el('h3', {}, el('span', { dir: 'ltr' }, address), el('span', { class: `pill ${kind}` }, icon({ good: 'check', bad: 'close', wait: 'clock' }[kind]), (nextTry && next(nextTry)) || t(`jState_${state}`))),
			rail(sentStops(journey, recipient, t('jYou'))), steps(journey.events.filter((event) => event.recipient === address), journey, index));
	})];
}

function verdict({ method, result, properties }) {
	const kind = { pass: 'good', fail: 'bad' }[result] ?? 'wait';
	const who = properties['header.d'] ?? properties['header.from'] ?? domain(properties['smtp.mailfrom']);
	const name = ['spf', 'dkim', 'dmarc'].includes(method) ? t(`jAuth_${method}`) : method;
	return [t({ good: 'jPass', bad: 'jFail', wait: 'jUnknown' }[kind], { what: name, who: who || '–' }), kind];
}

function received(journey) {
	const { hops, events, queueId, authentication } = journey;
	const box = events.findLast((event) => event.event === 'delivered');
	const stops = hops.map((hop) => ({ name: hop.by ?? '?', icon: 'server', kind: 'good', seal: hopSeal(hop) }));
	if (hops.length) stops.unshift({ name: hops[0].from ?? journey.sender ?? t('jServer'), icon: 'person', kind: 'good' });
	const told = hops.filter((hop) => !queueId || hop.id !== queueId);
	return [el('section', { class: 'way' }, rail([...stops, { name: t('jYou'), more: box && folderOf(box), icon: 'inbox', kind: 'good' }]),
		told.length && el('p', { class: 'soft' }, t('jClaimed')),
		told.length && el('ol', { class: 'steps' }, ...told.map((hop, index) => line([t('jHop', { by: hop.by ?? '?', from: hop.from ?? hop.address ?? (index ? t('jServer') : journey.sender), tls: t(seals[hopSeal(hop)]) })], hop, `hop-${index}`))),
		told.length && events.length && el('p', { class: 'soft' }, t('jHere')), steps(events, journey, 'here')),
	authentication.length && el('section', { class: 'way' }, el('h3', {}, t('jIsIt')), el('ol', { class: 'steps' }, ...authentication.map((one, index) => line(verdict(one), one, `mark-${index}`))))];
}

/** Puts a picture into an element; what was opened stays open. */
function put(element, make) {
	const open = [...element.querySelectorAll('details[open]')].map((one) => one.dataset.key);
	const focused = document.activeElement?.closest('.journey details')?.dataset.key;
	element.className = 'journey';
	day = new Date().toDateString();
	element.replaceChildren(...make().filter(Boolean));
	for (const one of element.querySelectorAll('details')) {
		one.open = open.includes(one.dataset.key);
		if (one.dataset.key === focused) one.firstChild.focus();
	}
}

/** Draws journeys into an element. */
export const draw = (element, journeys) => put(element, () => journeys.flatMap((journey) => (journey.kind === 'sent' ? sent(journey) : received(journey))));

/**
 * Draws one message's way between two systems: its stations in a line for each recipient, and what happened at each system. What its
 * sender's system knows is a journey of kind `sent`, what the receiver's does, where that is there, one of kind `received` with the same
 * `messageId`. For a page that shows both.
 */
export function strip(element, outgoing, incoming) {
	const told = incoming?.messageId === outgoing.messageId ? incoming.events : [];
	const came = (address) => told.findLast((event) => event.event === 'delivered' && event.recipient === address);
	const lines = (events, journey, address) => events.length && el('section', {}, el('h3', { dir: 'ltr' }, domain(address)), steps(events, journey, journey.kind));
	put(element, () => [...outgoing.recipients.map((one) => rail(sentStops(outgoing, one, outgoing.sender, came(one.address)))),
		lines(outgoing.events, outgoing, outgoing.sender), lines(told, incoming, told.findLast((event) => event.recipient)?.recipient)]);
}
