// A calendar invitation (RFC 5545, 5546) made readable: what, when, where, who. It answers none and keeps no calendar.

/** The events of a calendar file, as plain values; what it can't read is left out. */
export function events(text) {
	const lines = text.slice(0, 500_000).replace(/\r\n?/g, '\n').replace(/\n[ \t]/g, '').split('\n');
	const out = [];
	let event = null;
	let depth = 0;
	let method = '';
	for (const line of lines) {
		const found = /^([A-Za-z-]+)((?:;[^:"]*(?:"[^"]*"[^:"]*)*)?):(.*)$/.exec(line);
		if (!found) continue;
		const [, rawName, rawParameters, value] = found;
		const name = rawName.toUpperCase();
		const parameter = (key) => new RegExp(`;${key}=(?:"([^"]*)"|([^;:]*))`, 'i').exec(rawParameters)?.slice(1).find(Boolean);
		if (name === 'METHOD') method = value.trim().toUpperCase();
		else if (name === 'BEGIN' && value.toUpperCase() === 'VEVENT' && out.length < 20) event = { attendees: [] };
		else if (name === 'BEGIN' && event) depth += 1;
		else if (name === 'END' && event && depth > 0) depth -= 1;
		else if (name === 'END' && event && value.toUpperCase() === 'VEVENT') {
			out.push({ ...event, method });
			event = null;
		} else if (event && depth === 0) take(event, name, value, parameter);
	}
	return out;
}

function take(event, name, value, parameter) {
	const plain = value.replace(/\\([nN,;\\])/g, (_, letter) => (/n/i.test(letter) ? '\n' : letter));
	const person = () => ({ name: parameter('CN') ?? '', email: value.replace(/^mailto:/i, ''), status: parameter('PARTSTAT') ?? '' });
	if (name === 'SUMMARY') event.summary = plain;
	else if (name === 'LOCATION') event.location = plain;
	else if (name === 'DESCRIPTION') event.description = plain;
	else if (name === 'STATUS') event.status = value.toUpperCase();
	else if (name === 'RRULE') event.repeats = value;
	else if (name === 'ORGANIZER') event.organizer = person();
	else if (name === 'ATTENDEE' && event.attendees.length < 200) event.attendees.push(person());
	else if (name === 'DTSTART') event.start = moment(value, parameter('TZID'));
	else if (name === 'DTEND') event.end = moment(value, parameter('TZID'));
}

/** {date: Date, zone, allDay}: a time without a zone that is known is shown as it stands. */
export function moment(value, zone) {
	const found = /^(\d{4})(\d\d)(\d\d)(?:T(\d\d)(\d\d)(\d\d)(Z)?)?$/.exec(value.trim());
	if (!found) return null;
	const [year, month, day, hour = 0, minute = 0] = found.slice(1, 6).map((part) => (part === undefined ? undefined : Number(part)));
	if (found[7]) return { date: new Date(Date.UTC(year, month - 1, day, hour, minute)), zone: null, allDay: false };
	return { date: new Date(Date.UTC(year, month - 1, day, hour, minute)), zone: found[4] ? zone ?? 'floating' : null, allDay: !found[4] };
}

/** The time in words. A time with a zone of its own is shown in that zone, with its name. */
export function shown(time, language) {
	if (!time) return '';
	const options = { weekday: 'short', day: 'numeric', month: 'long', year: 'numeric' };
	if (time.allDay) return time.date.toLocaleDateString(language, { ...options, timeZone: 'UTC' });
	const clock = { hour: '2-digit', minute: '2-digit' };
	if (!time.zone) return time.date.toLocaleString(language, { ...options, ...clock });
	const words = time.date.toLocaleString(language, { ...options, ...clock, timeZone: 'UTC' });
	return time.zone === 'floating' ? words : `${words} (${time.zone})`;
}

/** From when to when; the day is said once. */
export function span(event, language) {
	const { start, end } = event;
	if (!start || !end) return shown(start, language);
	if (start.allDay) {
		// RFC 5545 §3.6.1: the end is the first day that is not part of it.
		const last = { ...end, date: new Date(end.date.getTime() - 86_400_000) };
		return last.date <= start.date ? shown(start, language) : `${shown(start, language)} – ${shown(last, language)}`;
	}
	const zone = start.zone ? 'UTC' : undefined;
	const day = (time) => time.date.toLocaleDateString(language, { timeZone: zone });
	if (start.zone !== end.zone || day(start) !== day(end)) return `${shown(start, language)} – ${shown(end, language)}`;
	const clock = end.date.toLocaleTimeString(language, { hour: '2-digit', minute: '2-digit', timeZone: zone });
	const suffix = start.zone && start.zone !== 'floating' ? ` (${start.zone})` : '';
	return `${shown({ ...start, zone: start.zone ? 'floating' : null }, language)} – ${clock}${suffix}`;
}
