// What comes once the list is on screen, so that the list waits for none of it: writing, settings, the way of a message,
// invitations. All at once, so that what is open is one version of the page, and works where the connection is lost.

import './invitation.js';
import './way.js';
import { el } from './dom.js';

export { keep } from './background.js';
export { Composer } from './compose.js';
export { settings } from './settings.js';

document.head.append(el('link', { rel: 'stylesheet', href: 'journey.css' }));
