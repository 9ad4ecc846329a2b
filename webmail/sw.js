// The service worker: keeps the page itself, so that it opens without a connection, and the pictures and attachments that
// were looked at. Mail and folders are the page's own business (offline.js). It never answers for log-in, API or events.

const SHELL = 'postrider-shell-1';
const BLOBS = 'postrider-blobs-1';
const MOST_BLOBS = 200;
const LARGEST = 2_000_000; // octets

self.addEventListener('install', (event) => {
  event.waitUntil(caches.open(SHELL).then((cache) => cache.addAll(['./', 'style.css', 'frame.css', 'icon.svg', 'app.webmanifest'])).then(() => self.skipWaiting()));
});

self.addEventListener('activate', (event) => {
  event.waitUntil(caches.keys().then((names) => Promise.all(names.filter((name) => name.startsWith('postrider-') && ![SHELL, BLOBS].includes(name)).map((name) => caches.delete(name))))
    .then(() => self.clients.claim()));
});

self.addEventListener('fetch', (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== 'GET' || url.origin !== location.origin) return;
  const path = url.pathname.slice(new URL(registration.scope).pathname.length);
  const ours = request.mode === 'navigate' ? path === '' : /^(src\/[\w-]+\.js|[\w-]+\.(css|svg|webmanifest))$/.test(path);
  if (ours) event.respondWith(fresh(request, SHELL));
  else if (url.pathname.startsWith('/jmap/download/')) event.respondWith(kept(request));
});

/** From the server, so that a new version is there at once; from here where it can't be reached. */
async function fresh(request, name) {
  const cache = await caches.open(name);
  try {
    const answer = await fetch(request);
    if (answer.ok) cache.put(request.mode === 'navigate' ? './' : request, answer.clone());
    return answer;
  } catch (error) {
    const found = await cache.match(request.mode === 'navigate' ? './' : request);
    if (found) return found;
    throw error;
  }
}

/** A blob never changes (RFC 8620 §6). */
async function kept(request) {
  const cache = await caches.open(BLOBS);
  const found = await cache.match(request);
  if (found) return found;
  const answer = await fetch(request);
  if (answer.ok && Number(answer.headers.get('Content-Length') ?? LARGEST) < LARGEST) {
    await cache.put(request, answer.clone());
    const all = await cache.keys();
    for (const old of all.slice(0, Math.max(0, all.length - MOST_BLOBS))) await cache.delete(old);
  }
  return answer;
}
