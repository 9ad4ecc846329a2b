// Addresses, links, invitations, ways out of lists, requests.
import { equal, test } from './check.js';
import { parse, plausible, unique, written } from '../../src/addresses.js';
import { named, odd } from '../../src/links.js';
import { events, span } from '../../src/invitation.js';
import { mailto, wayOut } from '../../src/unsubscribe.js';
import { deal, encode, fill, here, ref } from '../../src/jmap.js';
import { written as patch } from '../../src/actions.js';
import { toEmail } from '../../src/draft.js';
import { linked } from '../../src/plain.js';
import { languageNames, texts } from '../../src/texts.js';

test('addresses as they are typed', () => {
  equal(parse('Ada Lovelace <ada@x>, "Hopper, Grace" <g@x>; b@x'), [{ name: 'Ada Lovelace', email: 'ada@x' }, { name: 'Hopper, Grace', email: 'g@x' }, { name: null, email: 'b@x' }]);
  equal(parse('friends: a@x, b@x;').map((one) => one.email), ['a@x', 'b@x']);
  equal(parse(' , ;'), []);
  equal(written({ name: 'Hopper, Grace', email: 'g@x' }), '"Hopper, Grace" <g@x>');
  equal(parse(written({ name: 'a "b" \\ c', email: 'g@x' })), [{ name: 'a "b" \\ c', email: 'g@x' }]);
  equal(unique([{ email: 'A@x', weight: 3 }, { email: 'a@x' }, { email: 'b@x' }], ['B@x']), [{ name: null, email: 'A@x' }]);
  equal([plausible('a@x.example'), plausible('"a b"@x'), plausible('a@'), plausible('a b@x')], [true, true, false, false]);
});

test('links that say another place', () => {
  equal(named('https://www.bank.example/login'), 'www.bank.example');
  equal(named('click here'), null);
  equal(odd('www.bank.example', 'https://evil.example/'), 'elsewhere');
  equal(odd('bank.example', 'https://www.bank.example/x'), null);
  equal(odd('https://apple.com', 'https://xn--pple-43d.com/'), 'letters');
  equal(odd('x', 'https://bank.example@evil.example/'), 'userinfo');
  equal(odd('notbank.example', 'https://bank.example/'), 'elsewhere');
});

test('invitations', () => {
  const [event] = events('BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nBEGIN:VEVENT\r\nSUMMARY:A\\, b\r\nDESCRIPTION:long\r\n er\\nline\r\nDTSTART:20260601T100000Z\r\nORGANIZER;CN="x: y":mailto:o@x\r\nBEGIN:VALARM\r\nDESCRIPTION:no\r\nEND:VALARM\r\nEND:VEVENT\r\nEND:VCALENDAR');
  equal([event.summary, event.description, event.method, event.organizer.name, event.start.date.toISOString()], ['A, b', 'longer\nline', 'REQUEST', 'x: y', '2026-06-01T10:00:00.000Z']);
  const when = (start, end) => span(events(`BEGIN:VEVENT\nDTSTART${start}\nDTEND${end}\nEND:VEVENT`)[0], 'en');
  equal(when(';TZID=Europe/Berlin:20260612T140000', ';TZID=Europe/Berlin:20260612T160000').replace(/\u202f/g, ' '), 'Fri, June 12, 2026 at 02:00 PM – 04:00 PM (Europe/Berlin)');
  equal(when(';VALUE=DATE:20260612', ';VALUE=DATE:20260613'), 'Fri, June 12, 2026');
  equal(when(';VALUE=DATE:20260612', ';VALUE=DATE:20260614'), 'Fri, June 12, 2026 – Sat, June 13, 2026');
  equal(events('garbage\n:\n;;;'), []);
});

test('ways out of a list (RFC 8058, RFC 2369)', () => {
  const list = (addresses, post) => wayOut({ 'header:List-Unsubscribe:asURLs': addresses, 'header:List-Unsubscribe-Post:asText': post })?.kind ?? null;
  equal(list(['https://x/'], 'List-Unsubscribe=One-Click'), 'click');
  equal(list(['http://x/'], 'List-Unsubscribe=One-Click'), null);
  equal(list(['https://x/', 'mailto:y@x'], null), 'mail');
  equal(list(['https://x/'], null), 'page');
  equal(list(null, null), null);
  equal(mailto('mailto:a%40b@x?subject=a%20b&BODY=c&x=%zz'), { to: 'a@b@x', cc: '', subject: 'a b', body: 'c' });
});

test('requests: names, references, capabilities', () => {
  const groups = [{ calls: [['Email/query', { filter: null }], ['Email/get', { '#ids': ref(0, '/ids') }]] }, { calls: [['Identity/get', { ids: null }]], tolerant: true }];
  const { using, methodCalls } = encode(groups, 'A');
  equal(methodCalls[1], ['Email/get', { accountId: 'A', '#ids': { resultOf: '0.0', name: 'Email/query', path: '/ids' } }, '0.1']);
  equal(using.length, 3);
  const told = [];
  groups.forEach((group, at) => Object.assign(group, { resolve: (value) => told.push([at, value]), reject: (error) => told.push([at, error.kind]) }));
  deal(groups, [['Email/query', { ids: [] }, '0.0'], ['error', { type: 'requestTooLarge' }, '0.1'], ['error', { type: 'unknownMethod' }, '1.0'], ['Foo', {}, '1.0']]);
  equal(told, [[0, 'requestTooLarge'], [1, [{ error: 'unknownMethod', type: 'unknownMethod' }]]]);
  equal(fill('/d/{a}/{b}?t={c}', { a: 'x/y', b: 'ü', c: '&' }), '/d/x%2Fy/%C3%BC?t=%26');
});

test('addresses of the session stay with the page\'s server', () => {
  equal(here('https://mail.example/jmap/d/{blobId}?x={type}', '/jmap/session'), '/jmap/d/{blobId}?x={type}');
  equal(here('api', '/jmap/session'), '/jmap/api');
  equal(here('/api', '/jmap/session'), '/api');
});

test('patches (RFC 8620 §5.3)', () => equal(patch({ keywords: { $seen: true, 'a/b~c': null } }), { 'keywords/$seen': true, 'keywords/a~1b~0c': null }));

test('a draft as JMAP takes it', () => {
  const email = toEmail({ identity: { name: 'A', email: 'a@x', bcc: [{ email: 'b@x' }] }, to: [], cc: [], bcc: [], subject: 's', text: 't', html: null,
    attachments: [{ blobId: 'B', name: 'n', type: '' }] }, 'D');
  equal(['to' in email, 'cc' in email], [false, false]);
  equal([email.htmlBody, email.bcc, email.attachments, email.keywords], [undefined, [{ email: 'b@x' }], [{ blobId: 'B', type: 'application/octet-stream', name: 'n', disposition: 'attachment' }], { $draft: true, $seen: true }]);
});

test('links in plain text', () => {
  const words = (text) => linked(text).map((part) => (typeof part === 'string' ? part : `[${part.getAttribute('href')}]`)).join('');
  equal(words('see https://x.example/a. or www.y.example (http://z.example/(b))'), 'see [https://x.example/a]. or [https://www.y.example/] ([http://z.example/(b)])');
  equal(words('mail a@x.example!'), 'mail [mailto:a@x.example]!');
  equal(words('javascript:alert(1)'), 'javascript:alert(1)');
});

test('every language has every text', () => {
  for (const [name, text] of Object.entries(texts)) if (Array.isArray(text)) equal(text.length, Object.keys(languageNames).length, name);
});
