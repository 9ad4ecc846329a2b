// Answers: to whom, on what, with which text.
import { equal, test, truth } from './check.js';
import { forwardSubject, identityFor, quoted, recipients, replySubject, threading, toText } from '../../src/quote.js';
import { trusted } from '../../src/sanitise.js';

const at = (...addresses) => addresses.map((email) => ({ name: null, email }));
const people = (email, kind, own = ['me@x']) => {
  const found = recipients(email, kind, own);
  return [found.to.map((one) => one.email).join(), found.cc.map((one) => one.email).join()];
};
const text = (html) => toText(new DOMParser().parseFromString(trusted(html), 'text/html').body);

test('subjects', () => {
  equal(replySubject('Hello'), 'Re: Hello');
  equal(replySubject('RE: re: AW: Hello'), 'Re: Hello');
  equal(replySubject('Re[2]: Hello'), 'Re: Hello');
  equal(replySubject('Regarding: us'), 'Re: Regarding: us');
  equal(replySubject(null), 'Re:');
  equal(forwardSubject('WG: Fwd: x'), 'Fwd: x');
});

test('reply goes to the sender, or where the sender wants it', () => {
  equal(people({ from: at('a@x'), to: at('me@x', 'b@x') }, 'reply'), ['a@x', '']);
  equal(people({ from: at('a@x'), replyTo: at('r@x') }, 'reply'), ['r@x', '']);
  equal(people({ from: at('a@x'), replyTo: at('list@x'), 'header:Mail-Reply-To:asAddresses': at('a2@x') }, 'reply'), ['a2@x', '']);
});

test('reply to all leaves us out, and names each once', () => {
  equal(people({ from: at('a@x'), to: at('ME@x', 'b@x', 'a@x'), cc: at('c@x', 'B@x') }, 'all'), ['a@x', 'b@x,c@x']);
  equal(people({ from: at('a@x'), to: at('me@x') }, 'all'), ['a@x', '']);
  equal(people({ from: at('a@x'), to: at('l@x'), 'header:Mail-Followup-To:asAddresses': at('l@x', 'me@x') }, 'all'), ['l@x', '']);
});

test('an answer to our own message goes to those it went to', () => {
  equal(people({ from: at('me@x'), to: at('a@x') }, 'reply'), ['a@x', '']);
  equal(people({ from: at('me@x'), to: at('a@x', 'me@x'), cc: at('b@x') }, 'all'), ['a@x', 'b@x']);
  equal(people({ from: at('me@x'), to: at('me@x') }, 'all'), ['me@x', '']);
});

test('threading headers (RFC 5322 §3.6.4)', () => {
  equal(threading({ messageId: ['3'], references: ['1', '2'] }), { inReplyTo: ['3'], references: ['1', '2', '3'] });
  equal(threading({ messageId: ['2'], references: null, inReplyTo: ['1'] }), { inReplyTo: ['2'], references: ['1', '2'] });
  equal(threading({ messageId: ['3'], references: null, inReplyTo: ['1', '2'] }), { inReplyTo: ['3'], references: ['3'] });
  equal(threading({ messageId: null }), { inReplyTo: null, references: null });
  const long = threading({ messageId: ['z'], references: Array.from({ length: 90 }, (_, n) => `r${n}`) }).references;
  equal([long.length, long[0], long.at(-1)], [40, 'r0', 'z']);
});

test('the identity that was written to answers', () => {
  const ours = [{ email: 'me@x' }, { email: 'sales@x' }];
  equal(identityFor({ to: at('Sales@x') }, ours).email, 'sales@x');
  equal(identityFor({ to: at('other@x') }, ours).email, 'me@x');
});

test('quoting', () => {
  equal(quoted('a\n\n> b\nc\n'), '> a\n>\n>> b\n> c');
  equal(quoted('a\n\n-- \nsignature'), '> a');
  equal(quoted('-- \nonly'), '> -- \n> only');
});

test('HTML as text', () => {
  equal(text('<p>a</p><p>b<br>c</p>'), 'a\n\nb\nc');
  equal(text('<div>a</div><div><br></div><div>b</div>'), 'a\n\nb');
  equal(text('x<blockquote>q<blockquote>r</blockquote></blockquote>y'), 'x\n> q\n>> r\ny');
  equal(text('<ul><li>a<li>b</ul><ol><li>c<li>d</ol>'), '* a\n* b\n\n1. c\n2. d');
  equal(text('<a href="https://x.example/">here</a> <a href="https://x.example/">https://x.example</a>'), 'here <https://x.example/> https://x.example');
  equal(text('<pre>a\n  b</pre>c'), 'a\n  b\nc');
  equal(text('  much \n\n space  '), 'much space');
  equal(text('<div>-- <br>Me</div>'), '-- \nMe');
});

test('deep HTML as text comes to an end', () => truth(text('<div>'.repeat(3000) + 'x').length < 10_000, 'ends'));
