// Shows a result: plays it with ranges, falls back to the original where this browser lacks the codec, and says so.

import { Icon } from "./icons.js";
import { mediumOf, originalOf } from "./items.js";
import { Note } from "./parts.js";
import { useStore } from "./store.js";
import { html, useRef, useState } from "./ui.js";
import { length, t } from "./words.js";

/** What there is to show, the best first: [{which, url}]. */
function sources(item) {
  const original = { which: "original", url: originalOf(item) };
  return item.result ? [{ which: "result", url: item.result.url }, original] : [original];
}

export function Player({ item }) {
  const types = useStore((state) => state.types);
  const [tried, setTried] = useState(0);
  const medium = mediumOf(item, types);
  const result = item.result && types?.types.find((type) => type.name === item.conversion_type);
  const found = sources(item);
  const source = found[tried];
  const shown = source?.which === "result" && result ? result.gives : medium;
  const failed = () => setTried((number) => number + 1);
  return html`
    <div class="player ${shown ?? "unknown"}">
      ${!source && html`<div class="unplayable"><${Icon} name=${medium ?? "info"} /><p>${t("player.none")}</p></div>`}
      ${source && shown === "video" && html`
        <video key=${source.url} controls playsinline preload="metadata" poster=${item.previews?.poster_url} onError=${failed}
          onLoadedMetadata=${(event) => !event.target.videoWidth && failed()} src=${source.url} aria-label=${item.file_name}></video>`}
      ${source && shown === "audio" && html`<${Sound} key=${source.url} item=${item} url=${source.url} failed=${failed} />`}
      ${source && shown === "image" && html`<img key=${source.url} src=${source.url} alt=${item.file_name} onError=${failed} />`}
      ${source && !shown && html`<div class="unplayable"><${Icon} name="info" /><p>${t("player.none")}</p></div>`}
    </div>
    ${source?.which === "original" && item.result && html`<${Note}><p>${t("player.original", { type: item.conversion_type })}</p><//>`}`;
}

// The waveform is the seek bar: a click goes there, and what was heard is marked.
function Sound({ item, url, failed }) {
  const audio = useRef();
  const [at, setAt] = useState(0);
  const wave = item.previews?.waveform_url;
  const seek = (event) => {
    const { left, width } = event.currentTarget.getBoundingClientRect();
    if (audio.current.duration) audio.current.currentTime = ((event.clientX - left) / width) * audio.current.duration;
  };
  const update = () => setAt(audio.current.duration ? audio.current.currentTime / audio.current.duration : 0);
  return html`
    ${wave ? html`
      <div class="wave" onClick=${seek}>
        <img src=${wave} alt=${t("player.wave", { time: item.facts?.duration_s ? length(item.facts.duration_s) : "" })} />
        <span class="heard" ref=${(element) => element && (element.style.width = `${at * 100}%`)}></span>
      </div>` : html`<div class="sound-art"><${Icon} name="audio" /></div>`}
    <audio ref=${audio} controls preload="metadata" src=${url} onError=${failed} onTimeUpdate=${update} aria-label=${item.file_name}></audio>`;
}
