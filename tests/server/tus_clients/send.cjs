// Sends a file with an unmodified tus-js-client: `send.cjs URL TOKEN FILE plain|parts|with-creation|deferred|parallel`.
// Run by test_tus_clients.py, with NODE_PATH at the folder that tus-js-client is installed in.

const fs = require("node:fs");
const { PassThrough } = require("node:stream");
const tus = require("tus-js-client");

const [url, token, path, how] = process.argv.slice(2);
const whole = { uploadSize: fs.statSync(path).size };
const options = {
  plain: whole,
  parts: { ...whole, chunkSize: 300_000 },
  "with-creation": { ...whole, uploadDataDuringCreation: true },
  deferred: { uploadLengthDeferred: true, chunkSize: 300_000 },
  parallel: { parallelUploads: 3 },
}[how];
const source = {
  deferred: () => fs.createReadStream(path).pipe(new PassThrough()),
  parallel: () => fs.readFileSync(path),
}[how] ?? (() => fs.createReadStream(path));

new tus.Upload(source(), {
  ...options,
  endpoint: `${url}/api/v1/uploads`,
  headers: { Authorization: `Bearer ${token}` },
  metadata: { filename: "clip.mp4", conversion_type: "h265" },
  retryDelays: [0, 100],
  onError: (problem) => {
    console.error(problem.message);
    process.exit(1);
  },
  onSuccess: () => console.log("sent"),
}).start();
