// QR codes, against those that another program makes (python3-qrcode, whose drawings were compared for every version).
import { equal, test, truth } from './check.js';
import { qr } from '../../src/qr.js';

test('a code is the one that others draw', () => {
  const rows = qr('x').map((row) => parseInt(row.map(Number).join(''), 2).toString(16));
  equal(rows, ['1fd07f', '104a41', '174b5d', '17565d', '175d5d', '105e41', '1fd57f', '1b00', '1172f9', '1e032b', '107a7c', '1c28d4', '1b71c6', '11c4', '1fd182', '104b2a', '17567f', '17432b', '174a7c', '104cd4', '1fd5c5']);
});

test('a text gets the smallest code, up to the largest', () => {
  for (const [length, size] of [[14, 21], [15, 25], [122, 45], [123, 49], [412, 77]]) equal(qr('x'.repeat(length)).length, size, String(length));
  equal(qr('x'.repeat(413)), null);
  truth(qr('ü'.repeat(7)).length === 21, 'octets count, not letters');
});
