// All unit tests, for the page that runs them.
import './segments.js';
import './search.js';
import './quote.js';
import './sanitise.js';
import './small.js';
import './qr.js';
export { run } from './check.js';
