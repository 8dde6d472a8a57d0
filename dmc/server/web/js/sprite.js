// Frames of a film under the pointer: one picture of many frames, moved behind a window.

import { html, useRef, useState } from "./ui.js";

export function Sprite({ item, children }) {
  const sprite = item.previews?.sprite;
  const [frame, setFrame] = useState(null);
  const box = useRef();
  if (!sprite) return html`<span class="frame">${children}</span>`;
  const move = (event) => {
    if (event.pointerType === "touch") return;
    const { left, width } = box.current.getBoundingClientRect();
    setFrame(Math.min(sprite.frames - 1, Math.max(0, Math.floor(((event.clientX - left) / width) * sprite.frames))));
  };
  return html`
    <span class="frame" ref=${box} onPointerMove=${move} onPointerLeave=${() => setFrame(null)}>
      ${children}
      ${frame !== null && html`<span class="sprite" ref=${(element) => element && show(element, sprite, frame)}></span>`}
      ${frame !== null && html`<span class="sprite-at" ref=${(element) => element && (element.style.left = `${(frame / (sprite.frames - 1 || 1)) * 100}%`)}></span>`}
    </span>`;
}

// By the element's own properties: the page's policy allows no style in markup.
function show(element, sprite, frame) {
  const [column, row] = [frame % sprite.columns, Math.floor(frame / sprite.columns)];
  const part = (place, all) => (all > 1 ? `${(place / (all - 1)) * 100}%` : "0%");
  Object.assign(element.style, {
    backgroundImage: `url("${sprite.url}")`,
    backgroundSize: `${sprite.columns * 100}% ${sprite.rows * 100}%`,
    backgroundPosition: `${part(column, sprite.columns)} ${part(row, sprite.rows)}`,
    aspectRatio: `${sprite.width} / ${sprite.height}`,
  });
}
