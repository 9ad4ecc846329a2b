// Sends by nodemailer: letters as they are (raw), and one that it composes. In: the task (JSON). Out: the server's answers.
const nodemailer = require("nodemailer");

async function main(task) {
  const transport = nodemailer.createTransport({
    host: "localhost", port: task.port, secure: task.secure, requireTLS: true, pool: true, maxConnections: 2,
    auth: { user: task.user, pass: task.password },
  });
  try {
    const envelope = { from: task.user, to: [task.to] };
    const raw = task.raw.map((text) => transport.sendMail({ envelope, raw: Buffer.from(text, "base64") }));
    const answers = (await Promise.all(raw)).map((info) => info.response);
    const composed = await transport.sendMail({
      from: { name: "Älice", address: task.user }, to: task.to, subject: task.subject, text: task.text,
      attachments: [{ filename: task.name, content: Buffer.from(task.attachment, "base64") }],
    });
    return { answers: [...answers, composed.response], id: composed.messageId };
  } catch (error) {
    return { error: { code: error.code, responseCode: error.responseCode, message: error.message } };
  } finally {
    transport.close();
  }
}

const task = JSON.parse(require("fs").readFileSync(0, "utf8"));
main(task).then((said) => console.log(JSON.stringify(said)));
