// Reads by ImapFlow: folders, whole messages into files, flags, a move, an append, IDLE beside a second connection, and what
// changed while it was away.
// In: the task (JSON). Out: what it saw.
const fs = require("fs");
const path = require("path");
const { ImapFlow } = require("imapflow");

const connect = async (task) => {
  const client = new ImapFlow({
    host: "localhost", port: task.port, secure: true, logger: false, qresync: true,
    auth: { user: task.user, pass: task.password },
  });
  await client.connect();
  return client;
};

async function main(task) {
  const client = await connect(task);
  const special = {};
  for (const folder of await client.list({ statusQuery: { messages: true, unseen: true } })) {
    special[folder.path] = folder.specialUse;
  }
  const said = { special };
  await client.mailboxOpen("INBOX");
  for (const [number, id] of task.ids.entries()) {
    const [uid] = await client.search({ header: { "message-id": id } }, { uid: true });
    const message = await client.fetchOne(uid, { source: true, bodyStructure: true, envelope: true, flags: true }, { uid: true });
    if (message.envelope.messageId !== id) throw new Error(`asked for ${id}, got ${message.envelope.messageId}`);
    const { content } = await client.download(uid, undefined, { uid: true });
    const pieces = [];
    for await (const piece of content) pieces.push(piece);
    if (!Buffer.concat(pieces).equals(message.source)) throw new Error("a download in pieces differs from the whole");
    fs.writeFileSync(path.join(task.folder, String(number)), message.source);
  }
  const second = await connect(task);
  const heard = new Promise((resolve) => client.once("exists", (news) => resolve(news.count > news.prevCount)));
  client.idle().catch(() => {});
  const { uid } = await second.append("INBOX", Buffer.from(task.append, "base64"), ["\\Seen"], new Date());
  said.heard = await heard;
  await second.mailboxOpen("INBOX");
  said.appended = (await second.fetchOne(uid, { source: true }, { uid: true })).source.toString("base64");
  // Away for a while: what changed since, and what is gone, by CHANGEDSINCE and VANISHED.
  const since = client.mailbox.highestModseq;
  await client.mailboxClose();
  const uidOf = async (id) => (await second.search({ header: { "message-id": id } }, { uid: true }))[0];
  const [untouched, changed, gone] = [await uidOf(task.ids[0]), await uidOf(task.ids[1]), await uidOf(task.ids[2])];
  await second.messageFlagsAdd(changed, ["$Changed"], { uid: true });
  await second.messageDelete(gone, { uid: true });
  await second.logout();
  const vanished = [];
  client.on("expunge", (news) => news.vanished && news.earlier && vanished.push(news.uid));
  await client.mailboxOpen("INBOX");
  const since_then = new Map();
  for await (const message of client.fetch("1:*", { flags: true }, { uid: true, changedSince: since })) {
    since_then.set(message.uid, message);
  }
  said.enabled = [...client.enabled];
  said.changed = since_then.has(changed) && since_then.get(changed).flags.has("$Changed");
  said.untouched = !since_then.has(untouched);
  said.vanished = vanished.includes(gone);
  // After what it hears: with QRESYNC, it does not count messages that moved away, and would hear of one less.
  const [first] = await client.search({ header: { "message-id": task.ids[0] } }, { uid: true });
  await client.messageFlagsAdd(first, ["\\Flagged"], { uid: true });
  await client.messageMove(first, "Archive", { uid: true });
  await client.logout();
  return said;
}

main(JSON.parse(fs.readFileSync(0, "utf8"))).then(
  (said) => console.log(JSON.stringify(said)),
  (error) => { console.error(error); process.exit(1); },
);
