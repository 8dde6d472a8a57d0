// What test_browser_clients.py calls in a page of the server, beside the libraries of others, which are loaded as they are.

async function signIn(path, token) {
  const body = JSON.stringify({ token });
  const reply = await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body });
  return { "X-Dmc-Csrf": (await reply.json()).csrf };
}

function offerInput() {
  const input = document.createElement("input");
  input.type = "file";
  input.id = "chosen";
  document.body.append(input);
}

const chosen = () => document.getElementById("chosen").files[0];

// Goes on with what an earlier page has begun, if there is such an upload.
function sendWithTus(endpoint, headers) {
  return new Promise((resolve, reject) => {
    const upload = new tus.Upload(chosen(), {
      endpoint,
      headers,
      metadata: { filename: chosen().name, conversion_type: "h265" },
      retryDelays: [0, 100, 300, 1000],
      onError: reject,
      onSuccess: () => resolve(upload.url),
    });
    upload.findPreviousUploads().then(([previous]) => {
      if (previous) upload.resumeFromPreviousUpload(previous);
      upload.start();
    }, reject);
  });
}

async function sendWithUppy(endpoint, headers) {
  const uppy = new Uppy.Uppy().use(Uppy.Tus, { endpoint, headers, retryDelays: [0, 100, 300, 1000] });
  uppy.setMeta({ conversion_type: "h265" });
  uppy.addFile({ name: chosen().name, type: chosen().type, data: chosen() });
  const { successful, failed } = await uppy.upload();
  if (failed.length) throw new Error(failed[0].error);
  return successful.length;
}

const next = (video, event) =>
  new Promise((resolve, reject) => {
    video.addEventListener(event, resolve, { once: true });
    video.addEventListener("error", () => reject(new Error(video.error.message)), { once: true });
  });

async function openVideo(address) {
  const video = document.createElement("video");
  video.muted = true;
  video.preload = "metadata";
  document.body.append(video);
  const ready = next(video, "loadeddata");
  video.src = address;
  await ready;
  return { duration: video.duration, width: video.videoWidth };
}

// Jumps to `second`, plays on for a moment, and stops; tells where it landed, where it came to, and how many frames it showed.
async function playFrom(second) {
  const video = document.querySelector("video");
  const frames = () => video.getVideoPlaybackQuality().totalVideoFrames;
  const before = frames();
  const there = next(video, "seeked");
  video.currentTime = second;
  await there;
  const landed = video.currentTime;
  await video.play();
  while (video.currentTime < landed + 0.3 && !video.ended) await next(video, "timeupdate");
  video.pause();
  return { landed, reached: video.currentTime, frames: frames() - before };
}
