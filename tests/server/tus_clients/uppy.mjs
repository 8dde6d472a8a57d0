// Sends a file with an unmodified Uppy engine in Node: `uppy.mjs URL TOKEN FILE`. Run by test_tus_clients.py, with NODE_PATH at the
// folder that @uppy/core and @uppy/tus are installed in.

import fs from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";

// Modules are not looked for in NODE_PATH by themselves.
async function library(name) {
  const folder = path.join(process.env.NODE_PATH, name);
  const { exports: listed, main } = JSON.parse(fs.readFileSync(path.join(folder, "package.json")));
  const entry = listed?.["."] ?? main;
  const file = typeof entry === "string" ? entry : entry.import ?? entry.default;
  return (await import(pathToFileURL(path.join(folder, file)))).default;
}

const [url, token, file] = process.argv.slice(2);
const [Uppy, Tus] = [await library("@uppy/core"), await library("@uppy/tus")];
const data = fs.readFileSync(file);
const uppy = new Uppy().use(Tus, {
  endpoint: `${url}/api/v1/uploads`,
  headers: { Authorization: `Bearer ${token}` },
  retryDelays: [0, 100],
  chunkSize: 300_000,
});
uppy.setMeta({ conversion_type: "h265" });
uppy.addFile({ name: "clip.mp4", type: "video/mp4", data, size: data.length });
const { successful, failed } = await uppy.upload();
if (failed.length) console.error(failed[0].error);
process.exit(successful.length === 1 ? 0 : 1);
