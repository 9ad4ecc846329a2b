// The grammar of searches.
import { equal, test } from './check.js';
import { day, filter, tokens } from '../../src/search.js';

const folders = [{ id: 'i', role: 'inbox', names: ['Inbox', 'Posteingang'] }, { id: 't', role: 'trash', names: ['Trash'] }, { id: 'w', role: null, names: ['Work stuff'] }];
const now = new Date(2026, 4, 31, 15, 0);
const meant = (text) => filter(text, folders.filter((box) => box.role !== 'trash'), now);

test('words and phrases', () => {
  equal(meant('bridge'), { text: 'bridge' });
  equal(meant('"two words" more'), { operator: 'AND', conditions: [{ text: 'two words' }, { text: 'more' }] });
  equal(meant('  '), null);
  equal(meant('"unfinished phra'), { text: 'unfinished phra' });
});

test('operators', () => {
  equal(meant('from:ada to:"Grace Hopper" subject:x'), { operator: 'AND', conditions: [{ from: 'ada' }, { to: 'Grace Hopper' }, { subject: 'x' }] });
  equal(meant('has:attachment'), { hasAttachment: true });
  equal(meant('is:unread is:flagged'), { operator: 'AND', conditions: [{ notKeyword: '$seen' }, { hasKeyword: '$flagged' }] });
  equal(meant('larger:5M smaller:10mb'), { operator: 'AND', conditions: [{ minSize: 5_000_000 }, { maxSize: 10_000_000 }] });
  equal(meant('FROM:Ada'), { from: 'Ada' });
});

test('what is half typed counts for nothing yet', () => {
  for (const text of ['from:', 'is:', 'is:unr', 'before:20', 'in:nowhere', '-', 'has:att from:']) equal(meant(text), text.startsWith('has') ? { hasAttachment: true } : text === '-' ? { text: '-' } : null, text);
});

test('not, or', () => {
  equal(meant('-from:ada x'), { operator: 'AND', conditions: [{ operator: 'NOT', conditions: [{ from: 'ada' }] }, { text: 'x' }] });
  equal(meant('a OR b OR c d'), { operator: 'AND', conditions: [{ operator: 'OR', conditions: [{ text: 'a' }, { text: 'b' }, { text: 'c' }] }, { text: 'd' }] });
  equal(meant('OR a OR'), { text: 'a' });
});

test('colons that are no operators', () => {
  equal(meant('https://x.example/a'), { text: 'https://x.example/a' });
  equal(meant('foo:bar'), { text: 'foo:bar' });
  equal(tokens('a:b:c')[0].value, 'a:b:c');
});

test('folders, by any of their names', () => {
  equal(meant('in:inbox'), { inMailbox: 'i' });
  equal(meant('in:posteingang'), { inMailbox: 'i' });
  equal(meant('in:"work stuff"'), { inMailbox: 'w' });
  equal(meant('in:work'), { inMailbox: 'w' });
});

test('trash and junk are left out, unless asked for', () => {
  equal(filter('x', folders), { operator: 'AND', conditions: [{ text: 'x' }, { inMailboxOtherThan: ['t'] }] });
  equal(filter('x in:trash', folders), { operator: 'AND', conditions: [{ text: 'x' }, { inMailbox: 't' }] });
  equal(filter('x in:all', folders), { text: 'x' });
});

test('days', () => {
  const days = (text) => day(text, now)?.map((date) => [date.getFullYear(), date.getMonth() + 1, date.getDate()].join('-'));
  equal(days('2026-05-31'), ['2026-5-31', '2026-6-1']);
  equal(days('2026-02'), ['2026-2-1', '2026-3-1']);
  equal(days('2025'), ['2025-1-1', '2026-1-1']);
  equal(days('31.5.2026'), ['2026-5-31', '2026-6-1']);
  equal(days('yesterday'), ['2026-5-30', '2026-5-31']);
  equal(days('1w'), ['2026-5-24', '2026-5-25']);
  equal(days('2026-13-01'), undefined);
  equal(meant('before:2026-05-01'), { before: new Date(2026, 4, 1).toISOString().replace('.000', '') });
});
