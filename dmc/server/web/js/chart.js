// A small chart of bars over time, and the same as a table for who does not see it.

import { html } from "./ui.js";

const WIDTH = 720;
const HEIGHT = 120;
const GAP = 3;

/** `bars`: [{label, value, bad, text}]; value and bad stand on one another. */
export function Chart({ title, bars, columns }) {
  const most = Math.max(1, ...bars.map((bar) => bar.value + bar.bad));
  const step = WIDTH / bars.length;
  const high = (value) => (value ? Math.max(2, (value / most) * HEIGHT) : 0);
  return html`
    <figure class="chart">
      <svg viewBox="0 0 ${WIDTH} ${HEIGHT + 1}" preserveAspectRatio="none" role="img" aria-label=${title}>
        ${bars.map((bar, place) => {
          const [good, bad] = [high(bar.value), high(bar.bad)];
          const box = { x: place * step + GAP / 2, width: step - GAP };
          return html`<g key=${bar.label}>
            <rect class="ground" ...${box} y="0" height=${HEIGHT}><title>${bar.text}</title></rect>
            ${good > 0 && html`<rect class="value" ...${box} y=${HEIGHT - good} height=${good} rx="1.5"><title>${bar.text}</title></rect>`}
            ${bad > 0 && html`<rect class="failed" ...${box} y=${HEIGHT - good - bad} height=${bad} rx="1.5"><title>${bar.text}</title></rect>`}
          </g>`;
        })}
      </svg>
      <figcaption class="axis"><span>${bars[0]?.label}</span><span>${bars[Math.floor(bars.length / 2)]?.label}</span><span>${bars.at(-1)?.label}</span></figcaption>
      <table class="unseen">
        <caption>${title}</caption>
        <thead><tr>${columns.map((column) => html`<th scope="col">${column}</th>`)}</tr></thead>
        <tbody>${bars.filter((bar) => bar.value + bar.bad > 0).map((bar) => html`<tr><th scope="row">${bar.label}</th><td>${bar.value}</td><td>${bar.bad}</td></tr>`)}</tbody>
      </table>
    </figure>`;
}
